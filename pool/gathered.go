package pool

import (
	"bytes"

	"mcproxy/protocol"
)

// countGathered is how many bytes are gathered before they count.
const countGathered = 16 << 10

// gatheredOverLimit is the answer when the process holds too much.
const gatheredOverLimit = "SERVER_ERROR overloaded\r\n"

// count tells Dial how much is gathered. If that is too much, the answer is given up.
func (t *gathering) count() bool {
	d := t.g.Dial
	more := t.size - t.counted
	if d.Refuses(more, t.g.loop.Now) {
		if string(t.refusal) != gatheredOverLimit {
			t.refusal = append(t.refusal[:0], gatheredOverLimit...)
			t.g.Shed++
		}
		return false
	}
	d.Add(more)
	t.counted = t.size
	return true
}

// assemble puts the fragments' values into the order of the request's keys.
func (t *gathering) assemble() []byte {
	answer := t.g.loop.Buffers.Get(t.size + len(protocol.End))
	for i, rest := 0, t.keys; i < len(t.owner); i++ {
		var key []byte
		key, rest = protocol.NextKey(rest)
		if t.owner[i] < 0 {
			continue
		}
		f := t.frags[t.owner[i]]
		n := unitOf(f.got[f.taken:], key)
		answer = append(answer, f.got[f.taken:f.taken+n]...)
		f.taken += n
	}
	return append(answer, protocol.End...)
}

// unitOf gives the length of the VALUE unit at the start of units if it is key's, else 0.
func unitOf(units, key []byte) int {
	const head = len("VALUE ")
	if len(units) < head+len(key)+1 || units[head+len(key)] != ' ' || !bytes.Equal(units[head:head+len(key)], key) {
		return 0
	}
	var r protocol.Response
	n, err := protocol.ParseResponse(units, protocol.ShapeValues, &r)
	if err != nil {
		return 0
	}
	return n
}
