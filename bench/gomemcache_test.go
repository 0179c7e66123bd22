package bench_test

import (
	"math"
	"testing"
	"time"

	"mcproxy/bench"
	"mcproxy/internal/memcachedtest"
	"mcproxy/protocol"
)

// TestGomemcache runs the workloads through gomemcache and holds the figures against the server's own.
func TestGomemcache(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*bench.Config)
	}{
		{"default", func(*bench.Config) {}},
		{"every kind", func(c *bench.Config) {
			c.SetRatio, c.DeleteRatio, c.TouchRatio, c.IncrRatio, c.TTL = 0.2, 0.2, 0.2, 0.2, time.Minute
		}},
		{"multi-get, verified", func(c *bench.Config) { c.Multiget, c.Verify, c.SetRatio = 10, true, 0.3 }},
		{"verified", func(c *bench.Config) { c.Verify, c.SetRatio, c.Keys = true, 0.3, 20 }},
		{"open loop", func(c *bench.Config) { c.Rate = 5000 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mc := memcachedtest.Start(t)
			cfg := config(mc.Addr())
			cfg.Client = "gomemcache"
			tt.change(&cfg)
			r := run(t, cfg)
			if r.Answers != cfg.Requests || r.Failed != 0 || r.Latency.Count != r.Answers || r.Ended != "requests" {
				t.Errorf("Answers, Failed, Ended = %d, %d, %q (%v)", r.Answers, r.Failed, r.Ended, r.Failures)
			}
			sets := r.ByKind["set"].Count + int64(cfg.Keys)
			if cfg.IncrRatio > 0 {
				sets += int64(cfg.Keys)
			}
			if got := stat(t, mc, "cmd_set"); got != sets {
				t.Errorf("memcached counts %d sets, the tool %d", got, sets)
			}
			if got := stat(t, mc, "get_hits"); got != r.Hits && cfg.Multiget == 1 {
				t.Errorf("memcached counts %d hits, the tool %d", got, r.Hits)
			}
			if cfg.DeleteRatio == 0 && r.Misses != 0 {
				t.Errorf("Misses = %d, though every key was set and none deleted", r.Misses)
			}
			if got := stat(t, mc, "bytes_written"); r.BytesReceived > got || r.BytesReceived < got/2 {
				t.Errorf("BytesReceived = %d, memcached has sent %d", r.BytesReceived, got)
			}
			if cfg.Verify && (r.Verify.Checked != r.Hits || r.Verify.Offences() != 0 || r.Verify.Foreign != 0) {
				t.Errorf("Verify = %+v with %d hits", r.Verify, r.Hits)
			}
			if want := 4000 / max(cfg.Rate, 1); cfg.Rate > 0 && math.Abs(r.Seconds-want) > 0.2*want {
				t.Errorf("%d operations at %.0f/s took %.2f s, want %.2f", r.Answers, cfg.Rate, r.Seconds, want)
			}
		})
	}
}

func TestGomemcacheRunsKeystoneTokens(t *testing.T) {
	mc := memcachedtest.Start(t, "-m", "256")
	cfg := tokens(mc.Addr())
	cfg.Client, cfg.Requests = "gomemcache", 2000
	f := run(t, cfg).Keystone
	if f.Issued == 0 || f.ListUpdates == 0 || f.Refused+f.ListsRefused+f.LostUpdates+f.Invalid != 0 {
		t.Errorf("figures %+v, want tokens, and nothing refused, lost or missed", f)
	}
}

func TestGomemcacheFailures(t *testing.T) {
	mc := memcachedtest.Start(t)
	gets := 0
	cfg := config(relay(t, mc.Addr(), func(req *protocol.Request, answer []byte) []byte {
		if req.Verb == protocol.Gets {
			if gets++; gets%10 == 0 {
				return []byte("SERVER_ERROR out of luck\r\n")
			}
		}
		return answer
	}))
	cfg.Client, cfg.Requests, cfg.SetRatio = "gomemcache", 1000, 0
	r := run(t, cfg)
	if r.Failed != 100 || r.Answers != 900 || r.Statuses["no_answer"] != 100 {
		t.Errorf("Failed, Answers, Statuses = %d, %d, %v, want every tenth of 1000 failed (%v)", r.Failed, r.Answers, r.Statuses, r.Failures)
	}
}
