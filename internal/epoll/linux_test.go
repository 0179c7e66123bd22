package epoll

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWaitAfterEvents has a kernel whose last wait brought something, so that it waits in a way of its own at first, and looks that
// it waits as long as ever, still hears of events and wake-ups, and does not keep the collector from its work.
func TestWaitAfterEvents(t *testing.T) {
	k, err := NewLinux(NewClock(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Release)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pipe[0]); unix.Close(pipe[1]) })
	if err := k.Add(pipe[0], 7, In); err != nil {
		t.Fatal(err)
	}
	events := make([]Event, 8)
	liven := func() {
		t.Helper()
		if _, err := unix.Write(pipe[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
		for _, timeout := range []time.Duration{-1, 0} { // the second takes it in the other way
			n, err := k.Wait(events, timeout)
			if err != nil || n != 1 || events[0].Tag != 7 || events[0].Events&In == 0 {
				t.Fatalf("Wait(%v) gave %d events, %v: %+v", timeout, n, err, events[0])
			}
		}
		var b [8]byte
		if _, err := unix.Read(pipe[0], b[:]); err != nil {
			t.Fatal(err)
		}
	}
	for _, timeout := range []time.Duration{0, time.Nanosecond, time.Millisecond, 1500 * time.Microsecond, 30 * time.Millisecond} {
		liven()
		began := time.Now()
		for n := 0; n == 0 && time.Since(began) < timeout; { // a signal ends a wait early
			if n, err = k.Wait(events, timeout-time.Since(began)); err != nil || n != 0 {
				t.Fatalf("Wait(%v) gave %d events, %v", timeout, n, err)
			}
		}
		if n, err := k.Wait(events, 0); n != 0 || err != nil {
			t.Fatalf("Wait(0) gave %d events, %v", n, err)
		}
	}

	liven()
	k.Wake()
	if n, err := k.Wait(events, -1); n != 0 || err != nil {
		t.Fatalf("a wake-up gave %d events, %v", n, err)
	}

	liven()
	collected := make(chan struct{})
	go func() {
		runtime.GC()
		close(collected)
		k.Wake()
	}()
	for woken := false; !woken; {
		if _, err := k.Wait(events, -1); err != nil {
			t.Fatal(err)
		}
		select {
		case <-collected:
			woken = true
		default:
		}
	}
}
