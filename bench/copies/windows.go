package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// counters are what memcacheds have done since their start, one each.
type counters struct {
	operations, bytes []float64
}

// operationStats are the counters that add up to a memcached's operations, as docs/bench.md has them.
var operationStats = []string{
	"cmd_get", "cmd_set", "cmd_touch", "delete_hits", "delete_misses", "incr_hits", "incr_misses", "decr_hits", "decr_misses",
}

func readCounters(ctx context.Context, memcacheds []string) (counters, error) {
	var c counters
	for _, address := range memcacheds {
		stats, err := readStats(ctx, address)
		if err != nil {
			return c, fmt.Errorf("stats of %s: %w", address, err)
		}
		var operations float64
		for _, name := range operationStats {
			operations += stats[name]
		}
		c.operations = append(c.operations, operations)
		c.bytes = append(c.bytes, stats["bytes_read"]+stats["bytes_written"])
	}
	return c, nil
}

func readStats(ctx context.Context, address string) (map[string]float64, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("stats\r\n")); err != nil {
		return nil, err
	}
	stats := make(map[string]float64)
	lines := bufio.NewScanner(conn)
	for lines.Scan() && lines.Text() != "END" {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 {
			if v, err := strconv.ParseFloat(fields[2], 64); err == nil {
				stats[fields[1]] = v
			}
		}
	}
	return stats, lines.Err()
}

// since gives what was done since before.
func (c counters) since(before counters) counters {
	minus := func(a, b []float64) []float64 {
		d := make([]float64, len(a))
		for i := range a {
			d[i] = a[i] - b[i]
		}
		return d
	}
	return counters{minus(c.operations, before.operations), minus(c.bytes, before.bytes)}
}

func sum(xs []float64) (s float64) {
	for _, x := range xs {
		s += x
	}
	return s
}

// maxMean is the busiest one's share over the mean.
func maxMean(xs []float64) float64 { return slices.Max(xs) * float64(len(xs)) / sum(xs) }

// windows gives the maximum over the mean of each second, of operations and bytes, while the time lasts.
func windows(ctx context.Context, memcacheds []string, length time.Duration) (operations, bytes []float64, err error) {
	before, err := readCounters(ctx, memcacheds)
	if err != nil {
		return nil, nil, err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range int(length / time.Second) {
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-tick.C:
		}
		now, err := readCounters(ctx, memcacheds)
		if err != nil {
			return nil, nil, err
		}
		done := now.since(before)
		before = now
		if sum(done.operations) == 0 {
			return nil, nil, fmt.Errorf("the memcacheds did nothing for a second")
		}
		operations, bytes = append(operations, maxMean(done.operations)), append(bytes, maxMean(done.bytes))
	}
	return operations, bytes, nil
}
