package ring_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"testing"

	"github.com/cespare/xxhash/v2"

	"mcproxy/ring"
)

const million = 1_000_000

// eachKey calls f with n different keys; the slice is valid during the call only.
func eachKey(n int, f func(key []byte)) {
	key := make([]byte, 0, 40)
	for i := range n {
		key = append(key[:0], "tokens/6e49b86a7502dae881f3b9466e"...)
		f(binary.LittleEndian.AppendUint32(key, uint32(i)))
	}
}

// shares counts n keys a node.
func shares(r ring.Ring, nodes, n int) []int {
	counts := make([]int, nodes)
	eachKey(n, func(key []byte) { counts[r.Lookup(key)]++ })
	return counts
}

func TestConsistentBalance(t *testing.T) {
	namings := map[string]func(i int) string{
		"addresses": func(i int) string { return fmt.Sprintf("10.0.0.%d:11211", i+1) },
		"ports":     func(i int) string { return fmt.Sprintf("127.0.0.1:%d", 11211+i) },
		"letters":   func(i int) string { return string(rune('a' + i)) },
		"words":     func(i int) string { return fmt.Sprintf("cache-%02d.rack-%d.example.org", i, i%4) },
		"numbers":   func(i int) string { return fmt.Sprint(i) },
		"sockets":   func(i int) string { return fmt.Sprintf("/run/memcached/%d.sock", i) },
	}
	for naming, name := range namings {
		nodes := someNodes(16)
		for i := range nodes {
			nodes[i].Name = name(i)
		}
		fair := float64(million) / 16
		for node, count := range shares(mustNew(t, nodes, ring.Options{}), 16, million) {
			if ratio := float64(count) / fair; ratio > 1.05 || ratio < 0.95 {
				t.Errorf("%s: node %d has %.3f of its fair share of %d keys, want 0.95..1.05", naming, node, ratio, million)
			}
		}
	}
}

func TestConsistentWeights(t *testing.T) {
	for _, weights := range [][]int{{1, 2}, {1, 2, 5}, {5, 7, 11, 13}, {100, 100, 1}, {1, 1, 1, 1, 2, 2, 3, 10}, {1 << 24, 1 << 23, 1 << 22}} {
		nodes := someNodes(len(weights), weights...)
		total := 0
		for _, w := range weights {
			total += w
		}
		for node, count := range shares(mustNew(t, nodes, ring.Options{}), len(nodes), million) {
			want := float64(million) * float64(weights[node]) / float64(total)
			// Slots and keys are each a sample of the share: five deviations of both.
			slack := 5 * want * math.Sqrt((1-want/million)*(1/want+float64(million)/want/(1<<18)))
			if math.Abs(float64(count)-want) > slack {
				t.Errorf("weights %v: node %d has %d keys, want %.0f ± %.0f", weights, node, count, want, slack)
			}
		}
	}
}

func TestConsistentMovement(t *testing.T) {
	for _, n := range []int{1, 3, 8, 16, 50, 99} {
		nodes := someNodes(n + 1)
		before, after := mustNew(t, nodes[:n], ring.Options{}), mustNew(t, nodes, ring.Options{})
		moved := 0
		eachKey(million, func(key []byte) {
			switch from, to := before.Lookup(key), after.Lookup(key); {
			case to == n:
				moved++
			case from != to:
				t.Fatalf("%d nodes and one more: %q moves from node %d to %d, both old", n, key, from, to)
			}
		})
		if ratio := float64(moved) / (million / float64(n+1)); ratio < 0.9 || ratio > 1.1 {
			t.Errorf("%d nodes and one more: %d keys move, %.3f of 1/%d of them; want 0.9..1.1", n, moved, ratio, n+1)
		}
	}
}

// TestConsistentReweight: a heavier node takes keys from the others, and they exchange none.
func TestConsistentReweight(t *testing.T) {
	nodes := someNodes(6, 1, 2)
	before := mustNew(t, nodes, ring.Options{})
	nodes[3].Weight = 4
	after := mustNew(t, nodes, ring.Options{})
	moved := 0
	eachKey(million/5, func(key []byte) {
		from, to := before.Lookup(key), after.Lookup(key)
		if from != to {
			moved++
		}
		if from != to && to != 3 {
			t.Fatalf("node 3 is heavier: %q moves from node %d to %d", key, from, to)
		}
	})
	want := float64(million/5) * (4.0/11 - 2.0/9)
	if math.Abs(float64(moved)-want) > want/20 {
		t.Errorf("%d keys move to the heavier node, want about %.0f", moved, want)
	}
}

