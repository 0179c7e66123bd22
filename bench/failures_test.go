package bench_test

import (
	"strings"
	"testing"
	"time"

	"mcproxy/bench"
	"mcproxy/internal/memcachedtest"
	"mcproxy/protocol"
)

// during runs a load and calls act, on another goroutine, when its first second has passed.
func during(t *testing.T, cfg bench.Config, act func()) *bench.Result {
	t.Helper()
	acted := make(chan struct{})
	begun := false
	r, err := bench.Run(t.Context(), cfg, func(p bench.Progress) {
		if p.Phase == "run" && !begun {
			begun = true
			go func() { // ends with act
				defer close(acted)
				act()
			}()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !begun {
		t.Fatal("the run has ended before its first second")
	}
	<-acted
	return r
}

// TestRestartedEndpoint: conns that break are opened anew, what was in flight on them is counted as failed, and the load
// goes on.
func TestRestartedEndpoint(t *testing.T) {
	for _, client := range []string{"raw", "gomemcache"} {
		t.Run(client, func(t *testing.T) {
			mc := memcachedtest.Start(t)
			cfg := config(mc.Addr())
			cfg.Client, cfg.Requests, cfg.Duration, cfg.SetRatio = client, 0, 3*time.Second, 1
			r := during(t, cfg, mc.Restart)
			if r.Failed == 0 || r.Statuses["no_answer"] != r.Failed || r.Ended != "duration" {
				t.Errorf("Failed, Statuses, Ended = %d, %v, %q", r.Failed, r.Statuses, r.Ended)
			}
			if client == "raw" && (r.Redials < int64(cfg.Conns) || r.Failed > int64(cfg.Conns)) {
				t.Errorf("Redials, Failed = %d, %d, want at least one and at most one for each of %d conns", r.Redials, r.Failed, cfg.Conns)
			}
			if got := stat(t, mc, "cmd_set"); got == 0 {
				t.Error("nothing reached the endpoint after its restart")
			}
			if len(r.Failures) == 0 {
				t.Error("Failures says nothing")
			}
		})
	}
}

// TestHangingEndpoint: an operation that is not answered in time has failed, on a conn that is not used any more.
func TestHangingEndpoint(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := config(mc.Addr())
	cfg.Requests, cfg.Duration, cfg.Timeout = 0, 3*time.Second, 200*time.Millisecond
	r := during(t, cfg, func() {
		mc.Pause()
		time.Sleep(time.Second)
		mc.Resume()
	})
	if r.Timeouts < int64(cfg.Conns) || r.Failed < r.Timeouts || r.Redials == 0 || r.Failures["no answer within 200ms"] != r.Timeouts {
		t.Errorf("Timeouts, Failed, Redials = %d, %d, %d (%v)", r.Timeouts, r.Failed, r.Redials, r.Failures)
	}
	if last := r.Timeline[len(r.Timeline)-1]; last.Rate < 100 {
		t.Errorf("the last second has %.0f/s: the load has not gone on", last.Rate)
	}
}

// TestNonsense: an answer that fits no command breaks the conn, and only that.
func TestNonsense(t *testing.T) {
	mc := memcachedtest.Start(t)
	for _, tt := range []struct{ answer, want string }{
		{"BOGUS\r\n", `answer fits no command's: "BOGUS\r\n"`},
		{"VALUE x 0 zz\r\n", `answer fits no command's: "VALUE x 0 zz\r\n"`},
		{"END\r\nEND\r\n", `an answer without a request: "END\r\n"`},
	} {
		gets := 0
		cfg := config(relay(t, mc.Addr(), func(req *protocol.Request, answer []byte) []byte {
			if req.Verb == protocol.Get {
				if gets++; gets%500 == 0 {
					return []byte(tt.answer)
				}
			}
			return answer
		}))
		r := run(t, cfg)
		found := ""
		for text := range r.Failures {
			if strings.Contains(text, tt.want) {
				found = text
			}
		}
		if found == "" || r.Answers+r.Failed != cfg.Requests || r.Failed > 10 || r.Redials == 0 {
			t.Errorf("%q: %d answers, %d failed, %d redials, %v, want %q", tt.answer, r.Answers, r.Failed, r.Redials, r.Failures, tt.want)
		}
	}
}
