package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// version is the dialogue's. A process that does not know the other's refuses.
const version = 1

// Bounds of one packet: the socket's buffer must take it whole (net.core.wmem_default is 208 KiB), and the kernel takes at most 253
// descriptors (SCM_MAX_FD).
const (
	maxPacket = 60 << 10 // bytes
	maxFiles  = 128
)

// The kinds of packets.
const (
	kindHello    = "hello"
	kindReady    = "ready"
	kindFailed   = "failed"
	kindServers  = "servers"
	kindSessions = "sessions"
	kindEnd      = "end"
	kindTaken    = "taken"
	kindGo       = "go"
)

// A packet is one message. The data of the sessions follow it in packets without a form.
type packet struct {
	Kind      string     `json:"kind"`
	Version   int        `json:"version,omitempty"`   // hello
	Listeners []Listener `json:"listeners,omitempty"` // hello; a descriptor each
	Text      string     `json:"text,omitempty"`      // failed
	Servers   []Server   `json:"servers,omitempty"`
	Sessions  []head     `json:"sessions,omitempty"` // a descriptor each
}

// errHandover is what all errors of a dialogue that went wrong are.
var errHandover = errors.New("handover")

// A Conn is one end of the socket between the two processes. It is used by one goroutine.
type Conn struct {
	c    *net.UnixConn
	room []byte
}

// Pair makes the two ends. The second is for the other process, as an *os.File that it inherits.
func Pair() (own *Conn, others *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: socketpair: %w", errHandover, err)
	}
	others = os.NewFile(uintptr(fds[1]), "handover")
	if own, err = Open(os.NewFile(uintptr(fds[0]), "handover")); err != nil {
		others.Close()
		return nil, nil, err
	}
	return own, others, nil
}

// Open makes a Conn of a descriptor, which it closes.
func Open(f *os.File) (*Conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errHandover, err)
	}
	unixConn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%w: the descriptor is a %T", errHandover, c)
	}
	return &Conn{c: unixConn, room: make([]byte, maxPacket+1)}, nil
}

// Close ends the dialogue: the other side's calls fail.
func (c *Conn) Close() { c.c.Close() }

// Deadline bounds all that follows.
func (c *Conn) Deadline(at time.Time) { _ = c.c.SetDeadline(at) } // on a conn that is closed, what follows fails anyway

func (c *Conn) send(p packet, files ...int) error {
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("%w: %w", errHandover, err)
	}
	return c.sendRaw(text, files)
}

func (c *Conn) sendRaw(data []byte, files []int) error {
	if len(data) > maxPacket || len(files) > maxFiles {
		return fmt.Errorf("%w: a packet of %d bytes and %d descriptors", errHandover, len(data), len(files))
	}
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	for {
		_, _, err := c.c.WriteMsgUnix(data, oob, nil)
		if errors.Is(err, unix.ETOOMANYREFS) { // more descriptors under way than a user may have: the other side is at it
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errHandover, err)
		}
		return nil
	}
}

// receive gives the next packet and its descriptors, which are the caller's.
func (c *Conn) receive() (p packet, files []int, err error) {
	data, files, err := c.receiveRaw()
	if err != nil {
		return p, nil, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		closeAll(files)
		return p, nil, fmt.Errorf("%w: %w", errHandover, err)
	}
	return p, files, nil
}

// receiveRaw's data are valid until the next one.
func (c *Conn) receiveRaw() (data []byte, files []int, err error) {
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, flags, _, err := c.c.ReadMsgUnix(c.room, oob)
	if err == nil && n == 0 && oobn == 0 {
		err = errors.New("the other process has ended the dialogue")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errHandover, err)
	}
	files, err = filesOf(oob[:oobn])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("a packet was cut short: too few descriptors may be open?")
	}
	if err != nil {
		closeAll(files)
		return nil, nil, fmt.Errorf("%w: %w", errHandover, err)
	}
	return c.room[:n], files, nil
}

func filesOf(oob []byte) (files []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return files, err
		}
		files = append(files, fds...)
	}
	return files, nil
}

func closeAll(files []int) {
	for _, fd := range files {
		unix.Close(fd)
	}
}

// expect receives a packet of a kind, without descriptors.
func (c *Conn) expect(kind string) (packet, error) {
	p, files, err := c.receive()
	if err != nil {
		return p, err
	}
	switch {
	case len(files) > 0:
		closeAll(files)
	case p.Kind == kind:
		return p, nil
	case p.Kind == kindFailed:
		return p, fmt.Errorf("%w: the new process says: %s", errHandover, p.Text)
	}
	return p, fmt.Errorf("%w: got %q, want %q", errHandover, p.Kind, kind)
}
