package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcproxy/admin"
	"mcproxy/proxy"
)

// counted is a pool of backends whose counters stand at n times their parts.
func counted(start time.Time, n uint64, parts ...uint64) proxy.Snapshot {
	p := proxy.PoolFigures{Name: "main", PoolSum: proxy.PoolSum{Requests: map[string]uint64{"get": 10 * n}, Hits: 9 * n, Misses: n}}
	for i, part := range parts {
		p.Backends = append(p.Backends, proxy.BackendFigures{
			Name: fmt.Sprintf("b%d", i+1), State: "up", Calls: n * part, BytesOut: 100 * n * part, BytesIn: 300 * n * part,
		})
	}
	return proxy.Snapshot{Start: start, Pools: []proxy.PoolFigures{p}}
}

func getJSON[T any](t *testing.T, server *admin.Server, path string) T {
	t.Helper()
	var v T
	resp := askServer(server, "GET", path, "localhost")
	if text := body(t, resp); resp.StatusCode != 200 {
		t.Fatalf("GET %s: %d %s", path, resp.StatusCode, text)
	} else if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, text)
	}
	return v
}

// TestStatus reads rates, ratios and the skew out of two moments, five seconds apart.
func TestStatus(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	server := newServer(&source{ready: true})
	for i := range 10 {
		server.Record(start.Add(time.Duration(i)*time.Second), counted(start, uint64(7*i), 3, 1), nil)
	}
	got := getJSON[admin.Status](t, server, "/api/status")
	p := got.Pools[0]
	for _, tt := range []struct {
		name      string
		got, want admin.Figure
	}{
		{"seconds", got.Seconds, 5},
		{"requests", p.Ops, 70},
		{"hit ratio", p.HitRatio, .9},
		{"skew of calls", p.Skew.Ops, 1.5},
		{"skew of bytes", p.Skew.Bytes, 1.5},
		{"b1's calls", p.Backends[0].Ops, 21},
		{"b1's bytes to it", p.Backends[0].Sent, 2100},
		{"b1's bytes from it", p.Backends[0].Received, 6300},
		{"b1's load", p.Backends[0].Load, 1.5},
		{"b2's load", p.Backends[1].Load, .5},
	} {
		if math.Abs(float64(tt.got-tt.want)) > 1e-3 {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if p.Skew.Busiest != "b1" {
		t.Errorf("the busiest is %q", p.Skew.Busiest)
	}
}

// TestStatusOfNothing has no load: what has no number is null, and no division's remains.
func TestStatusOfNothing(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	server := newServer(&source{ready: true, snapshot: counted(start, 0, 1, 1)})
	text := body(t, askServer(server, "GET", "/api/status", "localhost"))
	for _, want := range []string{`"hit_ratio":null`, `"skew":{"operations":null,"bytes":null,"sent_bytes":null,"received_bytes":null,"busiest":""}`, `"load":null`} {
		if !strings.Contains(text, want) {
			t.Errorf("without load the status has no %s: %s", want, text)
		}
	}
	got := getJSON[admin.Status](t, server, "/api/status")
	if got.Pools[0].HitRatio.Known() || got.Pools[0].Ops != 0 {
		t.Errorf("without load: hit ratio %v, requests %v", got.Pools[0].HitRatio, got.Pools[0].Ops)
	}
}

// TestHistory fills more than the 15 minutes that are kept.
func TestHistory(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	server := newServer(&source{ready: true})
	const seconds = 1000
	for i := range seconds + 1 {
		parts := []uint64{3, 1}
		if i >= 700 && i < 800 {
			parts = parts[:1] // b2 is taken out of the configuration, and put in again
		}
		server.Record(start.Add(time.Duration(i)*time.Second), counted(start, uint64(i), parts...), nil)
	}
	h := getJSON[admin.History](t, server, "/api/history")
	if len(h.Times) != 900 || h.Next != seconds || float64(h.Times[899]) != float64(start.Unix()+seconds) || float64(h.Times[0]) != float64(start.Unix()+seconds-899) {
		t.Fatalf("%d samples from %v to %v, next %d", len(h.Times), h.Times[0], h.Times[len(h.Times)-1], h.Next)
	}
	b1, b2 := h.Pools[0].Backends[0], h.Pools[0].Backends[1]
	for i := range h.Times {
		if b1.Ops[i] != 3 || b1.Sent[i] != 300 || b1.Received[i] != 900 || h.Pools[0].HitRatio[i] != .9 {
			t.Fatalf("sample %d: %v calls, %v B to it, %v B from it, hit ratio %v", i, b1.Ops[i], b1.Sent[i], b1.Received[i], h.Pools[0].HitRatio[i])
		}
		at := i + seconds - 899
		away := at >= 700 && at <= 800 // the first sample after its return has nothing to be compared with
		if away == b2.Ops[i].Known() || !away && b2.Ops[i] != 1 {
			t.Fatalf("second %d: b2 has %v calls", at, b2.Ops[i])
		}
	}

	// Only what is new, and nothing of it that fits a number of another process.
	for _, tt := range []struct {
		after string
		want  int
	}{{"999", 1}, {"1000", 0}, {"950", 50}, {"5", 900}, {"123456789", 900}} {
		if got := getJSON[admin.History](t, server, "/api/history?after="+tt.after); len(got.Times) != tt.want || len(got.Pools[0].Ops) != tt.want {
			t.Errorf("after=%s: %d samples, want %d", tt.after, len(got.Times), tt.want)
		}
	}
	for path, status := range map[string]int{"/api/history?after=x": 400, "/api/history?after=-1": 400, "/api/history?pool=none": 404, "/api/history?pool=main": 200} {
		if resp := askServer(server, "GET", path, "localhost"); resp.StatusCode != status {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, status)
		}
	}
}

// TestHistoryOfARestart has counters that begin anew, as those of a backend that was taken out and put in again within a second.
func TestHistoryOfARestart(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	server := newServer(&source{ready: true})
	for i, n := range []uint64{1000, 1010, 4, 8} {
		server.Record(start.Add(time.Duration(i)*time.Second), counted(start, n, 1), nil)
	}
	h := getJSON[admin.History](t, server, "/api/history")
	if diff := cmp.Diff([]admin.Figure{10, 4, 4}, h.Pools[0].Backends[0].Ops); diff != "" {
		t.Errorf("calls a second (-want +got):\n%s", diff)
	}
}

// TestHistoryIsBounded has more backends than are remembered.
func TestHistoryIsBounded(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	server := newServer(&source{ready: true})
	parts := make([]uint64, 1500)
	for i := range 3 {
		server.Record(start.Add(time.Duration(i)*time.Second), counted(start, uint64(i), parts...), nil)
	}
	known := 0
	for _, b := range getJSON[admin.History](t, server, "/api/history").Pools[0].Backends {
		if b.Ops[1].Known() {
			known++
		}
	}
	if known != 1023 { // and the pool
		t.Errorf("%d backends have a history, want 1023", known)
	}
}

// TestRecorder looks each second by itself, goes on after a failure, and ends.
func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(time.Now())
		server := newServerOf(s, admin.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.Watch(ctx)
		}()
		time.Sleep(10500 * time.Millisecond)
		s.set(func() { s.failed = true })
		time.Sleep(5 * time.Second)
		s.set(func() { s.failed = false })
		time.Sleep(5 * time.Second)
		h := getJSON[admin.History](t, server, "/api/history?pool=tokens")
		if len(h.Times) != 15 {
			t.Errorf("%d samples in 20 s of which 5 were without figures", len(h.Times))
		}
		if gap := h.Times[10] - h.Times[9]; gap < 5.9 || gap > 6.1 {
			t.Errorf("there is a gap of %v s, want 6", gap)
		}
		cancel()
		<-done
	})
}

func TestFigures(t *testing.T) {
	for _, tt := range []struct {
		f    admin.Figure
		want string
	}{
		{0, "0"},
		{0.123456, "0.12346"},
		{1234.56, "1234.6"},
		{123456789.4, "123456789"},
		{1e21, "1000000000000000000000"},
		{0.0000123, "1.23e-05"},
		{admin.None(), "null"},
		{admin.Figure(math.Inf(1)), "null"},
	} {
		text, err := json.Marshal(tt.f)
		if err != nil || string(text) != tt.want {
			t.Errorf("%v is %s (%v), want %s", float64(tt.f), text, err, tt.want)
		}
		var back admin.Figure
		if err := json.Unmarshal(text, &back); err != nil || back.Known() != (tt.want != "null") {
			t.Errorf("%s is read as %v (%v)", text, back, err)
		}
		if want, err := strconv.ParseFloat(tt.want, 64); err == nil && float64(back) != want {
			t.Errorf("%s is read as %v", text, float64(back))
		}
	}
}
