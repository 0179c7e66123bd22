package admin_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"mcproxy/admin"
	"mcproxy/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write docs/metrics.md")

// A source gives the same figures again and again.
type source struct {
	ready    bool
	snapshot proxy.Snapshot
	hotKeys  []proxy.HotKeys
	err      error
	released []string // "pool/backend"
	lookup   func(key string) (*proxy.KeyReport, error)
	native   bool
	log      *logStub
	reload   func() (string, error)
	upgrade  func() (string, error)
}

func (s *source) Ready() bool { return s.ready }

func (s *source) Reload(context.Context) (string, error)  { return s.reload() }
func (s *source) Upgrade(context.Context) (string, error) { return s.upgrade() }

func (s *source) Snapshot(context.Context) (proxy.Snapshot, error) { return s.snapshot, s.err }

func (s *source) Lookup(_ context.Context, key []byte) (*proxy.KeyReport, error) {
	return s.lookup(string(key))
}

func (s *source) HotKeys() []proxy.HotKeys { return s.hotKeys }

func (s *source) Release(pool, backend string) bool {
	for _, p := range s.snapshot.Pools {
		for _, b := range p.Backends {
			if p.Name == pool && b.Name == backend && b.State == "held" {
				s.released = append(s.released, pool+"/"+backend)
				return true
			}
		}
	}
	return false
}

// figures have another number in each field.
func figures() proxy.Snapshot {
	return proxy.Snapshot{
		Start:   time.Unix(1_700_000_000, 500_000_000),
		Workers: 2,
		Clients: proxy.ClientFigures{
			Conns: 11, Accepted: 12, Rejected: 13, Binary: 14, Closed: 15, BytesIn: 16, BytesOut: 17, Refused: 18, Stalled: 19, InFlight: 20, Logins: 114,
			OverLimit: map[string]uint64{"values": 161, "answers": 162},
			Errors:    map[string]uint64{"line": 101, "stream": 102}, ClosedBy: map[string]uint64{"client": 103, "quit": 104},
			Widths: histogram(proxy.Powers, 34, 106),
			Listeners: []proxy.ListenerFigures{
				{Address: "127.0.0.1:11210", Conns: 107, Accepted: 108, Rejected: 109, Denied: 110},
				{
					Address: "10.0.0.1:11210", TLS: true, Handshakes: map[string]uint64{"done": 111, "plain": 112}, Handshaking: 113,
					Expires: time.Unix(1_800_000_000, 0),
				},
			},
		},
		Draining: true, FilesChanged: 115, FilesFailed: 116,
		Addresses: []proxy.AddressFigures{
			addressFigures("10.0.0.9", 110), addressFigures(proxy.OtherAddresses, 120),
		},
		Upgrades: proxy.UpgradeFigures{Adopted: 85, Failed: 86},
		Reloads: proxy.ReloadFigures{
			Done: 83, Failed: 84, At: time.Unix(1_700_000_100, 0), Success: time.Unix(1_700_000_090, 0),
			Moves: []proxy.Move{{Share: 0.25}, {Prefix: "x/", Share: 1}},
		},
		Journal: journalFigures(),
		Whole:   proxy.MeterFigures{Limit: 163, Bytes: 164, Peak: 165},
		Large:   proxy.BudgetFigures{Limit: 71, Bytes: 72, Peak: 73, Waiting: 74, Waits: 75, Expired: 76},
		Pools: []proxy.PoolFigures{
			{
				Name: "main", PoolSum: poolSum(), Failures: 25, Moves: 30, Expires: time.Unix(1_900_000_000, 0),
				Ring:            proxy.RingFigures{Kind: "ketama", Hash: "00000000000000ff", Changes: map[string]uint64{"reload": 133}},
				OversizedValues: map[string]uint64{"passed": 130, "split": 131, "refused": 132},

				Fetches: 26, Joined: 27, HotKeys: map[string]int{"read-hot": 2, "byte-hot": 1}, HotShare: 0.5, Promoted: 28, Demoted: 29,
				Split: proxy.SplitFigures{
					Stored: 51, Wrapped: 52, Read: 53, ChunksWritten: 54, ChunksRead: 55, ChunksMissing: 56, Retried: 57, Cleaned: 58, Dead: 59,
					Damaged: 60, Refused: 61, TooLarge: 62, Spread: 66, AheadKept: 63, AheadDropped: 64, Crowded: 65,
				},
				Copies: &proxy.CopySummary{
					Figures: proxy.CopyFigures{
						Read: 5001, Missed: 52, Lost: 2, Fills: 53, Clears: 54, Settled: 55, Refused: 1, Asked: 3, Locks: 4, Polls: 900, Unheard: 6,
						Promoted: 7, Checked: 60,
					},
					Prep: 1, Active: 2, Drain: 0,
					Guards: []proxy.CopyGuard{{Backend: "a", Age: 0.125, Trusted: true}, {Backend: "b", Age: -1, Foreign: true}},
				},
				Oversized: []proxy.OversizedKey{
					{
						Key: "backup", Hash: 0x18, Fate: "refused", ValueBytes: 80_000_000, Ops: 0.125, Age: 45 * time.Second, Backend: "b",
						Action: "too large, refused",
					},
					{
						Key: "usertokens-neutron", Hash: 0x17, Fate: "split", ValueBytes: 2_411_724, Chunks: 40, Ops: 3.5, Age: 1250 * time.Millisecond,
						Backend: "a", Action: "split into 40 chunks",
					},
				},
				Backends: []proxy.BackendFigures{
					{
						Name: "a", Address: "127.0.0.1:11211", Version: "1.6.18", State: "up", Conns: 31, Pending: 32, Calls: 33,
						Timeouts: 34, Failures: 35, Retries: 36, Connects: 37, ConnectErrors: 38, BytesIn: 39, BytesOut: 40,
						JournalKeys: 41, Journalled: 42, Lost: 143, Strays: 144, Out: true, Requests: map[string]uint64{"get": 43, "ms": 44}, Errors: map[string]uint64{"timeout": 45, "down": 46},
						Durations: histogram(proxy.Seconds, 102, 47), Batches: histogram(proxy.Powers, 34, 48), Share: 0.375,
						Changes: []proxy.StateChange{{State: "down", Reason: "timeout", Count: 49}}, Slow: 50,
						Stats: &proxy.BackendStats{
							Version: "1.6.18", StartTime: 1_700_000_001, Items: 91, Bytes: 92, Limit: 93, Evictions: 94, Connections: 95, Gets: 96, Sets: 97,
						},
					},
					{Name: "b", Address: "127.0.0.1:11212", State: "held"},
				},
			},
			{Name: "other", Backends: []proxy.BackendFigures{{Name: "b", Address: "10.0.0.1:11211", State: "down", Version: "\xff1"}}},
		},
	}
}

