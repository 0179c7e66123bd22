package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"mcproxy/bench/workload"
)

// windowLength is what the live line and the plots over time look at.
const windowLength = time.Second

// A run is one load from its first conn to its last answer.
type run struct {
	// Immutable after newRun.
	cfg     *Config
	address address
	streams func(conn int) (workload.Stream, workload.Observer)
	begun   time.Time
	warmup  time.Duration

	stopped atomic.Bool // no operation begins any more

	mu       sync.Mutex
	windows  []*hdrhistogram.Histogram // guarded by mu: by second, what has not been read yet
	reported []int                     // guarded by mu: how many workers have reported the second
	spare    []*hdrhistogram.Histogram // guarded by mu: empty ones

	drivers []driver
	cpu     CPU // of the tool from the end of the warm-up on; set when drive returns
}

// newRun opens the conns.
func newRun(cfg *Config, streams func(conn int) (workload.Stream, workload.Observer)) (*run, error) {
	addr, err := cfg.address()
	if err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, address: addr, streams: streams, warmup: cfg.Warmup}
	if cfg.Client == gomemcacheClient {
		r.drivers = []driver{newGoClient(r)}
		return r, nil
	}
	socks, err := r.dialAll()
	if err != nil {
		return nil, err
	}
	for i := range cfg.threads() {
		poller, err := newPoller()
		if err == nil {
			var w *worker
			w, err = r.newWorker(poller, i, socks)
			r.drivers = append(r.drivers, w)
		}
		if err != nil {
			for _, d := range r.drivers {
				d.leave()
			}
			for _, sock := range socks {
				sock.Close() // again, for those that have found a worker
			}
			return nil, err
		}
	}
	return r, nil
}

// A driver sends a part of a run's load.
type driver interface {
	// loop sends, and returns when all is answered, or some time after the run's end.
	loop() error
	// leave closes everything; for a driver whose loop never ran.
	leave()
	// recorded gives what was measured, after loop.
	recorded() *recorder
}

// clock is the time since the run's start.
func (r *run) clock() time.Duration { return time.Since(r.begun) }

// dialAll opens every conn before the first operation, some at a time.
func (r *run) dialAll() ([]net.Conn, error) {
	socks := make([]net.Conn, r.cfg.Conns)
	errs := make([]error, r.cfg.Conns)
	var wait sync.WaitGroup
	room := make(chan struct{}, 64)
	for i := range socks {
		room <- struct{}{}
		wait.Go(func() {
			defer func() { <-room }()
			socks[i], errs[i] = r.address.dial(r.cfg.Timeout)
		})
	}
	wait.Wait()
	for i, err := range errs {
		if err == nil {
			continue
		}
		for _, sock := range socks {
			if sock != nil {
				sock.Close()
			}
		}
		return nil, fmt.Errorf("conn %d of %d to %s: %w", i+1, len(socks), r.address.text, err)
	}
	return socks, nil
}

// newWorker makes worker i of the run with its share of the conns: i, i+n, i+2n, … With an error it has some of them.
func (r *run) newWorker(poller poller, i int, socks []net.Conn) (*worker, error) {
	w := &worker{
		recorder: newRecorder(r), meta: r.cfg.Meta, pace: newPace(r.cfg), poller: poller,
		scratch: make([]byte, scratchSize),
		dialed:  make(chan dialed, r.cfg.Conns),
	}
	for n := i; n < len(socks); n += r.cfg.threads() {
		c := &conn{id: len(w.conns), ring: make([]workload.Op, r.cfg.Pipeline), quota: share(r.cfg.Requests, n, len(socks))}
		c.stream, c.watch = r.streams(n)
		c.arrivals = rand.New(rand.NewPCG(r.cfg.Seed, 1<<62+uint64(n)))
		c.due = w.pace.first(c.arrivals, n, len(socks))
		var err error
		if c.socket, err = poller.add(c.id, socks[n]); err != nil {
			return w, err
		}
		w.conns = append(w.conns, c)
	}
	return w, nil
}

