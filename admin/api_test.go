package admin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"mcproxy/admin"
	"mcproxy/proxy"
)

// TestThePage is sent to browsers alone, has all within, and lets nothing else run.
func TestThePage(t *testing.T) {
	req := httptest.NewRequest("GET", "/", nil)
	req.Host = "localhost"
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	w := httptest.NewRecorder()
	newServer(&source{ready: true}).Handler(true).ServeHTTP(w, req)
	resp := w.Result()
	text := body(t, resp)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(text, "<!doctype html>") {
		t.Fatalf("GET / of a browser: %d %q %.60q", resp.StatusCode, resp.Header, text)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "connect-src 'self'", "script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q does not say %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)\s*=\s*"?([^"\s>]+)|@import|url\(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		if to := m[1] + m[2]; !strings.HasPrefix(to, "data:") && !strings.HasPrefix(to, "#") && !strings.HasPrefix(to, "/") {
			t.Errorf("the page refers to %q", m[0])
		}
	}
	if n := len(text); n > 160<<10 {
		t.Errorf("the page has %d bytes", n)
	}
}

// found is what a lookup gives.
func found(key string) *proxy.KeyReport {
	return &proxy.KeyReport{
		Placement: proxy.Placement{Key: key, Pool: "main", Ring: "cmemcache", Hash: 26_011, Backend: "a", Address: "127.0.0.1:11211"},
		WatchHash: 0x9ae16a3b2f90404f, State: "up",
		Item: &proxy.Item{Found: true, ValueBytes: 402_117, Flags: 1, TTL: 3599 * time.Second, Idle: 2 * time.Second, Fetched: true},
	}
}

func TestLookup(t *testing.T) {
	long := strings.Repeat("k", 1001)
	miss := found("k")
	miss.WatchHash, miss.Item = 1, &proxy.Item{}
	failed := found("k")
	failed.WatchHash, failed.State, failed.Item, failed.Failure = 1, "down", nil, "SERVER_ERROR a: down"
	for _, tt := range []struct {
		name, key, asked string // asked: the key that the source gets
		report           *proxy.KeyReport
		status           int
		want             string
	}{
		{"a hot key", "usertokens-nova", "usertokens-nova", found("usertokens-nova"), 200, `"kind":"byte-hot"`},
		{"its item", "usertokens-nova", "usertokens-nova", found("usertokens-nova"), 200, `"item":{"found":true,"value_bytes":402117,"flags":1,"ttl_seconds":3599,"last_access_seconds":2,"fetched":true}`},
		{"bytes", `a\xff\\b`, "a\xff\\b", found("a\xff\\b"), 200, `"key":"a\\xff\\\\b"`},
		{"HTML", `<b>&`, "<b>&", found("<b>&"), 200, `"key":"\u003cb\u003e\u0026"`},
		{"a miss", "k", "k", miss, 200, `"item":{"found":false}`},
		{"a dead backend", "k", "k", failed, 200, `"backend_state":"down","failure":"SERVER_ERROR a: down"`},
		{"no key", "", "", nil, 400, "which key? /api/lookup?key=KEY\n"},
		{"a broken escape", `a\q`, "", nil, 400, `a key has at most 250 bytes; \\ is a backslash, and \xHH any byte` + "\n"},
		{"too long", long, "", nil, 400, `a key has at most 250 bytes; \\ is a backslash, and \xHH any byte` + "\n"},
		{"refused", "a b", "a b", nil, 400, "no key is like that\n"},
		{"a body that is too long", strings.Repeat(long, 5), "", nil, 400, ""},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(tt.name+" by "+method, func(t *testing.T) {
				asked := ""
				s := &source{ready: true, snapshot: figures(), hotKeys: hotKeys(), lookup: func(key string) (*proxy.KeyReport, error) {
					asked = key
					if tt.report == nil {
						return nil, errors.New("no key is like that")
					}
					return tt.report, nil
				}}
				form := url.Values{"key": {tt.key}}.Encode()
				req := httptest.NewRequest(method, "/api/lookup?"+form, nil)
				if method == "POST" {
					req = httptest.NewRequest(method, "/api/lookup", strings.NewReader(form))
					req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				req.Host = "localhost"
				w := httptest.NewRecorder()
				newServer(s).Handler(true).ServeHTTP(w, req)
				text := body(t, w.Result())
				if w.Code != tt.status || !strings.Contains(text, tt.want) || asked != tt.asked {
					t.Errorf("%s of key %.50q: %d %s (the source was asked for %q), want %d with %s (asked for %q)", method, tt.key, w.Code, text, asked, tt.status, tt.want, tt.asked)
				}
			})
		}
	}
	// Another site's page may not ask, though it could not read the answer.
	req := httptest.NewRequest("POST", "/api/lookup?key=k", nil)
	req.Host = "localhost"
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	newServer(&source{}).Handler(true).ServeHTTP(w, req)
	if w.Code != http.StatusForbidden {
		t.Errorf("a lookup from another site's page: %d", w.Code)
	}
}

// indented gives what an endpoint answers as docs show it.
func indented(t *testing.T, server *admin.Server, path string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(body(t, askServer(server, "GET", path, "localhost"))), "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// told are figures with all that the endpoints tell of.
func told() proxy.Snapshot {
	s := figures()
	p := &s.Pools[0]
	h := proxy.Histogram{Counts: make([]uint64, 102)}
	h.Counts[33], h.Counts[40] = 40, 3
	p.Durations = []proxy.OpDurations{{Op: "get", Histogram: h}}
	p.Callers = map[uint64][]proxy.Caller{
		0x17:               {{Address: "10.0.0.7", Share: 1}},
		0x9ae16a3b2f90404f: {{Address: "10.0.0.7", Share: .93}, {Address: "10.0.0.12", Share: .07}},
	}
	a := proxy.AddressFigures{Address: "10.0.0.7"}
	a.Conns, a.Requests, a.Stores, a.BytesIn, a.BytesOut = 4, 43, 22, 16, 17
	s.Addresses = []proxy.AddressFigures{a, {Address: proxy.OtherAddresses}}
	s.Events = []proxy.Event{
		{ID: 1, At: s.Start, Kind: proxy.EventStart, Text: "clients are accepted"},
		{ID: 2, At: s.Start.Add(9 * time.Second), Kind: proxy.EventHeld, Pool: "main", Backend: "b", Text: "the backend is held: its journal overflowed"},
		{ID: 3, At: s.Start.Add(10 * time.Second), Kind: proxy.EventPromoted, Pool: "main", Backend: "a", Key: "usertokens-nova", Text: "usertokens-nova is byte-hot: 50 % of the pool's cost"},
	}
	return s
}

// TestAPIDoc holds the JSON that docs/admin.md shows to what the endpoints answer, and its tables to the fields that there are.
func TestAPIDoc(t *testing.T) {
	s := &source{ready: true, snapshot: told(), hotKeys: hotKeys(), lookup: func(key string) (*proxy.KeyReport, error) { return found(key), nil }}
	start := s.snapshot.Start
	now := s.snapshot
	now.Pools = now.Pools[:1]
	then := figures()
	then.Pools[0].Backends[0].BytesIn, then.Pools[0].Backends[0].BytesOut, then.Pools[0].Backends[0].Calls = 0, 0, 0
	then.Pools[0].Durations = nil
	then.Addresses = []proxy.AddressFigures{{Address: "10.0.0.7"}, {Address: proxy.OtherAddresses}}
	then.Pools[0].Hits, then.Pools[0].Requests = 0, nil
	server := newServer(s)
	server.Record(start.Add(30*time.Second), then, nil)
	server.Record(start.Add(31*time.Second), now, hotKeys())
	for _, part := range []struct{ heading, path string }{
		{"## /api/status", "/api/status"},
		{"## /api/history", "/api/history"},
		{"## /api/lookup", "/api/lookup?key=usertokens-nova"},
	} {
		want := indented(t, server, part.path)
		doc := holdBlockBelow(t, adminDoc, "\n"+part.heading+"\n", "```json\n", want)
		section := doc[strings.Index(doc, "\n"+part.heading+"\n")+1:]
		if end := strings.Index(section, "\n## "); end >= 0 {
			section = section[:end]
		}
		fields := map[string]bool{}
		for _, m := range regexp.MustCompile(`"([a-z_0-9]+)":`).FindAllStringSubmatch(want, -1) {
			fields[m[1]] = true
		}
		for name := range fields {
			if !strings.Contains(section, "`"+name+"`") && part.path != "/api/lookup?key=usertokens-nova" {
				t.Errorf("%s: the section %s does not say what %s is", adminDoc, part.heading, name)
			}
		}
		for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_`, 0-9]+`) \\| ").FindAllStringSubmatch(section, -1) {
			for name := range strings.SplitSeq(row[1], ", ") {
				if name = strings.Trim(name, "`"); !fields[name] && name != "failure" && name != "oversized" {
					t.Errorf("%s: the section %s has the field %s, which is not there", adminDoc, part.heading, name)
				}
			}
		}
	}
}
