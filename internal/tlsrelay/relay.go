package tlsrelay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// errEnd is the end of a stream.
var errEnd = io.EOF

const (
	smallRead    = 1 << 10         // bytes of buffer that an idle relay keeps
	defaultGrace = 5 * time.Second // for the peer to take what is left when the loop has closed its end
)

// A buffer is what one read or write of a busy relay takes: a record's worth.
type buffer [16 << 10]byte

// A Group has all relays of a process.
type Group struct {
	ctx     context.Context // done when handshakes are to end
	cancel  context.CancelFunc
	grace   time.Duration
	running sync.WaitGroup
	buffers sync.Pool

	handshaking atomic.Int64

	mu     sync.Mutex
	relays map[*Relay]struct{} // guarded by mu: those that have not ended
}

// NewGroup makes a group. Close ends it.
func NewGroup() *Group {
	g := &Group{grace: defaultGrace, buffers: sync.Pool{New: func() any { return new(buffer) }}, relays: make(map[*Relay]struct{})}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Stop ends the handshakes that are under way, and those that begin later. Relays go on.
func (g *Group) Stop() { g.cancel() }

// Close ends handshakes that are under way, and waits for the relays, which end soon after the loops have closed their ends.
func (g *Group) Close() {
	g.cancel()
	g.running.Wait()
}

// Handshaking is how many handshakes are under way. One that is not counted any more has been told to its Done.
func (g *Group) Handshaking() int { return int(g.handshaking.Load()) }

// Relays is how many relays there are.
func (g *Group) Relays() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.relays)
}

// Outlast is Close where others have the loops' ends by now, who cannot say when they have closed them. When ctx is done the relays that
// are left end at once.
func (g *Group) Outlast(ctx context.Context) {
	g.cancel()
	tick := time.NewTicker(g.grace)
	defer tick.Stop()
	all := make(chan struct{})
	go func() { // ends with the last relay, for which the loop below sees to it
		defer close(all)
		g.running.Wait()
	}()
	told := make(map[*Relay]bool)
	for {
		select {
		case <-all:
			return
		case <-tick.C:
			g.each(func(r *Relay) {
				if !told[r] && r.plain.left() {
					told[r] = true
					r.HangUp()
				}
			})
		case <-ctx.Done():
			g.each((*Relay).end)
			<-all
			return
		}
	}
}

func (g *Group) each(do func(*Relay)) {
	g.mu.Lock()
	relays := slices.Collect(maps.Keys(g.relays))
	g.mu.Unlock()
	for _, r := range relays {
		do(r)
	}
}

func (g *Group) get() *buffer  { return g.buffers.Get().(*buffer) }
func (g *Group) put(b *buffer) { g.buffers.Put(b) }

// A Relay is one TLS conn.
type Relay struct {
	group *Group
	outer *socket
	conn  *tls.Conn // over outer
	plain *socket
	small [smallRead]byte
}

// A Done hears how a handshake ended: fd is the loop's end of the relay, or err says why there is none. It is called once, from another
// goroutine.
type Done func(fd int, r *Relay, err error)

// Accept is the server's side of a handshake, on a conn that was accepted, which is the group's from now on.
func (g *Group) Accept(fd int, c *tls.Config, timeout time.Duration, done Done) {
	g.start(fd, timeout, func(s *socket) *tls.Conn { return tls.Server(s, c) }, done)
}

// Connect is the client's side, on a conn to a server that has a certificate for name. cancel ends a handshake that is under way.
func (g *Group) Connect(fd int, c *tls.Config, name string, timeout time.Duration, done Done) (cancel context.CancelFunc) {
	c = c.Clone()
	c.ServerName = name
	return g.start(fd, timeout, func(s *socket) *tls.Conn { return tls.Client(s, c) }, done)
}

func (g *Group) start(fd int, timeout time.Duration, wrap func(s *socket) *tls.Conn, done Done) context.CancelFunc {
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	g.handshaking.Add(1)
	g.running.Go(func() { // ends with the handshake, at the latest with ctx; Close waits for it
		defer g.handshaking.Add(-1)
		defer cancel()
		r, theirs, err := g.handshake(ctx, fd, wrap)
		if err != nil {
			done(-1, nil, err)
			return
		}
		// Both end when either side does; Close waits for them.
		g.mu.Lock()
		g.relays[r] = struct{}{}
		g.mu.Unlock()
		g.running.Go(r.inward)
		g.running.Go(r.outward)
		done(theirs, r, nil)
	})
	return cancel
}

