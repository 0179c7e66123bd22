package bench

import (
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"mcproxy/bench/workload"
	"mcproxy/internal/webpage"
	"mcproxy/protocol"
)

// A Result is what a run measured. docs/bench.md describes its JSON.
type Result struct {
	Tool          string    `json:"tool"` // mcproxy bench
	Started       time.Time `json:"started"`
	Endpoint      string    `json:"endpoint"`
	ServerVersion string    `json:"server_version"`
	Options       *Config   `json:"options"`
	Ended         string    `json:"ended"` // duration, requests, stream (it had no more), or interrupted

	Seconds float64 `json:"seconds"` // measured: without the warm-up and the wait for the last answers
	Answers int64   `json:"answers"` // operations with a whole answer, error answers included
	Rate    float64 `json:"rate"`    // answers a second
	Failed  int64   `json:"failed"`  // operations without a whole answer, or with an error for one
	Late    int64   `json:"late"`    // arrivals of an open loop that never were sent, as earlier ones had no answer

	Hits          int64 `json:"hits"`   // keys that gets found
	Misses        int64 `json:"misses"` // keys that gets did not find
	BytesSent     int64 `json:"bytes_sent"`
	BytesReceived int64 `json:"bytes_received"`
	Timeouts      int64 `json:"timeouts"`
	Redials       int64 `json:"redials"`

	Statuses map[string]int64   `json:"statuses"` // operations by how their answer ended
	Failures map[string]int64   `json:"failures"` // error lines and reasons of broken conns
	Latency  Latency            `json:"latency"`
	ByKind   map[string]Latency `json:"latency_by_kind"`
	Timeline []Second           `json:"timeline"`
	CPU      CPU                `json:"cpu"`
	Backends *Backends          `json:"backends,omitempty"`
	workload.Figures

	// For the pages; not in the JSON.
	all    *hdrhistogram.Histogram
	curves map[string][]webpage.Point // latency by percentile, by kind, and "all"
}

// Latency is a distribution in seconds. In an open loop it counts from when an operation was to be sent, so that a stall
// weighs on all that it delayed; in a closed loop from when it was.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	Min   float64 `json:"min"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	P9999 float64 `json:"p99_99"`
	Max   float64 `json:"max"`
}

// A Second is one second of a run.
type Second struct {
	Second int     `json:"second"` // since the end of the warm-up
	Rate   float64 `json:"rate"`   // operations ended in it
	P50    float64 `json:"p50"`    // seconds
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// CPU is what the tool itself used while it measured, so that nobody takes its limits for the endpoint's.
type CPU struct {
	User                float64 `json:"user_seconds"`
	System              float64 `json:"system_seconds"`
	AnswersPerCPUSecond float64 `json:"answers_per_cpu_second"`
}

// Offences is how many reads gave what no read may give; 0 without verification.
func (r *Result) Offences() int64 {
	if r.Verify == nil {
		return 0
	}
	return r.Verify.Offences()
}

// statusNames are the JSON's names of how an operation ended.
var statusNames = [...]string{
	protocol.StatusInvalid: "no_answer", protocol.StatusHit: "hit", protocol.StatusMiss: "miss",
	protocol.StatusStored: "stored", protocol.StatusNotStored: "not_stored", protocol.StatusExists: "exists",
	protocol.StatusNotFound: "not_found", protocol.StatusDeleted: "deleted", protocol.StatusTouched: "touched",
	protocol.StatusNumber: "number", protocol.StatusOK: "ok", protocol.StatusVersion: "version",
	protocol.StatusStat: "stat", protocol.StatusEnd: "end", protocol.StatusError: "error",
	protocol.StatusClientError: "client_error", protocol.StatusServerError: "server_error",
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	at := func(percentile float64) float64 { return seconds(h.ValueAtPercentile(percentile)) }
	return Latency{
		Count: h.TotalCount(), Mean: h.Mean() / 1e9, Min: seconds(h.Min()),
		P50: at(50), P90: at(90), P95: at(95), P99: at(99), P999: at(99.9), P9999: at(99.99), Max: seconds(h.Max()),
	}
}

// curveOf gives the latencies at percentiles whose distance to 100 shrinks by the same factor from each to the next, as far
// as there are enough operations.
func curveOf(name string, h *hdrhistogram.Histogram) []webpage.Point {
	const steps = 12 // for each factor of ten
	var points []webpage.Point
	for i := 0; h.TotalCount() > 0; i++ {
		beyond := math.Pow(10, -float64(i)/steps) // the share of operations that took longer
		percentile := 100 * (1 - beyond)
		latency := seconds(h.ValueAtPercentile(percentile))
		text := fmt.Sprintf("%s: %.6g %% within %s", name, percentile, durationText(latency))
		points = append(points, webpage.Point{X: stretched(percentile), Y: latency, Text: text})
		if beyond*float64(h.TotalCount()) < 1 {
			break
		}
	}
	return points
}

func seconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e9 }

// secondOf is the timeline's entry of a window.
func secondOf(second int, h *hdrhistogram.Histogram) Second {
	l := latencyOf(h)
	return Second{Second: second, Rate: float64(l.Count) / windowLength.Seconds(), P50: l.P50, P99: l.P99, Max: l.Max}
}

// count fills in what t counted over some measured seconds.
func (r *Result) count(t *tally, measured time.Duration) {
	r.Seconds = measured.Seconds()
	r.Answers = t.done - t.statuses[protocol.StatusInvalid]
	if measured > 0 {
		r.Rate = float64(r.Answers) / r.Seconds
	}
	r.Statuses = map[string]int64{}
	for status, n := range t.statuses {
		if n > 0 {
			r.Statuses[statusNames[status]] = n
		}
		if s := protocol.Status(status); s.IsError() || s == protocol.StatusInvalid {
			r.Failed += n
		}
	}
	r.Late, r.Hits, r.Misses = t.late, t.hits, t.misses
	r.BytesSent, r.BytesReceived = t.sentOut, t.received
	r.Timeouts, r.Redials, r.Failures = t.timeouts, t.redials, t.failures
	r.all = t.all()
	r.Latency = latencyOf(r.all)
	r.ByKind, r.curves = map[string]Latency{}, map[string][]webpage.Point{"all": curveOf("all", r.all)}
	for k, h := range t.latency {
		if h != nil {
			name := workload.Kind(k).String()
			r.ByKind[name], r.curves[name] = latencyOf(h), curveOf(name, h)
		}
	}
	if busy := r.CPU.User + r.CPU.System; busy > 0 {
		r.CPU.AnswersPerCPUSecond = float64(r.Answers) / busy
	}
}