// histogram has one observation in each bucket, and n in the first.
func histogram(scale proxy.Scale, buckets int, n uint64) proxy.Histogram {
	h := proxy.Histogram{Scale: scale, Counts: make([]uint64, buckets), Sum: float64(n) / 8}
	for i := range h.Counts {
		h.Counts[i] = 1
	}
	h.Counts[0] = n
	return h
}

func addressFigures(address string, n uint64) proxy.AddressFigures {
	a := proxy.AddressFigures{Address: address}
	a.Conns, a.Requests, a.Stores, a.BytesIn, a.BytesOut = int(n), n+1, n+2, n+3, n+4
	return a
}

func poolSum() proxy.PoolSum {
	return proxy.PoolSum{
		Requests: map[string]uint64{"get": 21, "set": 22}, Hits: 23, Misses: 24,
		Keys:      []proxy.KeyCount{{Verb: "get", Status: "hit", Count: 140}, {Verb: "set", Status: "stored", Count: 141}},
		Durations: []proxy.OpDurations{{Op: "get", Histogram: histogram(proxy.Seconds, 102, 142)}},
		Read:      histogram(proxy.Powers, 34, 143), Written: histogram(proxy.Powers, 34, 144),
		Lifetimes: proxy.LifetimeSum{Classes: map[string]uint64{"none": 145, "far": 146}, Seconds: histogram(proxy.Lifespan, 15, 147)},
	}
}

