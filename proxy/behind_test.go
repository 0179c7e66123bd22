package proxy

import (
	"bytes"
	"testing"

	"mcproxy/pool"
)

// TestPipelinedReadsStayInOrder has a client read a key twice, the first time in a way that shares no fetch, when another's fetch of it is
// queued already: if the second took part in that, it could find what was there before the first.
func TestPipelinedReadsStayInOrder(t *testing.T) {
	for _, tt := range []struct{ first, then, want string }{
		{"get k\r\n", "get k x\r\nget k\r\n", "get k\r\nget k x\r\nget k\r\n"},
		{"get k\r\n", "gets k\r\nget k\r\n", "get k\r\ngets k\r\nget k\r\n"},
		{"gets k\r\n", "get k\r\ngets k\r\n", "gets k\r\nget k\r\ngets k\r\n"},
		{"get k\r\n", "mg k v\r\nget k\r\n", "get k\r\nmg k v\r\nget k\r\n"},
		{"get k\r\n", "get k\r\nget k\r\n", "get k\r\n"}, // nothing is in between
		{"get k\r\n", "version\r\nget k\r\n", "get k\r\n"},
	} {
		c := newCrowd(t, Config{Pools: []pool.Config{{
			Name: "main", Coalesce: pool.CoalesceAll, Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1"}},
		}}}, 2)
		c.store("k", 3)
		c.clients[1].sends("get k\r\n") // the conn to the backend; who was heard comes last the next time
		c.turns(5)
		var asked bytes.Buffer
		c.asked = &asked
		c.clients[0].sends(tt.first)
		c.clients[1].sends(tt.then)
		c.turns(5)
		if asked.String() != tt.want {
			t.Errorf("%q, %q: the backend is asked %q, want %q", tt.first, tt.then, &asked, tt.want)
		}
		if got := c.clients[1].got; !bytes.HasSuffix(got, []byte("\r\nvvv\r\nEND\r\n")) {
			t.Errorf("%q, %q: answered %q", tt.first, tt.then, got)
		}
		c.hangUp()
	}
}
