package bench_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"mcproxy/bench"
	"mcproxy/internal/memcachedtest"
	"mcproxy/protocol"
)

// verified is a run with few keys, so that every key is written and read by many.
func verified(endpoint string) bench.Config {
	cfg := config(endpoint)
	cfg.Verify, cfg.Keys, cfg.Requests, cfg.SetRatio, cfg.ValueSize = true, 20, 20_000, 0.3, "300"
	return cfg
}

func TestVerifyFindsNothingInMemcached(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*bench.Config)
	}{
		{"plain", func(*bench.Config) {}},
		{"pipelined", func(c *bench.Config) { c.Pipeline = 8 }},
		{"two threads", func(c *bench.Config) { c.Threads, c.Pipeline = 2, 4 }},
		{"meta", func(c *bench.Config) { c.Meta, c.Pipeline = true, 4 }},
		{"multi-get", func(c *bench.Config) { c.Multiget, c.DeleteRatio = 7, 0.1 }},
		{"multi-get, meta", func(c *bench.Config) { c.Multiget, c.Meta, c.DeleteRatio = 7, true, 0.1 }},
		{"deletes, touches, incrs", func(c *bench.Config) { c.DeleteRatio, c.TouchRatio, c.IncrRatio, c.Pipeline = 0.2, 0.1, 0.1, 8 }},
		{"short values", func(c *bench.Config) { c.ValueSize = "0-100" }},
		{"big values", func(c *bench.Config) { c.ValueSize, c.Requests = "100KiB-500KiB", 1000 }},
		{"no prefill", func(c *bench.Config) { c.Prefill = false }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := verified(memcachedtest.Start(t, "-m", "256").Addr())
			tt.change(&cfg)
			r := run(t, cfg)
			if v := r.Verify; v.Offences() != 0 || v.Foreign != 0 || v.Unconfirmed != 0 || v.Checked != r.Hits || v.Checked == 0 {
				t.Errorf("Verify = %+v with %d hits, want as many checked and no offence", v, r.Hits)
			}
		})
	}
}

// header cuts an answer to a get of one key into the VALUE line and the value; nil for a miss.
func header(answer []byte) (line, value []byte) {
	var r protocol.Response
	if n, err := protocol.ParseResponse(answer, protocol.ShapeValue, &r); n == 0 || err != nil || r.Status != protocol.StatusHit {
		return nil, nil
	}
	return answer[:bytes.IndexByte(answer, '\n')+1], r.Value
}

// whole makes an answer of what header gave.
func whole(line, value []byte) []byte {
	return append(slices.Concat(line, value), "\r\nEND\r\n"...)
}

// plantOwnStale gives, once a key, the value that was there before the only write since, which was the writer's own.
func plantOwnStale() (plan, *int) {
	old, sets, planted := map[string][]byte{}, map[string]int{}, 0
	return func(req *protocol.Request, answer []byte) []byte {
		key := string(req.Key)
		if req.Verb == protocol.Set {
			sets[key]++
		}
		line, value := header(answer)
		switch {
		case req.Verb != protocol.Get || line == nil:
		case old[key] == nil:
			old[key], sets[key] = slices.Concat(value), 0
		case sets[key] == 1:
			sets[key]++ // once a key
			planted++
			return whole(line, old[key])
		}
		return answer
	}, &planted
}

// plantDeleted gives the value that was there before a delete.
func plantDeleted() (plan, *int) {
	old, planted := map[string][]byte{}, 0
	deleted := map[string]bool{}
	return func(req *protocol.Request, answer []byte) []byte {
		key := string(req.Key)
		line, _ := header(answer)
		switch {
		case req.Verb == protocol.Delete:
			deleted[key] = true
		case req.Verb == protocol.Set:
			deleted[key] = false
		case req.Verb == protocol.Get && line != nil:
			old[key] = slices.Concat(answer)
		case req.Verb == protocol.Get && deleted[key] && old[key] != nil:
			deleted[key] = false
			planted++
			return old[key]
		}
		return answer
	}, &planted
}

// plantTorn puts a value together from two of the same length.
func plantTorn() (plan, *int) {
	last, gets, planted := map[string][]byte{}, 0, 0
	return func(req *protocol.Request, answer []byte) []byte {
		key := string(req.Key)
		line, value := header(answer)
		if req.Verb != protocol.Get || line == nil {
			return answer
		}
		before := last[key]
		last[key] = slices.Concat(value)
		if gets++; gets%100 == 0 && before != nil && !bytes.Equal(before, value) && len(before) == len(value) {
			planted++
			return whole(line, slices.Concat(value[:150], before[150:]))
		}
		return answer
	}, &planted
}

// plantCut leaves the last byte of a value out.
func plantCut() (plan, *int) {
	gets, planted := 0, 0
	return func(req *protocol.Request, answer []byte) []byte {
		line, value := header(answer)
		if req.Verb != protocol.Get || line == nil {
			return answer
		}
		if gets++; gets%100 == 0 {
			planted++
			return whole(bytes.Replace(line, []byte(" 300\r"), []byte(" 299\r"), 1), value[:299])
		}
		return answer
	}, &planted
}

