package bench

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Backends is how a load spread over the servers behind an endpoint, by their own counters from before the run, its
// warm-up included and its prefill not, to after it.
type Backends struct {
	Each []Backend `json:"each"`

	// The busiest one's share over the mean: 1 is even, the number of backends is all on one.
	OperationsMaxMean float64 `json:"operations_max_mean"`
	BytesMaxMean      float64 `json:"bytes_max_mean"`
	// Jain's index of fairness, (Σx)² / (n·Σx²): 1 is even, 1/n is all on one.
	OperationsJain float64 `json:"operations_jain"`
	BytesJain      float64 `json:"bytes_jain"`
}

// A Backend is what one server did.
type Backend struct {
	Address      string `json:"address"`
	Operations   int64  `json:"operations"` // keys asked for and commands
	Gets         int64  `json:"gets"`
	Sets         int64  `json:"sets"`
	BytesRead    int64  `json:"bytes_read"`
	BytesWritten int64  `json:"bytes_written"`
	Restarted    bool   `json:"restarted"` // in between; then what it did before is missing
}

// operationStats are the counters that add up to a memcached's operations.
var operationStats = [...]string{
	"cmd_get", "cmd_set", "cmd_touch", "delete_hits", "delete_misses", "incr_hits", "incr_misses", "decr_hits", "decr_misses",
}

// A backendWatch has the counters of before.
type backendWatch struct {
	addresses []address
	before    []map[string]string
	timeout   time.Duration
}

// watchBackends reads the counters of each backend, "host:port,host:port"; nil for "".
func watchBackends(list string, timeout time.Duration) (*backendWatch, error) {
	if list == "" {
		return nil, nil
	}
	w := &backendWatch{timeout: timeout}
	var wrong []error
	for text := range strings.SplitSeq(list, ",") {
		addr, err := parseAddress(text)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("backends: %w", err))
			continue
		}
		w.addresses = append(w.addresses, addr)
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	var err error
	w.before, err = w.read()
	return w, err
}

func (w *backendWatch) read() ([]map[string]string, error) {
	var all []map[string]string
	for _, addr := range w.addresses {
		stats, err := addr.stats(w.timeout)
		if err != nil {
			return nil, fmt.Errorf("backends: %w", err)
		}
		all = append(all, stats)
	}
	return all, nil
}

// figures reads the counters again.
func (w *backendWatch) figures() (*Backends, error) {
	after, err := w.read()
	if err != nil {
		return nil, err
	}
	b := &Backends{}
	var operations, bytes []float64
	for i, addr := range w.addresses {
		before := w.before[i]
		restarted := before["pid"] != after[i]["pid"] || number(before, "uptime") > number(after[i], "uptime")
		if restarted {
			before = nil
		}
		grown := func(name string) int64 { return number(after[i], name) - number(before, name) }
		one := Backend{
			Address: addr.text, Gets: grown("cmd_get"), Sets: grown("cmd_set"),
			BytesRead: grown("bytes_read"), BytesWritten: grown("bytes_written"), Restarted: restarted,
		}
		for _, name := range operationStats {
			one.Operations += grown(name)
		}
		b.Each = append(b.Each, one)
		operations = append(operations, float64(one.Operations))
		bytes = append(bytes, float64(one.BytesRead+one.BytesWritten))
	}
	b.OperationsMaxMean, b.OperationsJain = evenness(operations)
	b.BytesMaxMean, b.BytesJain = evenness(bytes)
	return b, nil
}

func number(stats map[string]string, name string) int64 {
	n, _ := strconv.ParseInt(stats[name], 10, 64) // 0 for what a version does not have
	return n
}

// evenness gives the maximum over the mean, and Jain's index; 1 and 1 when nothing happened.
func evenness(xs []float64) (maxMean, jain float64) {
	var sum, squares, most float64
	for _, x := range xs {
		sum, squares, most = sum+x, squares+x*x, max(most, x)
	}
	if sum == 0 {
		return 1, 1
	}
	n := float64(len(xs))
	return most * n / sum, sum * sum / (n * squares)
}
