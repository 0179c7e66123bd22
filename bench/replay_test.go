package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcproxy/bench"
	"mcproxy/bench/workload"
	"mcproxy/internal/memcachedtest"
	"mcproxy/protocol"
)

func replay(t *testing.T, kind, endpoint, content string) bench.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(endpoint)
	cfg.Workload, cfg.File, cfg.Requests = kind, file, 0
	return cfg
}

func TestTraceReplay(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := replay(t, "trace", mc.Addr(), strings.Join([]string{
		"time,key,key_size,value_size,client,op,ttl", // skipped
		"100,a,1,0,1,get,0",
		"100,a,1,5,1,set,60",
		"100,a,1,5,2,get,0",
		"101,a,1,3,2,append,0",
		"101,a,1,2,2,prepend,0",
		"101,b,c,3,7,3,add,0", // the key b,c
		"102,b,c,3,9,3,cas,0",
		"102,b,c,3,9,3,gets,0",
		"102,b,c,3,4,3,replace,99999999", // a ttl that memcached would take for a date
		"103,gone,4,6,3,set,0",
		"103,gone,4,0,3,delete,0",
		"103,n,1,0,3,incr,0",
		"103,n,1,0,3,decr,0",
		"103,n,1,0,3,frobnicate,0",
		"103,,0,0,3,get,0",
		"x,n,1,0,3,get,0",
		"103,n,1,-1,3,set,0",
		"",
	}, "\n"))
	r := run(t, cfg)
	want := &workload.ReplayFigures{
		Commands: 13, Skipped: 5, FirstSkipped: `line 1: skipped: time, value size and ttl must be whole numbers: "time,key,key_size,value_size,client,op,ttl\n"`,
	}
	if diff := cmp.Diff(want, r.Replay); diff != "" {
		t.Errorf("Replay, - want, + got:\n%s", diff)
	}
	if r.Answers != 13 || r.Failed != 0 || r.Ended != "stream" || r.Hits != 2 || r.Misses != 1 {
		t.Errorf("Answers, Failed, Ended, Hits, Misses = %d, %d, %q, %d, %d, want 13, 0, stream, 2, 1", r.Answers, r.Failed, r.Ended, r.Hits, r.Misses)
	}
	for key, size := range map[string]int{"a": 10, "b,c": 4, "gone": -1, "n": -1} {
		var resp protocol.Response
		if _, err := protocol.ParseResponse([]byte(mc.Command("get "+key)), protocol.ShapeValue, &resp); err != nil {
			t.Fatal(err)
		}
		if got := len(resp.Value); resp.Status == protocol.StatusHit && got != size || resp.Status == protocol.StatusMiss && size >= 0 {
			t.Errorf("key %q: %v of %d bytes, want %d", key, resp.Status, got, size)
		}
	}
	if got := stat(t, mc, "cmd_set"); got != 7 {
		t.Errorf("memcached counts %d sets, want 7", got)
	}
}

// TestReplayKeepsTheOrderOfAKey: many conns, and each key's commands arrive as they stand in the file.
func TestReplayKeepsTheOrderOfAKey(t *testing.T) {
	const keys, each = 30, 200
	var file strings.Builder
	for i := range each {
		for k := range keys {
			fmt.Fprintf(&file, "0,key%d,4,%d,1,set,0\n", k, i)
		}
	}
	for _, client := range []string{"raw", "gomemcache"} {
		next := map[string]int{}
		cfg := replay(t, "trace", relay(t, memcachedtest.Start(t).Addr(), func(req *protocol.Request, answer []byte) []byte {
			if req.Verb == protocol.Set {
				if req.ValueLen != next[string(req.Key)] {
					t.Errorf("%s: the set of %d bytes comes where that of %d bytes was to come", req.Key, req.ValueLen, next[string(req.Key)])
				}
				next[string(req.Key)]++
			}
			return answer
		}), file.String())
		cfg.Client, cfg.Threads = client, 2
		if client == "raw" {
			cfg.Pipeline = 4
		}
		if r := run(t, cfg); r.Answers != keys*each || len(next) != keys {
			t.Errorf("%s: %d answers for %d keys, want %d for %d", client, r.Answers, len(next), keys*each, keys)
		}
	}
}

