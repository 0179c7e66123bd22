package bench_test

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcproxy/bench"
	"mcproxy/internal/memcachedtest"
)

// config is a short run against an endpoint, by count and without a warm-up.
func config(endpoint string) bench.Config {
	cfg := bench.Default()
	cfg.Endpoint = endpoint
	cfg.Conns, cfg.Keys = 8, 500
	cfg.Requests, cfg.Warmup, cfg.Duration = 4000, 0, 30*time.Second
	return cfg
}

func run(t *testing.T, cfg bench.Config) *bench.Result {
	t.Helper()
	result, err := bench.Run(t.Context(), cfg, nil)
	if err != nil {
		t.Fatalf("Run(%+v): %v", cfg, err)
	}
	return result
}

// stat reads one counter of a memcached.
func stat(t *testing.T, mc *memcachedtest.Server, name string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(mc.Stats()[name], 10, 64)
	if err != nil {
		t.Fatalf("stats %s: %v", name, err)
	}
	return n
}

// TestCountsWhatTheServerCounts holds the tool's figures against memcached's own.
func TestCountsWhatTheServerCounts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*bench.Config)
	}{
		{"default", func(*bench.Config) {}},
		{"pipelined", func(c *bench.Config) { c.Pipeline = 16 }},
		{"two threads", func(c *bench.Config) { c.Threads = 2 }},
		{"every kind", func(c *bench.Config) {
			c.SetRatio, c.DeleteRatio, c.TouchRatio, c.IncrRatio, c.TTL = 0.2, 0.2, 0.2, 0.2, time.Minute
		}},
		{"every kind, meta", func(c *bench.Config) {
			c.Meta, c.Pipeline = true, 4
			c.SetRatio, c.DeleteRatio, c.TouchRatio, c.IncrRatio, c.TTL = 0.2, 0.2, 0.2, 0.2, time.Minute
		}},
		{"multi-get", func(c *bench.Config) { c.Multiget = 50 }},
		{"multi-get, meta", func(c *bench.Config) { c.Multiget, c.Meta = 50, true }},
		{"empty values", func(c *bench.Config) { c.ValueSize = "0" }},
		{"big values", func(c *bench.Config) {
			c.ValueSize, c.SetRatio, c.Pipeline, c.Keys, c.Requests = "200KiB-900KiB", 0.5, 4, 20, 400
		}},
		{"open loop", func(c *bench.Config) { c.Rate = 20_000 }},
		{"longest keys", func(c *bench.Config) { c.KeySize = "250" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mc := memcachedtest.Start(t, "-m", "256")
			cfg := config(mc.Addr())
			tt.change(&cfg)
			r := run(t, cfg)
			if r.Answers != cfg.Requests || r.Failed != 0 || r.Ended != "requests" {
				t.Errorf("Answers, Failed, Ended = %d, %d, %q (%v), want %d, 0, requests", r.Answers, r.Failed, r.Ended, r.Failures, cfg.Requests)
			}
			if r.Latency.Count != r.Answers || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P50 || r.Latency.Max > r.Seconds+0.1 {
				t.Errorf("Latency = %+v of %d answers in %v s", r.Latency, r.Answers, r.Seconds)
			}
			sets := r.ByKind["set"].Count + int64(cfg.Keys)
			if cfg.IncrRatio > 0 {
				sets += int64(cfg.Keys)
			}
			gets := r.ByKind["get"].Count * int64(cfg.Multiget)
			touches := r.ByKind["touch"].Count
			if got := stat(t, mc, "cmd_set"); got != sets {
				t.Errorf("memcached counts %d sets, the tool %d", got, sets)
			}
			// memcached counts an mg with T as a touch, or not, by what it found.
			if got := stat(t, mc, "cmd_touch"); got != touches && !cfg.Meta {
				t.Errorf("memcached counts %d touches, the tool %d", got, touches)
			}
			if got := stat(t, mc, "cmd_get"); got != gets && (!cfg.Meta || touches == 0) {
				t.Errorf("memcached counts %d gets, the tool %d", got, gets)
			}
			if got := stat(t, mc, "get_hits"); !cfg.Meta && got != r.Hits {
				t.Errorf("memcached counts %d hits, the tool %d", got, r.Hits)
			}
			if r.Hits+r.Misses != r.ByKind["get"].Count*int64(cfg.Multiget) {
				t.Errorf("Hits + Misses = %d + %d, want %d", r.Hits, r.Misses, r.ByKind["get"].Count*int64(cfg.Multiget))
			}
			if cfg.DeleteRatio == 0 && r.Misses != 0 {
				t.Errorf("Misses = %d, though every key was set and none deleted", r.Misses)
			}
			deletes := stat(t, mc, "delete_hits") + stat(t, mc, "delete_misses")
			if deletes != r.ByKind["delete"].Count {
				t.Errorf("memcached counts %d deletes, the tool %d", deletes, r.ByKind["delete"].Count)
			}
			incrs := stat(t, mc, "incr_hits")
			if incrs != r.ByKind["incr"].Count {
				t.Errorf("memcached counts %d hits of incr, the tool %d", incrs, r.ByKind["incr"].Count)
			}
		})
	}
}

