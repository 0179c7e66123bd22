package order_test

import (
	"testing"

	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy/order"
)

// parse reads a request line.
func parse(t *testing.T, line string) *protocol.Request {
	t.Helper()
	req := new(protocol.Request)
	if n, err := protocol.ParseRequest([]byte(line+"\r\n"), req); err != nil || n != len(line)+2 {
		t.Fatalf("%q: %d, %v", line, n, err)
	}
	return req
}

// A client is a book, and what its session does with it.
type client struct {
	t      *testing.T
	book   order.Book
	splits bool
}

// asks begins a request, of which the pool says what set says; nil: it must wait.
func (c *client) asks(line string, set func(x *pool.Exchange)) *pool.Exchange {
	c.t.Helper()
	req := parse(c.t, line)
	if c.book.Holds() || c.book.Overtakes(req, c.splits) {
		return nil
	}
	x := new(pool.Exchange)
	c.book.Begin(x)
	if req.Verb.IsRead() {
		c.book.Read(x)
	}
	key := req.Key
	switch {
	case req.Verb.IsWrite():
		x.Size = 1
		c.book.Write()
		if c.splits {
			c.book.Doubt(x, req)
		}
	case req.NumKeys > 1:
		c.book.Gather(x)
		key = nil
	default:
		c.book.Get(x)
	}
	if set != nil {
		set(x)
	}
	c.book.Begun(x, key, c.splits)
	return x
}

// answered ends a request, the oldest.
func (c *client) answered(x *pool.Exchange) {
	c.book.Finished(x, false)
	x.Done = true
	c.book.Sent(x, false)
}

func strays(x *pool.Exchange) { x.Strays = true }
func waits(x *pool.Exchange)  { x.Waits = true }
func lane(x *pool.Exchange)   { x.Lane, x.Strays = true, true }

// TestOvertakes asks for one thing after another, and for a third that must wait for the first, or need not.
func TestOvertakes(t *testing.T) {
	for _, tt := range []struct {
		name, first string
		set         func(*pool.Exchange)
		splits      bool
		then        string
		waits       bool
	}{
		{"a write behind a read that strays", "get a", strays, false, "set a 0 0 1", true},
		{"of another key", "get a", strays, false, "set b 0 0 1", false},
		{"a read behind it", "get a", strays, false, "get a", false},
		{"a touch behind it", "get a", strays, false, "gat 0 a", true},
		{"flush_all behind it", "get a", strays, false, "flush_all", true},
		{"a write behind several keys", "get a b", strays, false, "delete c", true}, // they are not told apart
		{"a write behind a plain read", "get a", nil, false, "set a 0 0 1", false},
		{"where values may be split", "get a", nil, true, "set a 0 0 1", true},
		{"and of another key", "get a", nil, true, "set b 0 0 1", false},
		{"several keys where values may be split", "get a b", nil, true, "set b 0 0 1", true},
		{"none of them", "get a b", nil, true, "set c 0 0 1", false},
		{"several keys behind what counts", "incr n 1", nil, true, "get a n", true},
		{"one key behind what counts", "incr n 1", nil, true, "get n", true},
		{"what counts, where nothing is split", "incr n 1", nil, false, "get n", false},
		{"a set that compares", "ms n 1 C5", nil, true, "mg n v", true},
		{"a set that does not", "ms n 1", nil, true, "mg n v", false},
		{"a read behind one in a lane", "get a", lane, false, "get a", true},
		{"anything behind what waits", "get a", waits, false, "version", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &client{t: t, splits: tt.splits}
			x := c.asks(tt.first, tt.set)
			if then := c.asks(tt.then, nil); (then == nil) != tt.waits {
				t.Fatalf("%s behind %s waits: %t, want %t", tt.then, tt.first, then == nil, tt.waits)
			}
			if !tt.waits {
				return
			}
			c.answered(x)
			if c.asks(tt.then, nil) == nil {
				t.Fatalf("%s waits when %s is answered", tt.then, tt.first)
			}
		})
	}
}

// TestHoldEnds has a write wait for a read of a copy: when that is over, the client pipelines as before.
func TestHoldEnds(t *testing.T) {
	c := &client{t: t}
	x := c.asks("get a", strays)
	if c.asks("set a 0 0 1", nil) != nil {
		t.Fatal("the write overtakes the read")
	}
	c.answered(x)
	for _, line := range []string{"set a 0 0 1", "get b", "get c", "get a d"} {
		if c.asks(line, nil) == nil {
			t.Fatalf("%q waits", line)
		}
	}
}

// TestSharing tells which gets may share a fetch, and which of them not one that is queued already.
func TestSharing(t *testing.T) {
	c := &client{t: t}
	want := func(line string, alone, behind bool) *pool.Exchange {
		t.Helper()
		x := c.asks(line, nil)
		if x.Alone != alone || x.Behind != behind {
			t.Errorf("%s: alone %t, behind %t, want %t, %t", line, x.Alone, x.Behind, alone, behind)
		}
		return x
	}
	first := want("get a", false, false)
	several := want("get a b", false, false)
	second := want("get a", false, true)
	c.answered(first)
	third := want("get a", false, true)
	c.answered(several)
	want("get a", false, false)
	write := c.asks("set c 0 0 1", nil)
	want("get a", true, false)
	want("get a b", true, false)
	c.answered(second)
	c.answered(third)
	c.book.Finished(write, false) // before its turn to be answered
	want("get a", false, true)

	c = &client{t: t}
	fence := c.asks("gets a", func(x *pool.Exchange) { x.Fences = true })
	want("get a", false, true)
	c.answered(fence)
	want("get a", false, false)
}

// TestFinishedAtOnce ends requests while their pool begins them: nothing is left of them.
func TestFinishedAtOnce(t *testing.T) {
	c := &client{t: t}
	for _, set := range []func(*pool.Exchange){strays, waits, lane} {
		x := new(pool.Exchange)
		c.book.Begin(x)
		if !x.Sole {
			t.Fatal("the client has something under way")
		}
		c.book.Read(x)
		set(x)
		c.book.Finished(x, true)
		c.book.Sent(x, true)
		*x = pool.Exchange{} // as a session does it with those that it is done with
		c.book.Begun(x, []byte("a"), false)
		if c.book.Pending() != 0 || c.book.Holds() || c.asks("set a 0 0 1", nil) == nil {
			t.Fatal("the next request waits")
		}
		c = &client{t: t}
	}
}