// TestReplaySpeed: 3 s of a trace at ten times the speed, the requests of a second spread evenly over it.
func TestReplaySpeed(t *testing.T) {
	var file strings.Builder
	for second := range 3 {
		for i := range 50 {
			fmt.Fprintf(&file, "%d,key%d,4,0,1,get,0\n", 1000+second, i)
		}
	}
	mc := memcachedtest.Start(t)
	cfg := replay(t, "trace", mc.Addr(), file.String())
	cfg.Speed = 10
	r := run(t, cfg)
	// Sooner is wrong in any case; later may be the machine's doing.
	if want := 0.298; r.Seconds < want-0.01 || r.Seconds > 3*want || r.Answers != 150 || r.Failed != 0 {
		t.Errorf("%d answers in %.3f s, want 150 in %.3f", r.Answers, r.Seconds, want)
	}
	if r.Latency.P50 > 0.03 {
		t.Errorf("p50 = %v s, want what a get takes: the spread is no delay", r.Latency.P50)
	}
}

func TestCommandReplay(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := replay(t, "commands", mc.Addr(), "# a comment\n"+
		"set a 5 0 5\r\nhello\r\n"+
		"set b 0 0 11 noreply\ntwo\r\nlines!\n"+ // LF alone, and a line end in the value
		"get a none b\n\n"+
		"append a 0 0 1\r\n!\r\n"+
		"ms c 2 q\r\nhi\r\nmg c v\r\nmg c\r\nmg none v\r\nmn\r\n"+
		"incr none 1\ntouch a 0\nversion\nstats\nstats settings\nverbosity 1\n"+
		"nonsense\nset toolong x\nquit\ndelete none")
	cfg.Conns = 1
	r := run(t, cfg)
	want := &workload.ReplayFigures{Commands: 16, Skipped: 3, FirstSkipped: `line 23: skipped: "nonsense": "ERROR"`}
	if diff := cmp.Diff(want, r.Replay); diff != "" {
		t.Errorf("Replay, - want, + got:\n%s", diff)
	}
	if r.Answers != 16 || r.Failed != 0 || r.Hits != 4 || r.Misses != 2 {
		t.Errorf("Answers, Failed, Hits, Misses = %d, %d (%v), %d, %d, want 16, 0, 4, 2", r.Answers, r.Failed, r.Failures, r.Hits, r.Misses)
	}
	for key, want := range map[string]string{
		"a": "VALUE a 5 6\r\nhello!\r\nEND\r\n", "b": "VALUE b 0 11\r\ntwo\r\nlines!\r\nEND\r\n", "c": "VALUE c 0 2\r\nhi\r\nEND\r\n",
	} {
		if got := mc.Command("get " + key); got != want {
			t.Errorf("get %s = %q, want %q", key, got, want)
		}
	}
}

