//go:build !race

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestNoticesFaults has the judges of TestFaults look at a memcached whose answers are broken, or another's.
func TestNoticesFaults(t *testing.T) {
	for _, name := range []string{"corrupts", "corrupts values", "repeats", "reorders", "says a miss"} {
		run := newOwners(t, brokenService(t, 7, name).endpoint, 1, false)
		for _, o := range run.list {
			o.noneBroken, o.patience = true, time.Second
		}
		run.start()
		run.working.Wait() // each ends with what it finds
		if run.count == 0 {
			t.Errorf("%s: nothing noticed", name)
		}
	}
	b := startScripted(t)
	stolen := newTag(rand.New(rand.NewPCG(1, 1)))
	b.set(func(line string) (string, bool) {
		words := append(strings.Fields(line), "k", "k")
		return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", words[1], len(stolen), stolen), false
	})
	babbler := babbler{rng: rand.New(rand.NewPCG(1, 2)), ep: b.endpoint, tag: "<w:0000000000000001>"}
	noticed := false
	for range 100 { // some streams are no request
		noticed = noticed || babbler.stream() != nil
	}
	if !noticed {
		t.Error("a client that babbles has not noticed that it was told another's value")
	}
	asker := asker{rng: rand.New(rand.NewPCG(1, 3)), ep: b.endpoint, tag: "<w:0000000000000001>"}
	if _, err := asker.ask(); err == nil {
		t.Error("a client has not noticed that it was told another's value")
	}
	asker.conn.Close()
}
