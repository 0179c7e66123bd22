package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"mcproxy/bench/workload"
	"mcproxy/protocol"
)

// A recorder counts what becomes of operations, in all and by the second. It is used by one goroutine at a time.
type recorder struct {
	run         *run
	measureFrom time.Duration // operations that were to be sent before it do not count
	until       time.Duration // no operation begins after it
	now         time.Duration // of the last look at the clock
	ended       time.Duration // when the last answer came, or the stop
	tally       *tally

	window    *hdrhistogram.Histogram // the present second's latencies
	windowEnd time.Duration
	index     int // of the window
}

func newRecorder(r *run) recorder {
	return recorder{
		run: r, measureFrom: r.warmup, until: r.warmup + r.cfg.Duration,
		tally: newTally(), window: newHistogram(), windowEnd: firstWindow(r.warmup),
	}
}

func (r *recorder) recorded() *recorder { return r }

// measuring says whether what passes now counts.
func (r *recorder) measuring() bool { return r.now >= r.measureFrom }

// unit counts one unit of an answer.
func (r *recorder) unit(watch workload.Observer, o *workload.Op, resp *protocol.Response) {
	o.Units++
	if resp.Status == protocol.StatusHit || resp.Status == protocol.StatusOK && o.Verb == protocol.MetaGet {
		o.Hits++
		if watch != nil {
			watch.Value(o, resp)
		}
	}
	if resp.Status.IsError() && o.At >= r.measureFrom {
		r.tally.failure(truncate(string(resp.Line)), 1)
	}
}

// finish counts an operation that has been answered, or, with StatusInvalid, has failed.
func (r *recorder) finish(watch workload.Observer, o *workload.Op, status protocol.Status) {
	if watch != nil {
		watch.Done(o, status)
	}
	latency := r.now - o.At
	note(r.window, latency)
	if o.At < r.measureFrom {
		return
	}
	r.tally.record(o.Kind, latency)
	r.tally.done++
	r.tally.statuses[status]++
	if o.Kind == workload.KindGet && status != protocol.StatusInvalid && !status.IsError() {
		r.tally.hits += int64(o.Hits)
		r.tally.misses += int64(o.Width - o.Hits)
	}
}

// closeWindow reports a second that has passed and begins the next.
func (r *recorder) closeWindow() {
	r.window = r.run.report(r.index, r.window)
	r.index++
	r.windowEnd += windowLength
}

// close reports the last second.
func (r *recorder) close() {
	if r.ended == 0 {
		r.ended = r.now
	}
	r.run.report(r.index, r.window)
}

// firstWindow is the length of the first window, so that the end of the warm-up is the end of one.
func firstWindow(warmup time.Duration) time.Duration {
	if rest := warmup % windowLength; rest > 0 {
		return rest
	}
	return windowLength
}
