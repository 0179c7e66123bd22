package door

import (
	"bytes"

	"mcproxy/protocol"
)

// Rules are what clients of a listener may ask. They are immutable.
type Rules struct {
	verbs    [protocol.Verbs]bool
	plain    bool     // of mg only what changes nothing; and of stats no argument
	prefixes [][]byte // that keys must begin with; nil: keys may be any
}

// VerbsToRead are the verbs that change nothing and tell only what clients stored, but for those that any client may use: of mg without the
// flags that change an item, of stats without an argument.
func VerbsToRead() []protocol.Verb {
	return []protocol.Verb{protocol.Get, protocol.Gets, protocol.MetaGet, protocol.MetaDebug, protocol.Stats}
}

// newRules gives nil if everything may be asked.
func newRules(c *Config) *Rules {
	if c.Verbs == nil && c.Prefixes == nil && !c.ReadOnly {
		return nil
	}
	r := &Rules{plain: c.ReadOnly}
	for v := range r.verbs {
		r.verbs[v] = c.Verbs == nil && !c.ReadOnly
	}
	for _, v := range c.Verbs {
		r.verbs[v] = true
	}
	if c.ReadOnly {
		for _, v := range VerbsToRead() {
			r.verbs[v] = true
		}
	}
	// What any client may use: it concerns its own conn alone, or nothing. Refused is answered with an error anyway.
	for _, v := range []protocol.Verb{protocol.Refused, protocol.Version, protocol.Verbosity, protocol.Quit, protocol.MetaNoop} {
		r.verbs[v] = true
	}
	for _, p := range c.Prefixes {
		r.prefixes = append(r.prefixes, []byte(p))
	}
	if r.prefixes != nil { // it takes everybody's keys away
		r.verbs[protocol.FlushAll] = false
	}
	return r
}

// Refusal gives the answer to a request that is not permitted, or "".
func (r *Rules) Refusal(req *protocol.Request) string {
	switch {
	case !r.verbs[req.Verb]:
		return protocol.VerbForbidden
	case req.Verb == protocol.MetaGet && r.plain && changes(req):
		return protocol.VerbForbidden
	case req.Verb == protocol.Stats && len(req.Arg) > 0 && (r.plain || r.prefixes != nil): // it may tell keys
		return protocol.VerbForbidden
	case r.prefixes == nil || req.Key == nil:
		return ""
	case req.NumKeys <= 1:
		return r.keyRefusal(req.Key)
	}
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		if answer := r.keyRefusal(key); answer != "" {
			return answer
		}
	}
	return ""
}

func (r *Rules) keyRefusal(key []byte) string {
	for _, p := range r.prefixes {
		if bytes.HasPrefix(key, p) {
			return ""
		}
	}
	return protocol.KeyForbidden
}

// changes says whether an mg makes or changes an item: its lifetime, or who is to fill it again.
func changes(req *protocol.Request) bool {
	for f, _, rest := protocol.NextFlag(req.MetaFlags); f != 0; f, _, rest = protocol.NextFlag(rest) {
		if f == 'N' || f == 'R' || f == 'T' || f == 'E' {
			return true
		}
	}
	return false
}
