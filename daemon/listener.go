package daemon

import (
	"fmt"
	"net"
	"sync"
)

// A leavable is a TCP listener that can be left to another process before who serves it ends: Accept waits for Close then.
type leavable struct {
	*net.TCPListener
	left, closed chan struct{} // closed by leave and Close
	closing      sync.Once
}

// openAdmin listens for the admin endpoints, or takes an inherited socket; nil for "".
func (d *Daemon) openAdmin(address string) (*leavable, error) {
	if address == "" {
		return nil, nil
	}
	ln, err := d.from.admin(address)
	if err == nil && ln == nil {
		ln, err = net.Listen("tcp", address)
	}
	if err != nil {
		return nil, err
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		ln.Close()
		return nil, fmt.Errorf("the socket is a %T", ln)
	}
	return &leavable{TCPListener: tcp, left: make(chan struct{}), closed: make(chan struct{})}, nil
}

// Accept is net.Listener's.
func (l *leavable) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	if err != nil {
		select {
		case <-l.left:
			<-l.closed
		default:
		}
	}
	return c, err
}

// leave has whoever connects from now on be another process's. Call it once.
func (l *leavable) leave() {
	close(l.left)
	l.TCPListener.Close()
}

// Close is net.Listener's; twice is harmless.
func (l *leavable) Close() (err error) {
	l.closing.Do(func() {
		close(l.closed)
		err = l.TCPListener.Close()
	})
	select {
	case <-l.left: // it was closed then
		return nil
	default:
		return err
	}
}
