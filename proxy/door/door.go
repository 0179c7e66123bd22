package door

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/secrets"
	"mcproxy/internal/tlsrelay"
	"mcproxy/protocol"
)

// Config is what a listener asks. The zero value asks nothing.
type Config struct {
	// With Cert it speaks TLS, 1.2 or newer. The files are PEM.
	Cert, Key        string
	ClientCA         string        // clients must show a certificate of it; "": they need none
	HandshakeTimeout time.Duration // 0 is 5 s
	MaxHandshakes    int           // under way at once; one more waits to be accepted; 0 is 1,024

	AuthFile string          // who may use it, as memcached's file of users; "": anybody
	Allow    []netip.Prefix  // networks that clients may come from; nil: any
	ReadOnly bool            // VerbsToRead may be used, and Verbs
	Verbs    []protocol.Verb // that may be used; nil without ReadOnly: all
	Prefixes []string        // that keys must begin with; nil: any key will do
}

// A Door is what a listener asks of its clients. It is immutable, but for the content of its files.
type Door struct {
	Users *secrets.Users // who may log in; nil: nobody has to
	Rules *Rules         // nil: everything may be asked

	allow    []netip.Prefix    // nil: all
	identity *secrets.Identity // nil: no TLS
	timeout  time.Duration     // of a handshake
	places   chan struct{}     // has one for each handshake that is under way
}

// New reads the files of a listener.
func New(c *Config) (*Door, error) {
	d := &Door{
		allow: c.Allow, timeout: cmp.Or(c.HandshakeTimeout, 5*time.Second), places: make(chan struct{}, cmp.Or(c.MaxHandshakes, 1024)),
		Rules: newRules(c),
	}
	var err error
	if c.Cert != "" {
		if d.identity, err = secrets.LoadServer(secrets.PEM{Cert: c.Cert, Key: c.Key, CA: c.ClientCA}); err != nil {
			return nil, err
		}
	}
	if c.AuthFile != "" {
		if d.Users, err = secrets.LoadUsers(c.AuthFile); err != nil {
			return nil, fmt.Errorf("auth_file: %w", err)
		}
	}
	return d, nil
}

// Secrets are the door's files.
func (d *Door) Secrets() (all []secrets.Refresher) {
	if d.identity != nil {
		all = append(all, d.identity)
	}
	if d.Users != nil {
		all = append(all, d.Users)
	}
	return all
}

// Admits says whether a client from that address may come in; one without a valid address comes by a unix socket.
func (d *Door) Admits(from netip.Addr) bool {
	return d.allow == nil || !from.IsValid() || slices.ContainsFunc(d.allow, func(p netip.Prefix) bool { return p.Contains(from) })
}

// Encrypts says whether the listener speaks TLS.
func (d *Door) Encrypts() bool { return d.identity != nil }

// Handshaking is how many handshakes are under way.
func (d *Door) Handshaking() int { return len(d.places) }

// Expires is when the certificate does, of a listener with TLS.
func (d *Door) Expires() time.Time { return d.identity.Expires() }

// Accept begins the handshake on a conn to a listener with TLS; fd is the group's from now on. It waits for a place; false: closed was
// closed meanwhile, and done is not called.
func (d *Door) Accept(group *tlsrelay.Group, fd int, closed <-chan struct{}, done tlsrelay.Done) bool {
	select {
	case d.places <- struct{}{}:
	case <-closed:
		unix.Close(fd)
		return false
	}
	group.Accept(fd, d.identity.Config(), d.timeout, func(fd int, r *tlsrelay.Relay, err error) {
		done(fd, r, err)
		<-d.places
	})
	return true
}

// An Outcome is how a handshake with a client ended.
type Outcome uint8

// The outcomes.
const (
	Done        Outcome = iota
	Plain               // the client does not speak TLS
	Slow                // it took longer than HandshakeTimeout
	Certificate         // the client shows no certificate, or one that is not the authority's
	GivenUp             // the client refused: it does not trust our certificate, for one
	Broken              // the client is gone, or what it sent is no TLS that we speak
	Outcomes            // how many there are
)

func (o Outcome) String() string {
	return [...]string{"done", "plain", "timeout", "certificate", "given_up", "broken"}[o]
}

// OutcomeOf sorts what a handshake ended with.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Done
	case tlsrelay.IsPlain(err):
		return Plain
	case errors.Is(err, context.DeadlineExceeded):
		return Slow
	case errors.Is(err, secrets.ErrNoCertificate), tlsrelay.IsUntrusted(err):
		return Certificate
	case tlsrelay.IsRefusal(err):
		return GivenUp
	}
	return Broken
}
