package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// traffic is what the load generator sends.
type traffic struct {
	label     string
	conns     int
	pipeline  int
	keys      int
	multiget  int // keys in one get
	valueSize int // bytes
	setRatio  float64
}

// warmup is sent before each measurement, and left out of it.
const warmup = time.Second

// args are the load generator's for the traffic alone: how much of it is the caller's to say.
func (t traffic) args(endpoint string) []string {
	return []string{
		"bench", endpoint, "--json", "--threads", "1",
		"--conns", strconv.Itoa(t.conns), "--pipeline", strconv.Itoa(t.pipeline),
		"--keys", strconv.Itoa(t.keys), "--value-size", strconv.Itoa(t.valueSize),
		"--set-ratio", strconv.FormatFloat(t.setRatio, 'g', -1, 64), "--multiget", strconv.Itoa(t.multiget),
	}
}

// A generated is what the load generator's JSON says of a run, as far as it matters here.
type generated struct {
	Started time.Time `json:"started"` // of the warm-up, with all conns open
	Seconds float64   `json:"seconds"` // after the warm-up
	Answers int64     `json:"answers"`
	Failed  int64     `json:"failed"`
	Misses  int64     `json:"misses"`
	Ended   string    `json:"ended"`
	Latency struct {
		P50 float64 `json:"p50"` // seconds
		P99 float64 `json:"p99"`
	} `json:"latency"`
	Failures map[string]int64 `json:"failures"`
}

func parseGenerated(text []byte) (generated, error) {
	var g generated
	if err := json.Unmarshal(text, &g); err != nil {
		return g, fmt.Errorf("the load generator's JSON: %w", err)
	}
	if g.Started.IsZero() || g.Seconds <= 0 || g.Answers <= 0 {
		return g, fmt.Errorf("the load generator counted %d answers in %v s, started %v", g.Answers, g.Seconds, g.Started)
	}
	// Figures of proxies that did different work are not comparable.
	if lost := g.Failed + g.Misses; lost > g.Answers/maxLost {
		return g, fmt.Errorf("of %d operations %d failed %v, and %d keys were missed", g.Answers, g.Failed, g.Failures, g.Misses)
	}
	return g, nil
}

// maxLost is the part of all requests that may fail or miss: 1 in so many.
const maxLost = 1000

// generate runs the load generator to its end.
func (h *harness) generate(ctx context.Context, args ...string) (generated, error) {
	var out bytes.Buffer
	c, err := startChild("mcproxy bench", &out, append([]string{h.opts.binary}, args...)...)
	if err != nil {
		return generated{}, err
	}
	if err := c.wait(ctx); err != nil {
		return generated{}, err
	}
	return parseGenerated(out.Bytes())
}

// fill sets every key of the traffic at each endpoint.
func (h *harness) fill(ctx context.Context, t traffic, endpoints []string) error {
	t.conns, t.pipeline, t.multiget = 1, 1, 1
	for _, endpoint := range endpoints {
		args := append(t.args(endpoint), "--warmup", "0s", "--requests", "1")
		err := h.persist(ctx, func() error {
			_, err := h.generate(ctx, args...)
			return err
		})
		if err != nil {
			return fmt.Errorf("filling %s: %w", endpoint, err)
		}
	}
	return nil
}

// A sample is one run of the load against one proxy.
type sample struct {
	user, system float64 // the proxy's, µs a request
	rate         float64 // requests a second
	p50, p99     float64 // seconds
	resident     float64 // bytes of the proxy's memory, under the load
	peak         float64 // the most bytes of it that were seen
	lost         float64 // requests that failed or missed
}

func (s sample) total() float64 { return s.user + s.system }

// sample runs the load once, and watches the proxy meanwhile.
func (h *harness) sample(ctx context.Context, s subject) (sample, error) {
	w, err := watch(s.proxy.pid, warmup+h.opts.duration/2)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", s.proxy.name, err)
	}
	args := append(s.traffic.args(s.proxy.address), "--prefill=false", "--warmup", warmup.String(), "--duration", h.opts.duration.String())
	g, err := h.generate(ctx, args...)
	readings, watched := w.stop()
	if err := errors.Join(err, watched); err != nil {
		if s.proxy.child != nil {
			err = errors.Join(err, s.proxy.child.gone())
		}
		return sample{}, fmt.Errorf("%s: %w", s, err)
	}
	one, err := newSample(g, readings)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", s, err)
	}
	return one, nil
}

