package handover

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// The purposes of listeners.
const (
	Clients = "clients"
	Admin   = "admin"
)

// A Listener is a socket that listens.
type Listener struct {
	Purpose string `json:"purpose"`
	// Network and Address are as configured.
	Network string `json:"network"`
	Address string `json:"address"`
	// Resolved says that Address is what the system says: whatever was configured so is the same.
	Resolved bool `json:"resolved,omitempty"`
	// Unlink says that the process which closes a unix socket takes its path away.
	Unlink bool     `json:"unlink,omitempty"`
	File   *os.File `json:"-"` // the receiver's own
}

// Is says whether it is the listener of an address as configured.
func (l *Listener) Is(network, address string) bool {
	if l.Network == network && l.Address == address {
		return true
	}
	if !l.Resolved || l.Network != "tcp" || network == "unix" {
		return false
	}
	a, err := net.ResolveTCPAddr(l.Network, l.Address)
	if err != nil {
		return false
	}
	b, err := net.ResolveTCPAddr(network, address)
	if err != nil || a.Port != b.Port {
		return false
	}
	anywhere := func(ip net.IP) bool { return ip == nil || ip.IsUnspecified() }
	return a.IP.Equal(b.IP) || anywhere(a.IP) && anywhere(b.IP)
}

// A Server is what is known of a server of the former process.
type Server struct {
	Server  string   `json:"server"` // network and address
	State   string   `json:"state"`  // "up", "down" or "held"
	Version string   `json:"version,omitempty"`
	IP      string   `json:"ip,omitempty"`   // that its name had
	Keys    [][]byte `json:"keys,omitempty"` // writes that it missed
	// Overflowed says that there were more.
	Overflowed bool `json:"overflowed,omitempty"`
}

// A Session is a client's conn between two requests.
type Session struct {
	FD       int    // the receiver's own
	Listener int    // index of the one that it came by, of those that were given; -1: none
	From     string // its client's address; what is none is a unix socket
	LoggedIn bool   // it need not log in, or has
	In       []byte // what it has sent and nobody looked at
	Out      []byte // answers that it has not taken
	Skip     int    // bytes of a refused value that are to come
	// Refusal follows when they have come: the answer, and the key whose old value goes.
	Refusal *Refusal
	EOF     bool // nothing more is read from it
}

// A Refusal is how a value is refused.
type Refusal struct {
	Answer string `json:"answer,omitempty"` // "" for none
	Unlink []byte `json:"unlink,omitempty"` // nil for none
}

// head is a Session without its bytes, which follow.
type head struct {
	Listener int      `json:"l"`
	From     string   `json:"from,omitempty"`
	LoggedIn bool     `json:"logged_in,omitempty"`
	In       int      `json:"in,omitempty"`
	Out      int      `json:"out,omitempty"`
	Skip     int      `json:"skip,omitempty"`
	Refusal  *Refusal `json:"refusal,omitempty"`
	EOF      bool     `json:"eof,omitempty"`
}

// A State is all that is given after the listeners.
type State struct {
	Servers  []Server
	Sessions []Session
}

// Close closes the conns of a State that is not used.
func (s *State) Close() {
	for i := range s.Sessions {
		unix.Close(s.Sessions[i].FD)
	}
}

// Begin is the old process's: it gives the listeners and waits until the new one says that it is ready.
func (c *Conn) Begin(listeners []Listener) error {
	var files []int
	for _, l := range listeners { // not Fd, which would make the socket block
		raw, err := l.File.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { files = append(files, int(fd)) }) // it stays open: l has it
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errHandover, l.Address, err)
		}
	}
	if err := c.send(packet{Kind: kindHello, Version: version, Listeners: listeners}, files...); err != nil {
		return err
	}
	_, err := c.expect(kindReady)
	return err
}

// Give is the old process's: it gives the state and waits until the new one has it. The state stays the old one's until Go.
func (c *Conn) Give(s *State) error {
	for i := range s.Servers {
		if err := c.giveServer(&s.Servers[i]); err != nil {
			return err
		}
	}
	for from := 0; from < len(s.Sessions); from += maxFiles {
		if err := c.giveSessions(s.Sessions[from:min(from+maxFiles, len(s.Sessions))]); err != nil {
			return err
		}
	}
	if err := c.send(packet{Kind: kindEnd}); err != nil {
		return err
	}
	_, err := c.expect(kindTaken)
	return err
}