func (g *Group) handshake(ctx context.Context, fd int, wrap func(s *socket) *tls.Conn) (r *Relay, theirs int, err error) {
	outer, err := newSocket(fd, "tls")
	if err != nil {
		unix.Close(fd)
		return nil, -1, err
	}
	r = &Relay{group: g, outer: outer, conn: wrap(outer)}
	if err := r.conn.HandshakeContext(ctx); err != nil {
		defer outer.Close()
		if cause := ctx.Err(); cause != nil {
			return nil, -1, cause
		}
		answerPlain(outer, err)
		return nil, -1, err
	}
	if r.plain, theirs, err = pair(); err != nil {
		outer.Close()
		return nil, -1, err
	}
	return r, theirs, nil
}

// plainAnswer is what a client gets that does not speak TLS, but maybe memcached's protocol.
const plainAnswer = "CLIENT_ERROR this listener speaks TLS\r\n"

func answerPlain(outer *socket, err error) {
	if !IsPlain(err) {
		return
	}
	_ = outer.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = outer.Write([]byte(plainAnswer)) // a fresh socket's buffer takes it, and if not, nobody minds
}

// IsPlain says whether a handshake failed because the other end does not speak TLS.
func IsPlain(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) && header.Conn != nil
}

// IsUntrusted says whether a handshake failed because the other end's certificate does not come from the authorities, or is not for its name.
func IsUntrusted(err error) bool {
	var untrusted *tls.CertificateVerificationError
	return errors.As(err, &untrusted)
}

// IsRefusal says whether a handshake failed because the other end broke it off and said so.
func IsRefusal(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" // crypto/tls, Conn.readRecordOrCCS
}

// HangUp is to be called when the loop has closed its end of a conn whose peer may still read: it gets what was written, within a few
// seconds. It does not wait.
func (r *Relay) HangUp() { _ = r.outer.SetDeadline(time.Now().Add(r.group.grace)) }

// Abort is to be called when the loop has closed its end: nothing more goes to the peer. It does not wait.
func (r *Relay) Abort() { r.outer.shutdown(unix.SHUT_RDWR) }

// end closes the relay's sockets; twice is harmless.
func (r *Relay) end() {
	r.outer.Close()
	r.plain.Close()
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	delete(r.group.relays, r)
}

// inward carries bytes from the peer to the loop.
func (r *Relay) inward() {
	for {
		n, err := r.conn.Read(r.small[:])
		if n > 0 && !r.give(r.small[:n]) {
			return
		}
		if err == nil && n == len(r.small) {
			err = r.inwardBulk()
		}
		switch {
		case err == nil:
		case errors.Is(err, errDeaf):
			return
		case errors.Is(err, io.EOF): // the peer sends nothing more, and may still read
			r.plain.shutdown(unix.SHUT_WR)
			return
		default:
			r.end()
			return
		}
	}
}

// errDeaf says that the loop has closed its end.
var errDeaf = errors.New("the loop's end is closed")

// give writes to the loop. false: it listens no more; what it wrote before is outward's, which ends the relay.
func (r *Relay) give(p []byte) bool {
	_, err := r.plain.Write(p)
	return err == nil
}

// inwardBulk carries what is there already.
func (r *Relay) inwardBulk() error {
	b := r.group.get()
	defer r.group.put(b)
	r.outer.hasty = true
	defer func() { r.outer.hasty = false }()
	for {
		n, err := r.conn.Read(b[:])
		if n > 0 && !r.give(b[:n]) {
			return errDeaf
		}
		switch {
		case errors.Is(err, errNothing{}):
			return nil
		case err != nil:
			return err
		}
	}
}

// outward carries bytes from the loop to the peer, and ends the relay when the loop has closed its end.
func (r *Relay) outward() {
	defer r.end()
	for {
		b, n, err := r.plain.readInto(r.group.get, r.group.put)
		if n > 0 {
			_, err = r.conn.Write(b[:n])
		}
		if b != nil {
			r.group.put(b)
		}
		if err != nil {
			if n == 0 {
				_ = r.conn.CloseWrite() // the peer is told, if it is there
			}
			return
		}
	}
}
