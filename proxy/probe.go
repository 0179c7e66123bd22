package proxy

import (
	"context"
	"fmt"

	"mcproxy/proxy/porch"
)

// probeRequest goes all the way that a client's request goes, to a backend and back; what the answer says does not matter.
const probeRequest = "get mcproxy:probe\r\n"

// Probe asks each worker as a client would, and gives an error if one does not answer before ctx is done.
func (s *Server) Probe(ctx context.Context) error {
	if !s.ready.Load() {
		return ErrNotServing
	}
	for i, w := range s.workers {
		if err := porch.Knock(ctx, probeRequest, w.letProbeIn); err != nil {
			return fmt.Errorf("worker %d does not answer: %w", i, err)
		}
	}
	return nil
}

// letProbeIn has the worker adopt a client who may ask everything.
func (w *worker) letProbeIn(fd int) bool {
	g := porch.Guest{FD: fd, By: w.srv.tables.Load().acceptors[0]}
	w.srv.conns.Add(1)
	g.By.Counts.Conns.Add(1)
	w.conns.Add(1)
	if !w.loop.Post(func() {
		if s := w.adopt(g); s != nil {
			s.gate = nil
		}
	}) {
		w.gone(g.By)
		return false
	}
	return true
}