// giveServer gives a server, its keys in several packets if they are many.
func (c *Conn) giveServer(s *Server) error {
	const most = maxPacket / (250 * 2) // keys of 250 bytes, in base64
	part := *s
	for {
		part.Keys = s.Keys[:min(most, len(s.Keys))]
		if err := c.send(packet{Kind: kindServers, Servers: []Server{part}}); err != nil {
			return err
		}
		if len(s.Keys) <= most {
			return nil
		}
		rest := *s
		rest.Keys = s.Keys[most:]
		s = &rest
	}
}

func (c *Conn) giveSessions(sessions []Session) error {
	p := packet{Kind: kindSessions}
	var files []int
	for i := range sessions {
		s := &sessions[i]
		p.Sessions = append(p.Sessions, head{s.Listener, s.From, s.LoggedIn, len(s.In), len(s.Out), s.Skip, s.Refusal, s.EOF})
		files = append(files, s.FD)
	}
	if err := c.send(p, files...); err != nil {
		return err
	}
	for i := range sessions {
		for _, data := range [][]byte{sessions[i].In, sessions[i].Out} {
			for len(data) > 0 {
				n := min(len(data), maxPacket)
				if err := c.sendRaw(data[:n], nil); err != nil {
					return err
				}
				data = data[n:]
			}
		}
	}
	return nil
}

// Go is the old process's last word: what it gave is the new one's.
func (c *Conn) Go() error { return c.send(packet{Kind: kindGo}) }

// Listeners is the new process's first: it gives what the old one listens on.
func (c *Conn) Listeners() ([]Listener, error) {
	p, files, err := c.receive()
	if err != nil {
		return nil, err
	}
	if p.Kind != kindHello || p.Version != version || len(files) != len(p.Listeners) {
		closeAll(files)
		return nil, fmt.Errorf("%w: %q of version %d with %d listeners and %d descriptors; this is version %d",
			errHandover, p.Kind, p.Version, len(p.Listeners), len(files), version)
	}
	for i, fd := range files {
		p.Listeners[i].File = os.NewFile(uintptr(fd), p.Listeners[i].Address)
	}
	return p.Listeners, nil
}

// Failed is the new process's, instead of Take: it says why it does not go on.
func (c *Conn) Failed(why error) { _ = c.send(packet{Kind: kindFailed, Text: why.Error()}) } // its end says it too

// Take is the new process's: it says that it is ready, and gives what the old one gives. It touches none of it before Taken has
// returned.
func (c *Conn) Take() (*State, error) {
	if err := c.send(packet{Kind: kindReady}); err != nil {
		return nil, err
	}
	s := &State{}
	for {
		p, files, err := c.receive()
		if err == nil {
			err = c.take(s, &p, files)
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		if p.Kind == kindEnd {
			return s, nil
		}
	}
}

// take takes one packet of the state.
func (c *Conn) take(s *State, p *packet, files []int) error {
	if p.Kind != kindSessions && len(files) > 0 || len(files) != len(p.Sessions) {
		closeAll(files)
		return fmt.Errorf("%w: %q with %d sessions and %d descriptors", errHandover, p.Kind, len(p.Sessions), len(files))
	}
	switch p.Kind {
	case kindServers:
		s.Servers = append(s.Servers, p.Servers...)
	case kindSessions:
		from := len(s.Sessions)
		for i, h := range p.Sessions {
			s.Sessions = append(s.Sessions, Session{
				FD: files[i], Listener: h.Listener, From: h.From, LoggedIn: h.LoggedIn, Skip: h.Skip, Refusal: h.Refusal, EOF: h.EOF,
			})
		}
		for i, h := range p.Sessions {
			var err error
			t := &s.Sessions[from+i]
			if t.In, err = c.takeBytes(h.In); err != nil {
				return err
			}
			if t.Out, err = c.takeBytes(h.Out); err != nil {
				return err
			}
		}
	case kindEnd:
	default:
		return fmt.Errorf("%w: got %q in the state", errHandover, p.Kind)
	}
	return nil
}

func (c *Conn) takeBytes(n int) ([]byte, error) {
	if n <= 0 {
		return nil, nil
	}
	all := make([]byte, 0, n)
	for len(all) < n {
		data, files, err := c.receiveRaw()
		if err != nil {
			return nil, err
		}
		if len(files) > 0 || len(all)+len(data) > n {
			closeAll(files)
			return nil, fmt.Errorf("%w: a session's bytes do not end where they should", errHandover)
		}
		all = append(all, data...)
	}
	return all, nil
}

// Taken is the new process's: it says that it has all, and waits for the old one's word to go. Without that nothing is its own.
func (c *Conn) Taken() error {
	if err := c.send(packet{Kind: kindTaken}); err != nil {
		return err
	}
	_, err := c.expect(kindGo)
	return err
}