func TestUnixSocket(t *testing.T) {
	r := run(t, config(memcachedtest.StartUnix(t).Addr()))
	if r.Answers != 4000 || r.Failed != 0 {
		t.Errorf("Answers, Failed = %d, %d, want 4000, 0", r.Answers, r.Failed)
	}
}

// TestRefuses: an endpoint that is no memcached is told apart before any load.
func TestRefuses(t *testing.T) {
	script := func(answer string, closes bool) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() { // ends with the listener
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				t.Cleanup(func() { conn.Close() })
				_, _ = conn.Read(make([]byte, 100))
				_, _ = conn.Write([]byte(answer))
				if closes {
					conn.Close()
				}
			}
		}()
		return listener.Addr().String()
	}
	for _, tt := range []struct{ name, endpoint, want string }{
		{"nobody listens", "127.0.0.1:1", "refused"},
		{"no such socket", "unix:" + filepath.Join(t.TempDir(), "none"), "no such file"},
		{"HTTP", script("HTTP/1.1 400 Bad Request\r\n\r\n", true), `answers "HTTP/1.1 400 Bad Request" to version`},
		{"ERROR", script("ERROR\r\n", false), `answers "ERROR" to version`},
		{"closes", script("", true), "the conn was closed"},
		{"says nothing", script("", false), "timeout"},
		{"no address", "localhost", "want HOST:PORT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config(tt.endpoint)
			cfg.Timeout = 300 * time.Millisecond
			_, err := bench.Run(t.Context(), cfg, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.endpoint) {
				t.Errorf("Run = %v, want an error with %q and the endpoint", err, tt.want)
			}
		})
	}
}

func TestCheckNamesEveryMistake(t *testing.T) {
	cfg := bench.Default()
	cfg.Endpoint = "x"
	cfg.Conns, cfg.Pipeline, cfg.Rate, cfg.ValueSize, cfg.KeyDist = 0, -1, -2, "12q", "zip"
	cfg.SetRatio, cfg.DeleteRatio, cfg.Multiget, cfg.TTL, cfg.Duration = 0.6, 0.6, 0, 1500*time.Millisecond, 0
	text := cfg.Check().Error()
	for _, want := range []string{
		"endpoint", "conns 0", "pipeline -1", "rate -2", `value-size "12q"`, `key-dist "zip"`, "sum up to 1.2", "multiget 0", "ttl 1.5s", "duration 0s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("Check() does not speak of %q:\n%s", want, text)
		}
	}
	good := bench.Default()
	good.Endpoint = "127.0.0.1:11211"
	if err := good.Check(); err != nil {
		t.Errorf("Check() of the defaults: %v", err)
	}
}

func TestInterrupted(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := config(mc.Addr())
	cfg.Requests, cfg.Prefill = 0, false
	ctx, cancel := context.WithCancel(t.Context())
	r, err := bench.Run(ctx, cfg, func(p bench.Progress) {
		if p.Rate > 0 {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Ended != "interrupted" || r.Answers == 0 || r.Failed != 0 {
		t.Errorf("Ended, Answers, Failed = %q, %d, %d, want interrupted, some, 0", r.Ended, r.Answers, r.Failed)
	}
	if got := stat(t, mc, "cmd_get") + stat(t, mc, "cmd_set"); got != r.Answers {
		t.Errorf("memcached counts %d operations, the tool %d", got, r.Answers)
	}
}