func TestReplayErrors(t *testing.T) {
	mc := memcachedtest.Start(t)
	for _, tt := range []struct{ workload, content, want string }{
		{"commands", "", "empty"},
		{"commands", "nonsense\n", "no line is a command; line 1: skipped"},
		{"commands", "set a 0 0 10\r\nabc\r\n", "line 1: the file ends in a value of 10 bytes"},
		{"commands", "get a\nset a 0 0 2\r\nabc\r\n", `line 2: "c\r\n" follows the 2 bytes of the value`},
		{"trace", "get a\n", "want time,key,key size,value size,client,operation,ttl"},
	} {
		_, err := bench.Run(t.Context(), replay(t, tt.workload, mc.Addr(), tt.content), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s of %q: %v, want %q", tt.workload, tt.content, err, tt.want)
		}
	}
	cfg := replay(t, "trace", mc.Addr(), "")
	cfg.File = filepath.Join(t.TempDir(), "none")
	if _, err := bench.Run(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// tee runs a Tee until the test has talked to it, and gives what it wrote.
func tee(t *testing.T, config bench.Tee, talk func(address string)) (string, bench.Recorded) {
	t.Helper()
	var out bytes.Buffer
	config.Listen, config.Out = "127.0.0.1:0", &out
	if config.Duration == 0 {
		config.Duration = time.Minute
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = 1 << 20
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address := make(chan string)
	var recorded bench.Recorded
	var err error
	var wait sync.WaitGroup
	wait.Go(func() { // ends with ctx
		defer close(address)
		recorded, err = config.Run(ctx, func(a string) { address <- a })
	})
	a, ok := <-address
	if ok {
		talk(a)
	}
	cancel()
	wait.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), recorded
}

// say sends and reads as much as is wanted back.
func say(t *testing.T, conn net.Conn, send, want string) {
	t.Helper()
	if _, err := io.WriteString(conn, send); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("after %q: %q, %v, want %q", send, got, err, want)
	}
}

// TestTeeAndReplay: what is recorded from two clients, in pieces, brings another server to the same state, and the clients
// notice nothing.
func TestTeeAndReplay(t *testing.T) {
	mc, copied := memcachedtest.Start(t), memcachedtest.Start(t)
	file, recorded := tee(t, bench.Tee{Endpoint: mc.Addr()}, func(address string) {
		one, two := dial(t, address), dial(t, address)
		say(t, one, "set a 1 0 5\r\nhe", "")
		say(t, two, "set b 0 0 3 noreply\r\nabc\r\nget b\r\n", "VALUE b 0 3\r\nabc\r\nEND\r\n")
		say(t, one, "llo\r\nget a b\r\n", "STORED\r\nVALUE a 1 5\r\nhello\r\nVALUE b 0 3\r\nabc\r\nEND\r\n")
		say(t, one, "bogus\r\nappend a 0 0 1\r\n!\r\n", "ERROR\r\nSTORED\r\n")
		say(t, two, "incr b 1\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
	})
	if recorded.Clients != 2 || recorded.Commands != 6 || recorded.Bytes != int64(len(file)) || recorded.Full || recorded.Broken != 0 {
		t.Errorf("recorded %+v of %d bytes:\n%s", recorded, len(file), file)
	}
	cfg := replay(t, "commands", copied.Addr(), file)
	cfg.Speed = 1
	r := run(t, cfg)
	if r.Replay.Commands != 6 || r.Replay.Skipped != 0 || r.Answers != 6 || r.Failures["CLIENT_ERROR cannot increment or decrement non-numeric value"] != 1 {
		t.Errorf("replayed %+v, %d answers, failures %v", r.Replay, r.Answers, r.Failures)
	}
	for _, key := range []string{"a", "b"} {
		if a, b := mc.Command("get "+key), copied.Command("get "+key); a != b || a == "END\r\n" {
			t.Errorf("get %s = %q, and %q after the replay", key, a, b)
		}
	}
}

func TestTeeBounds(t *testing.T) {
	mc := memcachedtest.Start(t)
	talk := func(address string) {
		conn := dial(t, address)
		for i := range 20 {
			say(t, conn, fmt.Sprintf("set k%d 0 0 4\r\nword\r\n", i), "STORED\r\n")
		}
	}
	file, recorded := tee(t, bench.Tee{Endpoint: mc.Addr(), MaxBytes: 200}, talk)
	if len(file) > 200 || len(file) < 100 || !recorded.Full || recorded.Commands < 2 || recorded.Commands > 10 {
		t.Errorf("within 200 bytes: %+v\n%s", recorded, file)
	}
	file, recorded = tee(t, bench.Tee{Endpoint: mc.Addr(), Duration: time.Nanosecond}, talk)
	if file != "" || !recorded.Full {
		t.Errorf("within a nanosecond: %+v\n%s", recorded, file)
	}
	file, _ = tee(t, bench.Tee{Endpoint: mc.Addr(), BlankValues: true}, talk)
	if strings.Contains(file, "word") || !strings.Contains(file, "\r\nset k3 0 0 4\r\nxxxx\r\n") {
		t.Errorf("with blank values:\n%s", file)
	}
	if got := mc.Command("get k3"); got != "VALUE k3 0 4\r\nword\r\nEND\r\n" {
		t.Errorf("the endpoint has got %q", got)
	}
	// A stream that is no text protocol is passed on unread.
	_, recorded = tee(t, bench.Tee{Endpoint: mc.Addr()}, func(address string) {
		say(t, dial(t, address), "\x80\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x81\x0b")
	})
	if recorded.Broken != 1 || recorded.Commands != 0 {
		t.Errorf("binary: %+v", recorded)
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