// plantOtherValue gives another key's value under the key asked for.
func plantOtherValue() (plan, *int) {
	var other []byte
	gets, planted := 0, 0
	otherKey := ""
	return func(req *protocol.Request, answer []byte) []byte {
		line, value := header(answer)
		if req.Verb != protocol.Get || line == nil {
			return answer
		}
		key := string(req.Key)
		if gets++; gets%100 == 0 && otherKey != "" && otherKey != key {
			planted++
			return whole(line, other)
		}
		other, otherKey = slices.Concat(value), key
		return answer
	}, &planted
}

// plantOtherAnswer gives another key's whole answer.
func plantOtherAnswer() (plan, *int) {
	var other []byte
	gets, planted := 0, 0
	otherKey := ""
	return func(req *protocol.Request, answer []byte) []byte {
		if line, _ := header(answer); req.Verb != protocol.Get || line == nil {
			return answer
		}
		key := string(req.Key)
		if gets++; gets%100 == 0 && otherKey != "" && otherKey != key {
			planted++
			return other
		}
		other, otherKey = slices.Concat(answer), key
		return answer
	}, &planted
}

// TestVerifyCatches plants one kind of wrong answer in a relay before a real memcached.
func TestVerifyCatches(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kind   string
		change func(*bench.Config)
		plant  func() (change plan, planted *int)
	}{
		{"a stale read of the writer's own", "stale", func(c *bench.Config) { c.Conns = 1 }, plantOwnStale},
		{"a deleted value that comes back", "stale", func(c *bench.Config) { c.Conns, c.DeleteRatio = 1, 0.3 }, plantDeleted},
		{"a torn value", "torn", func(*bench.Config) {}, plantTorn},
		{"a cut value", "torn", func(*bench.Config) {}, plantCut},
		{"another key's value", "crossed", func(*bench.Config) {}, plantOtherValue},
		{"another key's answer", "crossed", func(*bench.Config) {}, plantOtherAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			change, planted := tt.plant()
			cfg := verified(relay(t, memcachedtest.Start(t).Addr(), change))
			cfg.Requests = 5000
			tt.change(&cfg)
			r := run(t, cfg)
			found := map[string]int64{"stale": r.Verify.Stale, "torn": r.Verify.Torn, "crossed": r.Verify.Crossed}
			if *planted == 0 || found[tt.kind] != int64(*planted) || r.Verify.Offences() != int64(*planted) {
				t.Errorf("%d planted, found %v, want as many %s and nothing else", *planted, found, tt.kind)
			}
			if want := min(*planted, 10); len(r.Verify.Offenders) != want {
				t.Fatalf("%d offenders are named, want %d", len(r.Verify.Offenders), want)
			}
			for _, o := range r.Verify.Offenders {
				if o.Kind != tt.kind || !strings.HasPrefix(o.Key, "mcb:") || o.Found == "" || o.Want == "" {
					t.Errorf("offender %+v", o)
				}
			}
			var text strings.Builder
			if err := r.WriteSummary(&text); err != nil || !strings.Contains(text.String(), "WRONG: of") {
				t.Errorf("the summary says nothing of it (%v):\n%s", err, &text)
			}
		})
	}
}

// TestVerifyCatchesOtherWritersStaleReads: from some moment on each key's reads give the value that was read first,
// whoever wrote since. No read may then be taken for fresh but those that nobody has overwritten.
func TestVerifyCatchesOtherWritersStaleReads(t *testing.T) {
	first := map[string][]byte{}
	cfg := verified(relay(t, memcachedtest.Start(t).Addr(), func(req *protocol.Request, answer []byte) []byte {
		if req.Verb != protocol.Get || len(answer) < 10 {
			return answer
		}
		if first[string(req.Key)] == nil {
			first[string(req.Key)] = slices.Concat(answer)
		}
		return first[string(req.Key)]
	}))
	cfg.Requests, cfg.Conns = 5000, 4
	r := run(t, cfg)
	if v := r.Verify; v.Stale < v.Checked*9/10 || v.Torn+v.Crossed != 0 {
		t.Errorf("Verify = %+v, want nearly all reads stale", v)
	}
}

// TestVerifyKnowsWhatItDoesNotKnow: a value of an earlier run is no offence before the key is written, and one
// afterwards; a write whose answer was an error may show up.
func TestVerifyKnowsWhatItDoesNotKnow(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := verified(mc.Addr())
	run(t, cfg)
	cfg.Prefill, cfg.SetRatio = false, 0
	if v := run(t, cfg).Verify; v.Foreign != v.Checked || v.Offences() != 0 {
		t.Errorf("values of an earlier run: %+v, want all foreign", v)
	}

	sets := 0
	cfg = verified(relay(t, mc.Addr(), func(req *protocol.Request, answer []byte) []byte {
		if req.Verb == protocol.Set {
			if sets++; sets > 20 && sets%50 == 0 {
				return []byte("SERVER_ERROR lost the answer\r\n")
			}
		}
		return answer
	}))
	cfg.Requests = 5000
	r := run(t, cfg)
	if v := r.Verify; v.Offences() != 0 || v.Unconfirmed == 0 {
		t.Errorf("writes without a good answer: %+v, want some unconfirmed and no offence", v)
	}
	if r.Failed == 0 || r.Failures["SERVER_ERROR lost the answer"] != r.Failed || r.Statuses["server_error"] != r.Failed {
		t.Errorf("Failed, Failures, Statuses = %d, %v, %v", r.Failed, r.Failures, r.Statuses)
	}
}
