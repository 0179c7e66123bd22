package pool_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcproxy/pool"
	"mcproxy/protocol"
)

// chunks gives on how many servers there are items of chunks, and how many items, but for those of k.
func (h *hall) chunks() (servers, items int) {
	for _, s := range h.servers {
		n := 0
		for _, key := range s.Memory.Keys() {
			if strings.HasPrefix(key, "~mcproxy.") {
				n++
			}
		}
		if n -= 8 / len(h.servers); n > 0 { // k has 8 chunks
			servers++
			items += n
		}
	}
	return servers, items
}

func (h *hall) wantChunks(servers, items int) {
	h.t.Helper()
	if s, n := h.chunks(); s != servers || n != items {
		h.t.Errorf("%d items of chunks on %d servers, want %d on %d", n, s, items, servers)
	}
}

// unique gives a key's cas number as clients are told.
func (h *hall) unique(proxy int, key string) string {
	h.t.Helper()
	r := h.proxies[proxy].ask("mg " + key + " c v\r\n")
	h.net.Run(50 * time.Millisecond)
	line, _, _ := strings.Cut(r.text, "\r\n")
	_, unique, found := strings.Cut(line, " c")
	if !found {
		h.t.Fatalf("mg %s: %q", key, r.text)
	}
	return unique
}

// TestByteHotValueIsSpread reads a small value that becomes hot: it is rewritten once, into one chunk of so many copies, and its
// clients notice nothing.
func TestByteHotValueIsSpread(t *testing.T) {
	h := newHall(t, pool.CoalesceAll, 4)
	h.set(0, "hot", 900)
	h.wantChunks(0, 0)
	before := h.unique(0, "hot")
	h.heat(3, "hot")
	h.get(0, "hot")
	h.wantChunks(3, 3)
	h.get(0, "hot")
	h.get(0, "hot")
	if f := h.figures(0); f.Spread != 1 {
		t.Errorf("it was rewritten %d times", f.Spread)
	}
	for proxy := range 2 {
		if now := h.unique(proxy, "hot"); now != before {
			t.Errorf("its cas number was %s and is %s through proxy %d", before, now, proxy)
		}
	}
	h.heat(0)
	for _, request := range []string{
		"cas hot 7 0 5 " + before + "\r\nfirst\r\n",
		"ms hot 5 C%s\r\nagain\r\n",
	} {
		h.heat(3, "hot")
		h.set(0, "hot", 900)
		h.get(0, "hot")
		h.heat(0)
		unique := h.unique(1, "hot")
		request = strings.NewReplacer(before, unique, "%s", unique).Replace(request)
		answer := protocol.Stored
		if strings.HasPrefix(request, "ms") {
			answer = "HD\r\n"
		}
		h.want(1, request, answer) // the other proxy, which knows nothing of it
		h.want(1, strings.Replace(request, "5 ", "5 ", 1), strings.NewReplacer(protocol.Stored, protocol.Exists, "HD", "EX").Replace(answer))
	}
}

// TestSetOfAHotKey stores a hot key's value: it stands spread at once.
func TestSetOfAHotKey(t *testing.T) {
	for _, request := range []string{"set hot 7 0 900\r\n", "ms hot 900 F7\r\n", "add hot 7 0 900\r\n"} {
		h := newHall(t, pool.CoalesceAll, 4)
		h.heat(2, "hot")
		h.last = strings.Repeat("y", 900)
		answer := protocol.Stored
		if strings.HasPrefix(request, "ms") {
			answer = "HD\r\n"
		}
		h.want(0, request+h.last+"\r\n", answer)
		h.wantChunks(2, 2)
		h.get(0, "hot")
		h.get(1, "hot")
		h.set(0, "hot", 50) // as long as a manifest, more or less
		h.wantChunks(0, 0)
		h.set(0, "hot", 900)
		h.wantChunks(2, 2)
		h.heat(0)
		h.set(0, "hot", 900) // cold: plain again
		h.wantChunks(0, 0)
		if f := h.figures(0); f.Spread != 0 {
			t.Errorf("%s: it was rewritten %d times", request, f.Spread)
		}
	}
}

// TestHotterValueGetsMoreCopies lets a key become hotter, and cooler again.
func TestHotterValueGetsMoreCopies(t *testing.T) {
	h := newHall(t, pool.CoalesceAll, 4)
	h.set(0, "hot", 900)
	for _, step := range []struct{ copies, items int }{{2, 2}, {4, 4}, {3, 4}, {1, 4}, {9, 4}} {
		h.heat(step.copies, "hot")
		h.get(0, "hot")
		h.wantChunks(step.items, step.items)
		h.get(0, "hot")
	}
	if f := h.figures(0); f.Spread != 2 {
		t.Errorf("it was rewritten %d times", f.Spread)
	}
	// A value in several chunks needs fewer copies of each for as many servers.
	h.heat(4, "k")
	h.set(0, "k", 20_000)
	h.get(0, "k")
	if f := h.figures(0); f.Spread != 2 {
		t.Errorf("a value that is spread over all servers was rewritten")
	}
}

