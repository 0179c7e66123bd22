package porch

import (
	"slices"
	"time"

	"mcproxy/internal/handover"
	"mcproxy/proxy/door"
)

// A Row has the acceptors of a configuration, in its order.
type Row []*Acceptor

// OpenAll opens the listeners that former does not have, and takes those that it has. On an error it gives what it has, to be closed.
func (h *House) OpenAll(configs []Config, former Row, keepalive time.Duration, inherited []handover.Listener) (row Row, err error) {
	left := slices.Clone(former)
	for _, c := range configs {
		i := slices.IndexFunc(left, func(a *Acceptor) bool { return a.Config.Network == c.Network && a.Config.Address == c.Address })
		if i >= 0 {
			row = append(row, left[i])
			left = slices.Delete(left, i, i+1)
			continue
		}
		a, err := h.Open(c, keepalive, inherited)
		if err != nil {
			return row, err
		}
		row = append(row, a)
	}
	return row, nil
}

// Start has those accept that former does not have.
func (r Row) Start(former Row) {
	for _, a := range r {
		if !slices.Contains(former, a) {
			a.start()
		}
	}
}

// CloseBut closes those that next does not have.
func (r Row) CloseBut(next Row) {
	for _, a := range r {
		if !slices.Contains(next, a) {
			a.close()
		}
	}
}

// Pause has those with TLS, or those without, accept nobody any more: clients wait in the kernel's queue. It gives how many have not come
// to rest yet; House.Wait waits for them.
func (r Row) Pause(encrypted bool) (running int) {
	for _, a := range r {
		if a.Door.Load().Encrypts() == encrypted {
			a.pause()
			if a.running.Load() {
				running++
			}
		}
	}
	return running
}

// Resume undoes Pause.
func (r Row) Resume() {
	for _, a := range r {
		a.resume()
	}
	r.Start(nil)
}

// Drain takes the clients who have connected and were not accepted yet, and closes the listeners.
func (r Row) Drain() {
	for _, a := range r {
		a.pause()
	}
	for _, a := range r {
		a.house.Wait()
		a.drainQueue()
		a.close()
	}
}

// Leave closes the sockets, which are another process's by now.
func (r Row) Leave() {
	for _, a := range r {
		a.leave()
	}
}

// Handover describes the sockets for another process. The files are the acceptors'.
func (r Row) Handover() (all []handover.Listener) {
	for _, a := range r {
		all = append(all, a.handover())
	}
	return all
}

// Heir finds the acceptor of the i-th socket that another process had; nil: there is none.
func (r Row) Heir(theirs []handover.Listener, i int) *Acceptor {
	if i < 0 || i >= len(theirs) {
		return nil
	}
	if j := slices.IndexFunc(r, func(a *Acceptor) bool { return theirs[i].Is(a.Config.Network, a.Config.Address) }); j >= 0 {
		return r[j]
	}
	return nil
}

// Figures are one listener's.
type Figures struct {
	Address  string // as configured
	Conns    int    // open now
	Accepted uint64
	Rejected uint64 // there were too many
	Denied   uint64 // from networks that are not allowed

	TLS         bool
	Handshakes  map[string]uint64 // by how they ended: "done", "plain", "timeout", "certificate", "given_up", "broken"; of a listener with TLS
	Handshaking int               // under way
	Expires     time.Time         // when its certificate does
}

// Figures gives those of all.
func (r Row) Figures() (all []Figures) {
	for _, a := range r {
		c := &a.Counts
		f := Figures{
			Address: a.Config.Address, Conns: int(c.Conns.Load()), Accepted: c.Accepted.Load(), Rejected: c.Rejected.Load(), Denied: c.Denied.Load(),
		}
		if d := a.Door.Load(); d.Encrypts() {
			f.TLS, f.Handshaking, f.Expires, f.Handshakes = true, d.Handshaking(), d.Expires(), make(map[string]uint64)
			for o := range c.Handshakes {
				f.Handshakes[door.Outcome(o).String()] = c.Handshakes[o].Load()
			}
		}
		all = append(all, f)
	}
	return all
}