// A logStub is a log whose level can be changed.
type logStub struct{ level string }

func (l *logStub) Lines() map[string]uint64 { return map[string]uint64{"info": 81, "warn": 82} }

func (l *logStub) Level() string { return l.level }

func (l *logStub) SetLevel(level string) error {
	if level != "debug" {
		return errors.New("no such level")
	}
	l.level = level
	return nil
}

func newServer(s *source) *admin.Server {
	if s.log == nil {
		s.log = &logStub{level: "info"}
	}
	return newServerOf(s, admin.Options{NativeHistograms: s.native, Log: s.log})
}

func newServerOf(s admin.Source, opts admin.Options) *admin.Server {
	opts.Build = admin.Build{Version: "v1.2.3", GoVersion: "go1.26"}
	return admin.New(s, opts, zap.NewNop())
}

// ask sends one request to the endpoints of a loopback address.
func ask(s *source, method, target, host string) *http.Response {
	return askServer(newServer(s), method, target, host)
}

func askServer(server *admin.Server, method, target, host string) *http.Response {
	req := httptest.NewRequest(method, target, nil)
	req.Host = host
	w := httptest.NewRecorder()
	server.Handler(true).ServeHTTP(w, req)
	return w.Result()
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestMetrics compares the proxy's own metrics with a golden list.
func TestMetrics(t *testing.T) {
	resp := ask(&source{ready: true, snapshot: figures(), hotKeys: hotKeys()}, "GET", "/metrics", "localhost")
	text := body(t, resp)
	if resp.StatusCode != 200 {
		t.Fatalf("GET /metrics: %s\n%s", resp.Status, text)
	}
	var got []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "mcproxy_") {
			got = append(got, line)
		}
	}
	golden := "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), strings.Join(got, "")); diff != "" {
		t.Errorf("/metrics (-want +got):\n%s", diff)
	}
	for _, name := range []string{"go_goroutines ", "process_open_fds "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
}

func TestMetricsAreClean(t *testing.T) {
	text := body(t, ask(&source{snapshot: figures(), hotKeys: hotKeys()}, "GET", "/metrics", "localhost"))
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
}

// family finds the head of one of the proxy's own metrics, and its first sample; label a label of a sample.
var (
	family = regexp.MustCompile(`# HELP (mcproxy_\w+) (.*)\n# TYPE mcproxy_\w+ (\w+)\n(.*)\n`)
	label  = regexp.MustCompile(`(\w+)="`)
)