// TestSpreadKeepsTheLifetime rewrites an item that ends, and one that is touched in the meantime.
func TestSpreadKeepsTheLifetime(t *testing.T) {
	h := newHall(t, pool.CoalesceAll, 4)
	h.last = strings.Repeat("z", 900)
	h.want(0, "set hot 7 100 900\r\n"+h.last+"\r\n", protocol.Stored)
	h.heat(3, "hot")
	h.get(0, "hot")
	if f := h.figures(0); f.Spread != 1 {
		t.Fatalf("it was rewritten %d times", f.Spread)
	}
	h.want(0, "mg hot t\r\n", "HD t100\r\n")

	h.want(0, "set other 7 100 900\r\n"+h.last+"\r\n", protocol.Stored)
	h.heat(3, "other")
	home := h.home("other")
	for i, s := range h.servers { // so that the rewriting stands still between its read and its write
		if i != home {
			s.Pause()
		}
	}
	h.get(0, "other")
	h.want(0, "touch other 500\r\n", protocol.Touched)
	for _, s := range h.servers {
		s.Resume()
	}
	h.net.Run(50 * time.Millisecond)
	h.want(0, "mg other t\r\n", "HD t500\r\n")
	if f := h.figures(0); f.Spread != 1 {
		t.Errorf("a value was rewritten although a touch came in between")
	}
	h.net.Run(2 * time.Second) // it is tried again
	h.get(0, "other")
	if f := h.figures(0); f.Spread != 2 {
		t.Errorf("it was rewritten %d times", f.Spread)
	}
	h.want(0, "mg other t\r\n", "HD t498\r\n")
}

// TestCopiesShareTheReads reads a value with a copy on each server: each bears its part; and those that are slow less.
func TestCopiesShareTheReads(t *testing.T) {
	h := newHall(t, pool.CoalesceOff, 4)
	h.heat(4, "hot")
	h.set(0, "hot", 900)
	reads := func(n int) (calls [4]uint64) {
		for i := range calls {
			calls[i] = h.proxies[0].pool.Bulk(i).Figures.Calls()
		}
		var replies []*reply
		for range n {
			replies = append(replies, h.proxies[0].ask("get hot\r\n"))
			h.net.Run(100 * time.Microsecond)
		}
		h.net.Run(50 * time.Millisecond)
		for i := range calls {
			calls[i] = h.proxies[0].pool.Bulk(i).Figures.Calls() - calls[i]
		}
		for i, r := range replies {
			if r.done && r.text != h.value("hot")+protocol.End {
				t.Fatalf("read %d: %.40q", i, r.text)
			}
		}
		return calls
	}
	for i, n := range reads(1000) {
		if n < 220 || n > 280 {
			t.Errorf("server %d has got %d of 1000 reads", i, n)
		}
	}
	slow := (h.home("hot") + 1) % 4
	h.servers[slow].Pause()
	if calls := reads(1000); calls[slow] > 20 {
		t.Errorf("a server that does not answer has got %d of 1000 reads", calls[slow])
	}
}

// TestCountInAValueOfAnotherProxy counts and compares in items that another proxy has wrapped or split.
func TestCountInAValueOfAnotherProxy(t *testing.T) {
	const wrapped = 3642017935 // client flags
	long := strings.Repeat(" ", 1500)
	for _, tt := range []struct{ request, answer, after string }{
		{"incr n 5\r\n", "10\r\n", "10"},
		{"incr n 5 noreply\r\n", "", "10"},
	} {
		for name, value := range map[string]string{"wrapped": "5", "split": "5" + long} {
			h := newHall(t, pool.CoalesceAll, 4)
			flags := 0
			if name == "wrapped" {
				flags = wrapped
			}
			h.want(0, fmt.Sprintf("set n %d 0 %d\r\n%s\r\n", flags, len(value), value), protocol.Stored)
			h.want(1, tt.request, tt.answer)
			after := tt.after + strings.Repeat(" ", max(0, len(value)-len(tt.after)))
			want := fmt.Sprintf("VALUE n %d %d\r\n%s\r\nEND\r\n", flags, len(after), after)
			h.want(0, "get n\r\n", want)
			h.want(1, "get n\r\n", want)
			if t.Failed() {
				t.Fatalf("%q of a %s value", tt.request, name)
			}
		}
	}
	h := newHall(t, pool.CoalesceAll, 4)
	h.want(1, "incr k 1\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
}
