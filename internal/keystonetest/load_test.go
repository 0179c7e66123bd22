//go:build keystone

package keystonetest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// think is how long a client of a load waits between its requests: Keystones are slow, and four sites share the machine.
const think = 30 * time.Millisecond

// A load validates tokens all the time, and remembers what came of it.
type load struct {
	stop    atomic.Bool
	clients sync.WaitGroup
	begun   time.Time

	mu       sync.Mutex // guards what follows
	statuses map[int]int
	took     []time.Duration
	bad      []badAnswer
}

// A badAnswer is one that is neither success nor what a user could have made otherwise.
type badAnswer struct {
	at     time.Duration // since the load began
	status int
	body   string
}

// startLoad has n clients validate tokens that are good for as long as the load lasts, with a pause after each answer.
func (s *site) startLoad(a *api, n int, pause time.Duration, owners []member) *load {
	l := &load{statuses: map[int]int{}, begun: time.Now()}
	for i := range n {
		l.clients.Go(func() { // ends when the load does, which waits for it
			for turn := i; !l.stop.Load(); turn++ {
				l.count(a.validate(owners[turn%len(owners)].token))
				time.Sleep(pause)
			}
		})
	}
	return l
}

func (l *load) count(got answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses[got.status]++
	l.took = append(l.took, got.took)
	if got.status != http.StatusOK {
		l.bad = append(l.bad, badAnswer{time.Since(l.begun), got.status, fmt.Sprintf("%.200s", got.body)})
	}
}

// end ends the load; it may be read then.
func (l *load) end() {
	l.stop.Store(true)
	l.clients.Wait()
	slices.Sort(l.took)
}

// slowest is the time that the slowest answer took.
func (l *load) slowest() time.Duration {
	if len(l.took) == 0 {
		return 0
	}
	return l.took[len(l.took)-1]
}

func (l *load) String() string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(l.statuses)) {
		parts = append(parts, fmt.Sprintf("%d × HTTP %d", l.statuses[status], status))
	}
	if len(l.took) == 0 {
		return "no answers"
	}
	quantile := func(q float64) time.Duration {
		return l.took[int(q*float64(len(l.took)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%s; median %v, 99 %% within %v, slowest %v", strings.Join(parts, ", "), quantile(0.5), quantile(0.99), quantile(1))
}