// share is what conn i of n does of total operations; -1, without a limit, of 0.
func share(total int64, i, n int) int64 {
	if total == 0 {
		return -1
	}
	part := total / int64(n)
	if int64(i) < total%int64(n) {
		part++
	}
	return part
}

// drive runs the workers until all is done, or ctx is, and adds up what they counted. tick is called about once a second
// with each second that has passed, and at the end with what is left (final).
func (r *run) drive(ctx context.Context, tick func(w window)) (*tally, error) {
	r.begun = time.Now()
	var warm CPU
	warmed := time.AfterFunc(r.warmup, func() {
		user, system := cpuTime()
		r.mu.Lock()
		defer r.mu.Unlock()
		warm = CPU{User: user, System: system}
	})
	errs := make([]error, len(r.drivers))
	var wait sync.WaitGroup
	for i, d := range r.drivers {
		wait.Go(func() { errs[i] = d.loop() }) // ends by itself, at the latest when the time is over
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	ticker := time.NewTicker(windowLength / 4)
	defer ticker.Stop()
	second := 0
	for {
		select {
		case <-ctx.Done():
			r.stopped.Store(true)
			<-done
		case <-ticker.C:
			second = r.deliver(second, false, tick)
			continue
		case <-done:
		}
		break
	}
	warmed.Stop()
	user, system := cpuTime()
	r.mu.Lock()
	r.cpu = CPU{User: user - warm.User, System: system - warm.System}
	r.mu.Unlock()
	r.deliver(second, true, tick)
	total := newTally()
	for _, d := range r.drivers {
		total.add(d.recorded().tally)
	}
	return total, errors.Join(errs...)
}

// report takes a worker's figures of a second and gives it an empty histogram for the next.
func (r *run) report(second int, h *hdrhistogram.Histogram) *hdrhistogram.Histogram {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.windows) <= second {
		r.windows = append(r.windows, nil)
		r.reported = append(r.reported, 0)
	}
	r.reported[second]++
	if r.windows[second] == nil {
		r.windows[second] = h
	} else {
		r.windows[second].Merge(h)
		h.Reset()
		r.spare = append(r.spare, h)
	}
	if n := len(r.spare); n > 0 {
		h = r.spare[n-1]
		r.spare = r.spare[:n-1]
		return h
	}
	return newHistogram()
}

// A window is one second of a run, with the latencies of the operations that ended in it.
type window struct {
	second int // since the run's start
	final  bool
	h      *hdrhistogram.Histogram // valid during the call
}

// deliver gives tick each second from the given one on that all workers have reported (final: that any has), and says which
// is next.
func (r *run) deliver(second int, final bool, tick func(window)) int {
	complete := len(r.drivers)
	if final {
		complete = 1
	}
	for {
		r.mu.Lock()
		if second >= len(r.windows) || r.reported[second] < complete {
			r.mu.Unlock()
			return second
		}
		h := r.windows[second]
		r.windows[second] = nil
		r.mu.Unlock()
		tick(window{second, final, h})
		h.Reset()
		r.mu.Lock()
		r.spare = append(r.spare, h)
		r.mu.Unlock()
		second++
	}
}

// measured is the time from the end of the warm-up to the end of the load, as far as it came.
func (r *run) measured() time.Duration {
	var last time.Duration
	for _, d := range r.drivers {
		last = max(last, min(d.recorded().ended, r.warmup+r.cfg.Duration))
	}
	return max(last-r.warmup, 0)
}

// ended says why the load did.
func (r *run) ended(ctx context.Context) string {
	switch {
	case ctx.Err() != nil:
		return "interrupted"
	case r.cfg.Requests > 0 && r.measured() < r.cfg.Duration:
		return "requests"
	case r.measured() < r.cfg.Duration:
		return "stream"
	}
	return "duration"
}