// newSample divides what the proxy used by the requests that were answered in the same time.
func newSample(g generated, r readings) (sample, error) {
	from := g.Started.Add(warmup)
	before, err := r.at(from)
	if err != nil {
		return sample{}, err
	}
	after, err := r.at(from.Add(time.Duration(g.Seconds * float64(time.Second))))
	if err != nil {
		return sample{}, err
	}
	if after.user+after.system <= before.user+before.system {
		return sample{}, fmt.Errorf("%d requests took no time that the kernel counts", g.Answers)
	}
	each := func(used time.Duration) float64 { return used.Seconds() * 1e6 / float64(g.Answers) }
	return sample{
		user: each(after.user - before.user), system: each(after.system - before.system),
		rate: float64(g.Answers) / g.Seconds, p50: g.Latency.P50, p99: g.Latency.P99,
		resident: float64(r.resident), peak: float64(r.peak()), lost: float64(g.Failed + g.Misses),
	}, nil
}

// A reading is what a process had used at a time.
type reading struct {
	at time.Time
	usage
}

// readings are in the order of time.
type readings struct {
	all      []reading
	resident int64 // bytes, at the time that was asked for
}

// at is what the process had used at t, between two readings in proportion. An error says that t is not between readings.
func (r readings) at(t time.Time) (usage, error) {
	for i := 1; i < len(r.all); i++ {
		a, b := r.all[i-1], r.all[i]
		if t.Before(a.at) || t.After(b.at) {
			continue
		}
		part := t.Sub(a.at).Seconds() / max(b.at.Sub(a.at).Seconds(), 1e-9)
		between := func(a, b time.Duration) time.Duration { return a + time.Duration(part*float64(b-a)) }
		return usage{user: between(a.user, b.user), system: between(a.system, b.system), resident: b.resident}, nil
	}
	return usage{}, fmt.Errorf("the proxy was not watched at %v", t)
}

// peak is the most resident bytes of all readings.
func (r readings) peak() int64 {
	most := r.resident
	for _, one := range r.all {
		most = max(most, one.resident)
	}
	return most
}

// watchInterval is the time between two readings.
const watchInterval = 20 * time.Millisecond

// A watcher reads what a process uses until it is stopped.
type watcher struct {
	done   chan struct{} // closed by stop
	wait   sync.WaitGroup
	result readings // of the goroutine, until wait returns
	err    error    // likewise
}

// watch begins with a first reading, and looks at the memory exactly once, after the delay.
func watch(pid int, memoryAfter time.Duration) (*watcher, error) {
	w := &watcher{done: make(chan struct{})}
	if err := w.read(pid); err != nil {
		return nil, err
	}
	w.wait.Go(func() { w.err = w.loop(pid, memoryAfter) }) // until stop
	return w, nil
}

func (w *watcher) loop(pid int, memoryAfter time.Duration) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	memory := time.NewTimer(memoryAfter)
	defer memory.Stop()
	for {
		select {
		case <-ticker.C:
			if err := w.read(pid); err != nil {
				return err
			}
		case <-memory.C:
			if err := w.readMemory(pid); err != nil {
				return err
			}
		case <-w.done:
			if w.result.resident == 0 { // the load ended before its time
				if err := w.readMemory(pid); err != nil {
					return err
				}
			}
			return w.read(pid)
		}
	}
}

func (w *watcher) read(pid int) error {
	u, err := readUsage(pid)
	if errors.Is(err, syscall.ESRCH) {
		err = fmt.Errorf("process %d has ended", pid)
	}
	w.result.all = append(w.result.all, reading{time.Now(), u})
	return err
}

func (w *watcher) readMemory(pid int) (err error) {
	w.result.resident, err = readResident(pid)
	return err
}

// stop ends the watch with a last reading.
func (w *watcher) stop() (readings, error) {
	close(w.done)
	w.wait.Wait()
	return w.result, w.err
}