// TestConsistentPlacement pins the recipe: no release may move a key.
func TestConsistentPlacement(t *testing.T) {
	for _, tt := range []struct {
		nodes []ring.Node
		want  [12]int
	}{
		{someNodes(2), [12]int{0, 0, 0, 0, 1, 1, 0, 1, 0, 1, 0, 0}},
		{someNodes(3, 1, 2, 5), [12]int{2, 2, 2, 0, 2, 1, 2, 1, 2, 1, 2, 2}},
		{someNodes(16), [12]int{15, 4, 13, 3, 12, 5, 5, 12, 2, 1, 7, 10}},
		{someNodes(100, 1, 3), [12]int{36, 75, 82, 79, 35, 43, 19, 1, 93, 71, 7, 29}},
	} {
		r := mustNew(t, tt.nodes, ring.Options{})
		var got [12]int
		for i := range got {
			got[i] = r.Lookup(fmt.Appendf(nil, "key%d", i))
		}
		if got != tt.want {
			t.Errorf("%d nodes: key0..key11 are on %v, want %v", len(tt.nodes), got, tt.want)
		}
	}
	if h := mustNew(t, someNodes(2), ring.Options{}).Hash([]byte("foo")); h != 0x33bf00a859c4ba3f {
		t.Errorf("Hash(foo) = %x, want its xxhash64, 33bf00a859c4ba3f", h)
	}
}

// collidingName gives another name of 16 bytes with the xxhash64 of name, beginning with start: whatever the first 8 bytes
// make of the state, there are 8 more that undo it.
func collidingName(t *testing.T, name, start string) string {
	t.Helper()
	const p1, p2, p4, p5 = 11400714785074694791, 14029467366897019727, 9650029242287828579, 2870177450012600261
	var p2Inverse uint64 = 1
	for range 6 {
		p2Inverse *= 2 - p2*p2Inverse
	}
	var p1Inverse uint64 = 1
	for range 6 {
		p1Inverse *= 2 - p1*p1Inverse
	}
	round := func(lane uint64) uint64 { return bits.RotateLeft64(lane*p2, 31) * p1 }
	first := func(text string) uint64 {
		h := uint64(p5) + 16
		return bits.RotateLeft64(h^round(binary.LittleEndian.Uint64([]byte(text))), 27)*p1 + p4
	}
	second := round(binary.LittleEndian.Uint64([]byte(name[8:]))) ^ first(name) ^ first(start)
	lane := bits.RotateLeft64(second*p1Inverse, -31) * p2Inverse
	other := start + string(binary.LittleEndian.AppendUint64(nil, lane))
	if xxhash.Sum64String(name) != xxhash.Sum64String(other) || name == other {
		t.Fatalf("xxhash64 of %q and %q differ", name, other)
	}
	return other
}

func TestConsistentCollidingNames(t *testing.T) {
	const name = "cache-1.internal"
	nodes := someNodes(4)
	nodes[0].Name = name
	nodes[2].Name = collidingName(t, name, "cache-2.")
	nodes[3].Name = collidingName(t, name, "cache-3.")
	r := mustNew(t, nodes, ring.Options{})
	for node, count := range shares(r, 4, million/10) {
		if math.Abs(float64(count)-million/40) > million/40*0.05 {
			t.Errorf("node %d of 4, three with one hash, has %d of %d keys", node, count, million/10)
		}
	}
	shuffled := []ring.Node{nodes[3], nodes[2], nodes[1], nodes[0]}
	other := mustNew(t, shuffled, ring.Options{})
	eachKey(million/10, func(key []byte) {
		if a, b := r.Lookup(key), 3-other.Lookup(key); a != b {
			t.Fatalf("%q is on node %d, and on %d if the nodes are listed in another order", key, a, b)
		}
	})
}