// TestMetricsDoc holds docs/metrics.md to the metrics that there are.
func TestMetricsDoc(t *testing.T) {
	text := body(t, ask(&source{snapshot: figures(), hotKeys: hotKeys()}, "GET", "/metrics", "localhost"))
	var want strings.Builder
	want.WriteString("\n| metric | type | labels | what it says |\n|---|---|---|---|\n")
	for _, m := range family.FindAllStringSubmatch(text, -1) {
		name, help, kind, sample := m[1], m[2], m[3], m[4]
		labels := "–"
		if names := label.FindAllStringSubmatch(sample, -1); len(names) > 0 {
			var quoted []string
			for _, n := range names {
				if n[1] != "le" {
					quoted = append(quoted, "`"+n[1]+"`")
				}
			}
			labels = cmp.Or(strings.Join(quoted, ", "), "–")
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", name, kind, labels, help)
	}
	if n := strings.Count(want.String(), "\n"); n < 30 {
		t.Fatalf("found %d metrics in\n%s", n-3, text)
	}
	const file, mark = "../docs/metrics.md", "<!-- generated: go test ./admin -update -->\n"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, got, found := strings.Cut(string(doc), mark)
	if !found {
		t.Fatalf("%s has no line %q", file, mark)
	}
	if *update {
		if err := os.WriteFile(file, []byte(head+mark+want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(want.String(), got); diff != "" {
		t.Errorf("%s is out of date; run go test ./admin -update (-want +got):\n%s", file, diff)
	}
}

// TestOperationsDoc wants every metric that docs/operations.md names to be there.
func TestOperationsDoc(t *testing.T) {
	doc, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(mcproxy_[a-z_]+)").FindAllStringSubmatch(string(doc), -1)
	if len(names) < 10 {
		t.Fatalf("it names %d metrics", len(names))
	}
	for _, name := range names {
		if !strings.Contains(string(list), "`"+name[1]+"`") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

func TestMetricsWithoutSnapshot(t *testing.T) {
	resp := ask(&source{err: errors.New("the workers hang")}, "GET", "/metrics", "localhost")
	if text := body(t, resp); resp.StatusCode != 500 || !strings.Contains(text, "the workers hang") {
		t.Errorf("GET /metrics without a snapshot: %s\n%s", resp.Status, text)
	}
}

func TestEndpoints(t *testing.T) {
	tests := []struct {
		name           string
		ready          bool
		method, target string
		host           string
		status         int
		body           string
	}{
		{"health", false, "GET", "/healthz", "localhost:9151", 200, "ok\n"},
		{"ready", true, "GET", "/readyz", "127.0.0.1:9151", 200, "ready\n"},
		{"not ready", false, "GET", "/readyz", "[::1]:9151", 503, "not ready\n"},
		{"head", true, "HEAD", "/readyz", "[::1]", 200, ""},
		{"no host", true, "GET", "/healthz", "", 200, "ok\n"},
		{"other loopback", true, "GET", "/healthz", "127.8.8.8", 200, "ok\n"},
		{"capitals", true, "GET", "/healthz", "LocalHost.", 200, "ok\n"},
		{"unknown", true, "GET", "/debug/pprof/", "localhost", 404, "404 page not found\n"},
		{"post", true, "POST", "/healthz", "localhost", 405, "only GET and HEAD are answered here\n"},
		{"put a key", true, "PUT", "/api/lookup?key=k", "localhost", 405, "only GET, HEAD and POST are answered here\n"},
		{"rebound lookup", true, "POST", "/api/lookup?key=k", "evil.example", 403, "ask for localhost, 127.0.0.1 or [::1]: this address is the machine's own\n"},
		{"delete", true, "DELETE", "/", "localhost", 405, "only GET and HEAD are answered here\n"},
		{"rebound name", true, "GET", "/metrics", "evil.example:9151", 403, "ask for localhost, 127.0.0.1 or [::1]: this address is the machine's own\n"},
		{"rebound lookalike", true, "GET", "/healthz", "localhost.evil.example", 403, "ask for localhost, 127.0.0.1 or [::1]: this address is the machine's own\n"},
		{"other address", true, "GET", "/healthz", "10.0.0.1:9151", 403, "ask for localhost, 127.0.0.1 or [::1]: this address is the machine's own\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := ask(&source{ready: tt.ready, snapshot: figures(), hotKeys: hotKeys()}, tt.method, tt.target, tt.host)
			got := body(t, resp)
			if tt.method == "HEAD" {
				got = "" // net/http leaves the body away, the recorder does not
			}
			if resp.StatusCode != tt.status || got != tt.body {
				t.Errorf("%s %s of %q: %d %q, want %d %q", tt.method, tt.target, tt.host, resp.StatusCode, got, tt.status, tt.body)
			}
		})
	}
}

// TestServe serves on a real listener, and ends with its context.
func TestServe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newServer(&source{ready: true}).Serve(ctx, ln) }()

	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	url := "http://" + ln.Addr().String() + "/readyz"
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, resp); got != "ready\n" {
		t.Errorf("GET %s: %q", url, got)
	}
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	if resp, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	body(t, resp)
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("GET of a rebound name on a loopback address: %s", resp.Status)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := client.Get(url); err == nil {
		t.Errorf("GET %s is answered after Serve", url)
	}
}

// TestServeCutsOff ends although a request is in flight.
func TestServeCutsOff(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newServer(&source{}).Serve(ctx, ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Half a request, behind a whole one whose answer shows that the server has the conn.
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 200"))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeWithoutListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := newServer(&source{}).Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v, want %v", err, net.ErrClosed)
	}
}

func journalFigures() (f proxy.JournalFigures) {
	f.Bytes, f.Syncs, f.Errors, f.Late = 151, 152, 153, 154
	return f
}
