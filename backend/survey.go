package backend

import (
	"mcproxy/internal/statlines"
	"mcproxy/protocol"
)

// maxStats is how many bytes of an answer to `stats` are looked at; memcached's has about 2 KiB.
const maxStats = 64 << 10

// A survey asks a backend for its own figures now and then, on its keeper's conn, where no call waits behind it.
type survey struct {
	k    *keeper
	open bool   // asked, and not answered
	next int64  // Loop time when to ask again
	raw  []byte // the answer so far
}

// due asks if it is time, and gives when to look again (0: something else will bring the keeper back).
func (s *survey) due(now int64) (next int64) {
	every := int64(s.k.b.Options().StatsInterval)
	if every <= 0 || s.open || s.k.b.State() != StateUp {
		return 0
	}
	if now < s.next {
		return s.next
	}
	s.next = now + every
	cn, err := s.k.pipe.conn(0)
	if err != nil {
		return s.next
	}
	s.open, s.raw = true, s.raw[:0]
	s.k.pipe.sendInternal(cn, s, appendStats, int64(s.k.b.Options().StallTimeout))
	return s.next
}

func appendStats(dst []byte) ([]byte, protocol.Verb) {
	return append(dst, "stats\r\n"...), protocol.Stats
}

// Answer takes a line.
func (s *survey) Answer(_ *Call, r *protocol.Response, raw []byte) error {
	if len(s.raw)+len(raw) <= maxStats {
		s.raw = append(s.raw, raw...)
	}
	if r.Last {
		s.open = false
		if stats, ok := statlines.Read(s.raw); ok {
			s.k.b.stats.Store(&stats)
		}
		s.k.b.kick()
	}
	return nil
}

// Fail takes a survey that was not answered: the figures stay what they were.
func (s *survey) Fail(*Call, []byte, *Error) {
	s.open = false
	s.k.b.kick()
}

// Stats is what the backend last said of itself, or nil before it ever did. It is not to be changed.
func (b *Backend) Stats() *statlines.Server { return b.stats.Load() }
