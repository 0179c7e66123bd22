package backend

import (
	"bytes"
	"context"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/internal/secrets"
	"mcproxy/internal/tlsrelay"
	"mcproxy/protocol"
)

// A Transport is what a conn to a backend needs beyond its being connected. It is not changed once it is in use.
type Transport struct {
	TLS        *secrets.Identity // nil: no TLS
	ServerName string            // that the backend's certificate must be for
	Relays     *tlsrelay.Group   // of conns with TLS
	Login      *secrets.Login    // nil: none is wanted
}

// SetTransport says how the conns that are opened from now on are made fit for use; nil: by connecting alone.
func (b *Backend) SetTransport(t *Transport) { b.transport.Store(t) }

// An opening is a conn's way from connect(2) to its first call, where there is a Transport: TLS handshake, then login. Meanwhile its state
// is connConnecting, and what is to be sent queues up.
type opening struct {
	t      *Transport
	step   openingStep
	cancel context.CancelFunc // of the handshake
	login  []byte             // what is left to be sent of the request
	answer []byte             // what has come of the answer
}

type openingStep uint8

const (
	stepConnect   openingStep = iota
	stepHandshake             // the conn has no descriptor: a relay will give it one
	stepLogin
)

// longestLoginAnswer bounds the bytes of the answer to a login.
const longestLoginAnswer = 512

// goOn is what a conn that is not open yet does when its descriptor is ready.
func (c *conn) goOn(ev epoll.Events) {
	if o := c.opening; o != nil && o.step == stepLogin {
		c.logIn(ev)
		return
	}
	if errno := c.p.loop.Kernel.Connected(c.fd); errno != 0 {
		c.p.connectFailed(c, errno)
		return
	}
	if o := c.opening; o != nil && o.t.TLS != nil {
		c.encrypt()
		return
	}
	c.opened()
}

// opened goes on after connecting and encrypting.
func (c *conn) opened() {
	if o := c.opening; o != nil && o.t.Login != nil {
		o.step = stepLogin
		name, password := o.t.Login.Pair()
		o.login = protocol.AppendLogin(nil, name, password)
		c.modify(epoll.In | epoll.Out)
		return
	}
	c.opening = nil
	c.state = connOpen
	c.modify(epoll.In)
	if c.state == connOpen {
		c.wake()
	}
}

// encrypt gives the descriptor to a relay, which will give another.
func (c *conn) encrypt() {
	o, p := c.opening, c.p
	o.step = stepHandshake
	fd := c.fd
	p.loop.Detach(fd, c.tag)
	c.fd = -1
	const bound = time.Minute // connectBy ends it before, but for a loop that has ended
	o.cancel = o.t.Relays.Connect(fd, o.t.TLS.Config(), o.t.ServerName, bound, func(fd int, r *tlsrelay.Relay, err error) {
		if !p.loop.Post(func() { c.encrypted(fd, r, err) }) && err == nil {
			unix.Close(fd)
			r.Abort()
		}
	})
}

// encrypted is how the handshake ended.
func (c *conn) encrypted(fd int, r *tlsrelay.Relay, err error) {
	if err == nil && c.state == connConnecting {
		c.fd, c.relay = fd, r
		if c.tag, err = c.p.loop.Register(fd, c, epoll.In); err == nil {
			c.opened()
			return
		}
		c.fd = -1
	}
	if r != nil {
		c.p.loop.Kernel.Close(fd)
		r.Abort()
	}
	if c.state == connConnecting {
		c.p.connectFailed(c, err)
	}
}

// logIn sends the login, and waits for its answer. Nothing else is sent before that: what a server that refuses makes of further
// requests is no answer to them.
func (c *conn) logIn(ev epoll.Events) {
	o, k := c.opening, c.p.loop.Kernel
	if ev&epoll.Out != 0 && len(o.login) > 0 {
		n, errno := k.Write(c.fd, o.login)
		if errno != 0 && errno != unix.EAGAIN {
			c.p.connectFailed(c, errno)
			return
		}
		if o.login = o.login[n:]; len(o.login) == 0 {
			c.modify(epoll.In)
		}
	}
	if ev&(epoll.In|epoll.Hup|epoll.Err) == 0 || c.state != connConnecting {
		return
	}
	var room [longestLoginAnswer]byte
	n, errno := k.Read(c.fd, room[:longestLoginAnswer-len(o.answer)])
	switch {
	case errno == unix.EAGAIN:
		return
	case errno != 0:
		c.p.connectFailed(c, errno)
		return
	case n == 0:
		c.p.connectFailed(c, ErrClosed)
		return
	}
	o.answer = append(o.answer, room[:n]...)
	switch end := bytes.IndexByte(o.answer, '\n'); {
	case end < 0 && len(o.answer) < longestLoginAnswer:
	case string(o.answer) == protocol.Stored && len(o.login) == 0:
		o.t = &Transport{} // done with it
		c.opened()
	case end == len(o.answer)-1:
		c.p.connectFailed(c, ErrLogin)
	default:
		c.p.connectFailed(c, ErrProtocol)
	}
}
