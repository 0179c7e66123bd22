package pool

import (
	"bytes"

	"mcproxy/backend"
	"mcproxy/internal/statlines"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
)

// A fan is one request on its way to every backend of a pool: flush_all and stats. It is rare, and plain.
type fan struct {
	pool   *Pool
	x      *Exchange
	parts  []fanPart
	open   int
	finish func(f *fan) []byte
}

type fanPart struct {
	of   *fan
	call backend.Call
	got  []byte         // the raw answer
	err  *backend.Error // or why there is none
	bad  bool           // the answer is an error line
}

// fanOut sends a keyless request to every backend; finish makes the client's answer when all have ended.
func (p *Pool) fanOut(x *Exchange, req *protocol.Request, affinity uint32, finish func(f *fan) []byte) {
	f := &fan{pool: p, x: x, parts: make([]fanPart, len(p.Pipelines)), open: len(p.Pipelines) + 1, finish: finish}
	p.Figures.Came(req.Verb)
	for i, pl := range p.Pipelines {
		part := &f.parts[i]
		part.of = f
		part.call.Owner = part
		if err := pl.Send(&part.call, req, affinity); err != nil {
			part.Fail(&part.call, nil, err)
		}
	}
	f.ended()
}

func (a *fanPart) Answer(_ *backend.Call, r *protocol.Response, raw []byte) error {
	a.got = append(a.got, raw...)
	a.bad = a.bad || r.Status.IsError()
	if r.Last {
		a.of.ended()
	}
	return nil
}

func (a *fanPart) Fail(_ *backend.Call, _ []byte, err *backend.Error) {
	a.err = err
	a.of.pool.Figures.Failures++
	a.of.ended()
}

func (f *fan) ended() {
	if f.open--; f.open == 0 {
		f.x.To.Finish(f.x, f.finish(f))
	}
}

// FlushAll sends flush_all to every backend, if the pool allows it, and answers when all have answered: OK, or the first
// failure. A pool that does not allow it says so in memcached's own words (its option -F).
func (p *Pool) FlushAll(x *Exchange, req *protocol.Request, affinity uint32) {
	quiet := req.NoReply
	answer := func(s []byte) []byte {
		if quiet {
			return nil
		}
		return s
	}
	if !p.Shared.Config.AllowFlushAll {
		p.Figures.Came(req.Verb) // who looks for such clients wants to know of these too
		x.To.Finish(x, answer([]byte("CLIENT_ERROR flush_all not allowed\r\n")))
		return
	}
	verdict := func(f *fan) []byte {
		for i := range f.parts {
			switch part := &f.parts[i]; {
			case part.err != nil:
				return answer(steps.AppendError(nil, part.err))
			case part.bad:
				return answer(part.got)
			}
		}
		return answer([]byte(protocol.OK))
	}
	if p.replicas == nil {
		p.fanOut(x, req, affinity, verdict)
		return
	}
	// A copy may have been made meanwhile, on a backend that was flushed, of what one had that was not yet.
	first := *x
	first.To = flushed(func() {
		p.Figures.Requests[req.Verb]--
		p.fanOut(x, req, affinity, verdict)
	})
	own := protocol.Request{Verb: req.Verb, Arg: bytes.Clone(req.Arg), ValueLen: -1, NoReply: req.NoReply, Exptime: req.Exptime}
	req = &own
	p.fanOut(&first, req, affinity, func(*fan) []byte { return nil })
}

// flushed is called when all backends have been flushed.
type flushed func()

// Finish is Requester's.
func (f flushed) Finish(*Exchange, []byte) { f() }

// Version answers `version` with what the oldest backend says, so that a client which looks at it sends nothing that a backend
// does not know. While none is known the backends are asked; if none answers, own is the answer.
func (p *Pool) Version(x *Exchange, req *protocol.Request, affinity uint32, own string) {
	if v := p.Shared.Version(); v != "" {
		x.To.Finish(x, append(append(append(p.answer[:0], "VERSION "...), v...), "\r\n"...))
		return
	}
	p.fanOut(x, req, affinity, func(f *fan) []byte {
		v, answered := own, false
		for i := range f.parts {
			got, ok := bytes.CutPrefix(bytes.TrimRight(f.parts[i].got, "\r\n"), []byte("VERSION "))
			switch {
			case !ok || f.parts[i].err != nil:
			case answered:
				v = statlines.OlderVersion(v, string(got))
			default:
				v, answered = string(got), true
			}
		}
		return []byte("VERSION " + v + "\r\n")
	})
}

// harmless says whether an argument of stats changes nothing on the server and tells no keys. (memcached's process_stat; an argument that
// it does not know is none of these)
func harmless(arg []byte) bool {
	word, _, _ := bytes.Cut(arg, []byte(" "))
	switch string(word) {
	case "reset", "detail", "cachedump", "sizes_enable", "sizes_disable":
		return false
	}
	return true
}

// Stats answers `stats`: the sums of the backends' figures, then extra (whole STAT lines). With an argument it is the
// backend's own answer, which takes a pool of one backend.
func (p *Pool) Stats(x *Exchange, req *protocol.Request, affinity uint32, extra []byte) {
	if len(req.Arg) > 0 {
		if len(p.Pipelines) != 1 {
			x.To.Finish(x, []byte("CLIENT_ERROR stats with an argument needs a pool of one backend\r\n"))
			return
		}
		if !p.Shared.Config.AllowStatsAll && !harmless(req.Arg) {
			x.To.Finish(x, []byte(protocol.NotAllowed))
			return
		}
		p.fanOut(x, req, affinity, func(f *fan) []byte {
			if err := f.parts[0].err; err != nil {
				return steps.AppendError(nil, err)
			}
			return f.parts[0].got
		})
		return
	}
	p.fanOut(x, req, affinity, func(f *fan) []byte {
		var sum statlines.Sum
		for i := range f.parts {
			if part := &f.parts[i]; part.err == nil && !part.bad {
				sum.Add(part.got)
			}
		}
		return append(append(sum.AppendLines(nil), extra...), protocol.End...)
	})
}

// Version is the oldest version among the pool's backends that are known, or "".
func (s *Shared) Version() string {
	oldest := ""
	for _, b := range s.Backends {
		switch v := b.Version(); {
		case v == "":
		case oldest == "":
			oldest = v
		default:
			oldest = statlines.OlderVersion(oldest, v)
		}
	}
	return oldest
}
