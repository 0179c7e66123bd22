package epoll_test

import (
	"testing"
	"time"

	"mcproxy/internal/epoll"
)

// stillKernel has nothing ready, ever, and its clock stands where the test puts it.
type stillKernel struct {
	epoll.Kernel
	now    int64
	pauses []time.Duration
}

func (k *stillKernel) Wait([]epoll.Event, time.Duration) (int, error) { return 0, nil }
func (k *stillKernel) Now() int64                                     { return k.now }
func (k *stillKernel) Wake()                                          {}
func (k *stillKernel) Pause(d time.Duration)                          { k.pauses = append(k.pauses, d) }

// TestPause is about when a loop lets events gather: with many busy clients who come several at a time, and never else.
func TestPause(t *testing.T) {
	const pause = 50 * time.Microsecond
	const turn = 20 * time.Microsecond
	for _, c := range []struct {
		name    string
		pause   time.Duration
		clients int           // who send in turn
		a, each int           // so many of them in a turn, so many requests each
		quiet   time.Duration // before the last turn
		pauses  bool
	}{
		{"a crowd", pause, 24, 24, 1, 0, true},
		{"a crowd, few at a time", pause, 50, 3, 1, 0, true},
		{"a crowd with pipelines, one at a time", pause, 50, 1, 16, 0, true},
		{"not switched on", 0, 200, 200, 1, 0, false},
		{"one client less", pause, 23, 23, 1, 0, false},
		{"a client with a deep pipeline", pause, 1, 1, 1000, 0, false},
		{"a crowd, one request at a time", pause, 200, 1, 1, 0, false},
		{"a crowd that has gone", pause, 200, 3, 1, time.Second, false},
	} {
		k := &stillKernel{now: int64(time.Hour)}
		l := epoll.New(k)
		l.Pause = c.pause
		sources := make([]epoll.Source, c.clients)
		next := 0
		oneTurn := func() {
			l.Post(func() {
				for range c.a {
					l.Hear(&sources[next%len(sources)])
					next++
					for range c.each {
						l.Did()
					}
				}
			})
			if err := l.Turn(); err != nil {
				t.Fatal(err)
			}
			k.now += int64(turn)
		}
		for range 1000 {
			oneTurn()
		}
		k.now += int64(c.quiet)
		oneTurn()
		k.pauses = nil
		oneTurn() // pauses, if at all, for what the turn before did
		if got := len(k.pauses) == 1 && k.pauses[0] == pause; got != c.pauses || len(k.pauses) > 1 {
			t.Errorf("%s: paused %v; want a pause: %t", c.name, k.pauses, c.pauses)
		}
	}
}

// TestPauseEnds has the real kernel sleep.
func TestPauseEnds(t *testing.T) {
	k, err := epoll.NewLinux(epoll.NewClock(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Release()
	before := k.Now()
	const d = 300 * time.Microsecond
	for range 20 { // a signal of the runtime's may end one of them early
		k.Pause(d)
	}
	if slept := time.Duration(k.Now() - before); slept < 10*d {
		t.Errorf("20 pauses of %v took %v", d, slept)
	}
}
