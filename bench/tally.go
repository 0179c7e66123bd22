package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"mcproxy/bench/workload"
	"mcproxy/protocol"
)

// Latencies are kept in nanoseconds, to three digits, from where clocks begin to tell to where nobody waits.
const (
	histogramFrom   = 100
	histogramTo     = int64(10 * time.Minute)
	histogramDigits = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(histogramFrom, histogramTo, histogramDigits)
}

func note(h *hdrhistogram.Histogram, latency time.Duration) {
	// The clamped value is in range, so there is no error.
	_ = h.RecordValue(min(max(int64(latency), 0), histogramTo))
}

// A tally is what was counted. Each worker has its own, and they are added up at the end.
type tally struct {
	latency  [workload.Kinds]*hdrhistogram.Histogram // nil where nothing was counted
	done     int64                                   // operations answered, or failed
	statuses [protocol.StatusServerError + 1]int64
	hits     int64 // keys found by gets
	misses   int64 // keys that gets asked for and did not find
	sentOut  int64 // bytes
	received int64 // bytes
	broken   int64 // operations whose conn broke before their answer
	timeouts int64 // operations that had no answer in time
	redials  int64 // conns opened anew
	late     int64 // arrivals of an open loop that were never sent

	failures map[string]int64 // error lines and reasons of broken conns, the first maxFailures different ones
}

const (
	maxFailures    = 20  // different texts
	maxFailureText = 160 // bytes of one
)

func newTally() *tally { return &tally{failures: map[string]int64{}} }

// failure counts a text; past maxFailures different ones, under "other".
func (t *tally) failure(text string, n int64) {
	if _, known := t.failures[text]; !known && len(t.failures) >= maxFailures {
		text = "other"
	}
	t.failures[text] += n
}

func (t *tally) record(k workload.Kind, latency time.Duration) {
	h := t.latency[k]
	if h == nil {
		h = newHistogram()
		t.latency[k] = h
	}
	note(h, latency)
}

// add counts other's figures in.
func (t *tally) add(other *tally) {
	for k, h := range other.latency {
		if h == nil {
			continue
		}
		if t.latency[k] == nil {
			t.latency[k] = newHistogram()
		}
		t.latency[k].Merge(h)
	}
	for i, n := range other.statuses {
		t.statuses[i] += n
	}
	t.done += other.done
	t.hits += other.hits
	t.misses += other.misses
	t.sentOut += other.sentOut
	t.received += other.received
	t.broken += other.broken
	t.timeouts += other.timeouts
	t.redials += other.redials
	t.late += other.late
	for text, n := range other.failures {
		t.failure(text, n)
	}
}

// all merges the latencies of every kind.
func (t *tally) all() *hdrhistogram.Histogram {
	all := newHistogram()
	for _, h := range t.latency {
		if h != nil {
			all.Merge(h)
		}
	}
	return all
}
