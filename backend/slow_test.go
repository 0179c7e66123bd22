package backend_test

import (
	"errors"
	"testing"
	"time"

	"mcproxy/backend"
)

// TestSlowCalls pauses the backend: what took long is told, with how long it waited here and there, and no more of it than is kept.
func TestSlowCalls(t *testing.T) {
	l := newLab(t, backend.Options{Timeout: 250 * time.Millisecond, SlowCall: 50 * time.Millisecond})
	l.want(l.ask(0, "set key 0 0 5\r\nvalue\r\n", 100*time.Millisecond), "STORED")
	if slow := l.pipes[0].TakeSlow(); len(slow) != 0 {
		t.Errorf("a call that was not slow is told: %+v", slow)
	}

	l.server.Pause()
	get := l.send(0, "get key\r\n")
	l.net.Run(80 * time.Millisecond)
	l.server.Resume()
	l.net.Run(20 * time.Millisecond)
	l.want(get.String(), "VALUE key 0 5\r\nvalue\r\nEND")
	slow := l.pipes[0].TakeSlow()
	if len(slow) != 1 {
		t.Fatalf("%d slow calls, want 1: %+v", len(slow), slow)
	}
	s := slow[0]
	if s.Verb.String() != "get" || s.Key != "key" || s.Keys != 1 || s.Bytes != 5 || s.Err != nil {
		t.Errorf("the slow get: %+v", s)
	}
	if s.Queued != 0 || s.Took < 79*time.Millisecond || s.Took > 101*time.Millisecond {
		t.Errorf("the slow get waited for %v and took %v; want 0 and 80 ms to 100 ms", s.Queued, s.Took)
	}

	l.server.Pause()
	for range 20 {
		l.send(0, "set other 0 0 3\r\nabc\r\n")
	}
	l.net.Run(300 * time.Millisecond)
	l.server.Resume()
	slow = l.pipes[0].TakeSlow()
	if n := l.pipes[0].Figures.Slow; len(slow) != 8 || n != 21 {
		t.Fatalf("%d slow calls are told and %d counted, want 8 and 21", len(slow), n)
	}
	if s := slow[0]; s.Key != "other" || s.Bytes != 3 || !errors.Is(s.Err, backend.ErrTimeout) || s.Took < 249*time.Millisecond {
		t.Errorf("the slow set: %+v", s)
	}
}

// TestSlowConnect has a call wait for its conn: that is time in the queue.
func TestSlowConnect(t *testing.T) {
	l := newLab(t, backend.Options{SlowCall: time.Nanosecond})
	get := l.send(1, "get key\r\n") // the second loop has no conn yet
	l.net.Run(20 * time.Millisecond)
	l.want(get.String(), "END")
	slow := l.pipes[1].TakeSlow()
	if len(slow) != 1 || slow[0].Queued <= 0 || slow[0].Took <= 0 {
		t.Fatalf("a call that waited for its conn: %+v", slow)
	}
	get = l.send(1, "get key\r\n")
	l.net.Run(20 * time.Millisecond)
	l.want(get.String(), "END")
	if slow = l.pipes[1].TakeSlow(); len(slow) != 1 || slow[0].Queued != 0 || slow[0].Took <= 0 {
		t.Fatalf("the next one: %+v", slow)
	}
}
