package proxy

import (
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"mcproxy/internal/tlsrelay"
	"mcproxy/proxy/door"
)

// A guest is a client's conn on its way from a listener to a worker.
type guest struct {
	fd    int
	by    *acceptor
	from  netip.Addr      // invalid: a unix socket
	relay *tlsrelay.Relay // of a conn with TLS, whose plain end fd is; nil
}

// receive lets a client in that has just connected, or not. It may wait for a place for a handshake; false: the listener is closed.
func (a *acceptor) receive(fd int, sa unix.Sockaddr) bool {
	g := guest{fd: fd, by: a, from: door.AddressOf(sa)}
	d := a.door.Load()
	if !d.Admits(g.from) {
		unix.Close(fd)
		a.counts.denied.Add(1)
		a.complain(&a.counts.deniedTold, "a client comes from a network that the listener does not allow: its conn is closed", zap.String("client", door.NameOf(g.from)))
		return true
	}
	if !d.Encrypts() {
		a.srv.assign(g)
		return true
	}
	return d.Accept(a.srv.guests, fd, a.closed, func(fd int, r *tlsrelay.Relay, err error) {
		outcome := door.OutcomeOf(err)
		a.counts.handshakes[outcome].Add(1)
		if err == nil {
			g.fd, g.relay = fd, r
			a.srv.assign(g)
			return
		}
		text := "a client's TLS handshake failed"
		if outcome == door.Plain {
			text = "a client speaks plain text on a listener with TLS: its conn is closed"
		}
		a.complain(&a.counts.handshakesTold[outcome], text, zap.String("client", door.NameOf(g.from)), zap.Stringer("outcome", outcome), zap.Error(err))
	})
}

// complain logs what a client did wrong, but not for each of a thousand.
func (a *acceptor) complain(told *atomic.Int64, text string, fields ...zap.Field) {
	now := int64(time.Since(a.srv.epoch))
	last := told.Load()
	if last != 0 && now-last < int64(time.Minute) || !told.CompareAndSwap(last, now) {
		return
	}
	a.srv.log.Warn(text+" (told at most once a minute and listener)", append([]zap.Field{zap.String("listener", a.l.Address)}, fields...)...)
}
