package keybook_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"mcproxy/internal/keybook"
)

func sumOf(c *keybook.Callers, now time.Duration) map[uint64][]keybook.Caller {
	sum := make(map[uint64][]keybook.Caller)
	c.AddTo(sum, int64(now))
	return sum
}

func TestCallers(t *testing.T) {
	var a, b keybook.Callers
	if a.Watches(1) {
		t.Error("nobody has asked, and a key is watched")
	}
	a.Note(0, 1, "10.0.0.1", 16)
	a.Note(0, 1, "10.0.0.2", 4)
	a.Note(0, 1, "10.0.0.1", 16)
	a.Note(0, 2, "10.0.0.3", 1)
	b.Note(0, 1, "10.0.0.2", 8)
	if !a.Watches(1) || !a.Watches(2) || a.Watches(3) {
		t.Error("the wrong keys are watched")
	}
	sum := sumOf(&a, 0)
	b.AddTo(sum, 0)
	if got, want := fmt.Sprint(sum), "map[1:[{10.0.0.1 32} {10.0.0.2 12}] 2:[{10.0.0.3 1}]]"; got != want {
		t.Errorf("the callers are %s, want %s", got, want)
	}
	// What was asked 30 s ago counts 1/e, and after a minute the key is forgotten.
	if got := sumOf(&a, 30*time.Second)[1][0].Requests; math.Abs(got-32/math.E) > 1e-9 {
		t.Errorf("after 30 s 32 requests count as %v", got)
	}
	a.Note(int64(85*time.Second), 2, "10.0.0.3", 1)
	if got := sumOf(&a, 95*time.Second); len(got) != 1 || len(got[2]) != 1 || a.Watches(1) {
		t.Errorf("after 95 s: %v", got)
	}
}

// TestCallersAreBounded has a busy client among thousands, and more keys than are remembered.
func TestCallersAreBounded(t *testing.T) {
	var c keybook.Callers
	for i := range 10_000 {
		c.Note(int64(i), 1, fmt.Sprintf("10.0.%d.%d", i/256, i%256), 1)
		c.Note(int64(i), 1, "busy", 2)
	}
	list := sumOf(&c, 10_000)[1]
	if len(list) != 8 {
		t.Fatalf("%d clients are told apart", len(list))
	}
	most := list[0]
	for _, caller := range list {
		if caller.Requests > most.Requests {
			most = caller
		}
	}
	if most.Client != "busy" || math.Abs(most.Requests-20_000) > 1 {
		t.Errorf("the busiest is %v, want busy with 20000 requests", most)
	}
	for i := range uint64(1000) {
		c.Note(int64(20_000+i), i, "x", 1)
	}
	if got := sumOf(&c, 21_000); len(got) != 128 || len(got[999]) != 1 || got[1] != nil {
		t.Errorf("%d keys are remembered", len(got))
	}
}
