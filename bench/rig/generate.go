package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A Generated is what the load generator's JSON says of a run, as far as it matters here. docs/bench.md has the fields.
type Generated struct {
	Started  time.Time `json:"started"` // of the warm-up, with all conns open
	Seconds  float64   `json:"seconds"` // after the warm-up
	Answers  int64     `json:"answers"`
	Failed   int64     `json:"failed"`
	Misses   int64     `json:"misses"`
	Ended    string    `json:"ended"`
	Received int64     `json:"bytes_received"`
	Latency  struct {
		P50 float64 `json:"p50"` // seconds
		P99 float64 `json:"p99"`
	} `json:"latency"`
	Failures map[string]int64 `json:"failures"`
	Backends Backends         `json:"backends"`
	Keystone struct {
		Issued       int64 `json:"tokens_issued"`
		Updates      int64 `json:"list_updates"`
		Refused      int64 `json:"lists_refused"`
		LockFailures int64 `json:"lock_failures"`
		Lost         int64 `json:"lost_updates"`
		Largest      int64 `json:"largest_list_bytes"`
		Unchecked    int64 `json:"unchecked_users"`
	} `json:"keystone"`
}

// Backends are the memcacheds behind the endpoint.
type Backends struct {
	Each []Backend `json:"each"`
	// The busiest one's share over the mean.
	OperationsMaxMean float64 `json:"operations_max_mean"`
	BytesMaxMean      float64 `json:"bytes_max_mean"`
}

// A Backend is what one memcached did during a run, by its own counters.
type Backend struct {
	Address      string `json:"address"`
	Operations   int64  `json:"operations"`
	BytesRead    int64  `json:"bytes_read"`
	BytesWritten int64  `json:"bytes_written"`
}

// Rate is in operations a second.
func (g Generated) Rate() float64 { return float64(g.Answers) / g.Seconds }

// ParseGenerated reads the JSON of a run. A run without answers is an error.
func ParseGenerated(text []byte) (Generated, error) {
	var g Generated
	if err := json.Unmarshal(text, &g); err != nil {
		return g, fmt.Errorf("the load generator's JSON: %w", err)
	}
	if g.Started.IsZero() || g.Seconds <= 0 || g.Answers <= 0 {
		return g, fmt.Errorf("the load generator counted %d answers in %v s, started %v", g.Answers, g.Seconds, g.Started)
	}
	return g, nil
}

// maxLost is the part of all requests that may fail or miss: 1 in so many.
const maxLost = 1000

// Comparable is an error if too much failed or was missed: figures of proxies that did different work are not comparable.
func (g Generated) Comparable() error {
	if lost := g.Failed + g.Misses; lost > g.Answers/maxLost {
		return fmt.Errorf("of %d operations %d failed %v, and %d keys were missed", g.Answers, g.Failed, g.Failures, g.Misses)
	}
	return nil
}

// Generate runs the load generator to its end, with these arguments and --json. What it did is for the caller to judge: see
// Comparable.
func (m *Machine) Generate(ctx context.Context, args ...string) (Generated, error) {
	var out bytes.Buffer
	c, err := Start("mcproxy bench", &out, append([]string{m.Mcproxy, "bench", "--json"}, args...)...)
	if err != nil {
		return Generated{}, err
	}
	if err := c.Wait(ctx); err != nil {
		return Generated{}, err
	}
	return ParseGenerated(out.Bytes())
}
