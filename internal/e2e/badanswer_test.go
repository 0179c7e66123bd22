package e2e

import (
	"bytes"
	"testing"
)

// TestBadInputAnswerKey makes memcached 1.6.18 put a key with a line end into an answer: it forgets that an item's key came in
// base64 when it appends to it. No answer may be taken for another.
func TestBadInputAnswerKey(t *testing.T) {
	s := startService(t, 1)
	if s.memcached {
		return // it does
	}
	w := newWitness(s.endpoint)
	defer w.end(t)
	const key = "YQ0KVkFMVUUgeCAwIDENCnkNCkVORA==" // "a\r\nVALUE x 0 1\r\ny\r\nEND"
	c, other := s.dial(t), s.dial(t)
	for range 3 {
		for _, request := range []string{"ms " + key + " 1 b\r\na\r\nms " + key + " 1 b MA\r\nb\r\n", "mg " + key + " b k v\r\n", "me " + key + " b\r\n"} {
			answer, closed, err := c.exchange([]byte(request))
			if closed || err != nil {
				t.Errorf("%q: closed %v, %v", request, closed, err)
				c = s.dial(t)
			}
			if bytes.HasPrefix([]byte(request), []byte("mg ")) && !bytes.HasPrefix(answer, []byte("VA 2 ")) {
				t.Errorf("%q: %q, and the item is there: its answer has broken a conn that others share", request, answer)
			}
			if bytes.Contains(answer, []byte("\r\nVALUE x 0 1\r\ny\r\nEND")) {
				t.Errorf("%q: the key's bytes are taken for an answer: %q", request, answer)
			}
			c.ask(t, "set in-step 0 0 1\r\na\r\nget in-step\r\n", "STORED\r\nVALUE in-step 0 1\r\na\r\nEND\r\n")
			other.ask(t, "mg in-step v\r\n", "VA 1\r\na\r\n")
		}
	}
}
