package admin_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mcproxy/admin"
	"mcproxy/proxy"
)

// hotKeys are those of the pool main of figures; other's are not watched.
func hotKeys() []proxy.HotKeys {
	at := time.Date(2026, 3, 1, 12, 0, 30, 250_000_000, time.UTC)
	return []proxy.HotKeys{{Pool: "main", At: at, Keys: []proxy.HotKey{
		{
			Key: "usertokens-nova", Hash: 0x9ae16a3b2f90404f, Kind: "byte-hot", Hot: true, Since: at.Add(-90 * time.Second), Ops: 812, Reads: 612,
			Writes: 200, Bytes: 312_000_000, ValueBytes: 402_117, Share: 0.5, Err: 0.001, Load: 1, Backend: "a", Action: "coalesced",
		},
		{
			Key: "bad\xff\"key\x01 \\é", Hash: 0x00000000deadbeef, Kind: "read-hot", Hot: true, Since: at.Add(-time.Second), Ops: 21_400, Reads: 21_400,
			Bytes: 21_400_000, ValueBytes: 1000, Share: 0.25, Err: 0.002, Load: 0.5, Backend: "b", Action: "coalesced",
		},
		{Key: "lukewarm", Hash: 5, Kind: "write-hot", Ops: 90, Reads: 40, Writes: 50, Bytes: 9000, ValueBytes: 100, Share: 0.015625, Load: 0.03125, Backend: "b"},
		{Hash: 6, Kind: "byte-hot", Bytes: 5000, ValueBytes: 5000, Share: 0.0078125, Load: 0.015625},
	}}}
}

func report(t *testing.T, text string) admin.HotKeyReport {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var r admin.HotKeyReport
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return r
}

func TestHotKeys(t *testing.T) {
	s := &source{snapshot: figures(), hotKeys: hotKeys()}
	resp := ask(s, "GET", "/api/hotkeys", "localhost")
	text := body(t, resp)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("GET /api/hotkeys: %s, %s\n%s", resp.Status, resp.Header.Get("Content-Type"), text)
	}
	got := report(t, text)
	if len(got.Pools) != 2 || !got.Pools[0].Watched || got.Pools[1].Watched || len(got.Pools[0].Keys) != 4 {
		t.Fatalf("GET /api/hotkeys:\n%s", text)
	}
	if other := got.Pools[1]; other.Pool != "other" || other.Keys == nil {
		t.Errorf("a pool without watched keys: %+v", other)
	}
	for i, want := range []string{"usertokens-nova", `bad\xff"key\x01\x20\\é`, "lukewarm", ""} {
		if key := got.Pools[0].Keys[i].Key; key != want {
			t.Errorf("key %d is %q, want %q", i, key, want)
		}
	}
	if k := got.Pools[0].Keys[3]; k.Hash != "0000000000000006" {
		t.Errorf("a key that is not known: %+v", k)
	}
	// The cold ones have not become hot at any time.
	if n := strings.Count(text, `"since"`); n != 2 {
		t.Errorf("%d keys have a since, want 2:\n%s", n, text)
	}

	one := report(t, body(t, ask(s, "GET", "/api/hotkeys?pool=main", "localhost")))
	if diff := cmp.Diff(got.Pools[:1], one.Pools); diff != "" {
		t.Errorf("?pool=main (-whole +got):\n%s", diff)
	}
	resp = ask(s, "GET", "/api/hotkeys?pool=none", "localhost")
	if got, want := body(t, resp), "there is no pool \"none\"; this proxy has main, other\n"; resp.StatusCode != 404 || got != want {
		t.Errorf("?pool=none: %d %q, want 404 %q", resp.StatusCode, got, want)
	}
}

// TestHotKeysBeforeTheFirstWindow tells watched pools without keys from those that are not watched.
func TestHotKeysBeforeTheFirstWindow(t *testing.T) {
	text := body(t, ask(&source{snapshot: figures(), hotKeys: []proxy.HotKeys{{Pool: "other"}}}, "GET", "/api/hotkeys?pool=other", "localhost"))
	if got := report(t, text).Pools[0]; !got.Watched || !got.At.IsZero() || strings.Contains(text, `"at"`) {
		t.Errorf("before the first window:\n%s", text)
	}
}

func TestHotKeysWithoutFigures(t *testing.T) {
	resp := ask(&source{err: fmt.Errorf("the workers hang")}, "GET", "/api/hotkeys", "localhost")
	if text := body(t, resp); resp.StatusCode != 503 || text != "the workers hang\n" {
		t.Errorf("GET /api/hotkeys without figures: %s\n%s", resp.Status, text)
	}
	broken := hotKeys()
	broken[0].Keys[0].Ops = math.NaN()
	resp = ask(&source{snapshot: figures(), hotKeys: broken}, "GET", "/api/hotkeys", "localhost")
	if text := body(t, resp); resp.StatusCode != 500 {
		t.Errorf("GET /api/hotkeys with a figure that is no number: %s\n%s", resp.Status, text)
	}
}

// TestHotKeyLabelsAreFew has a pool with more hot keys than may be labels, cold ones among them, and a hidden one.
func TestHotKeyLabelsAreFew(t *testing.T) {
	many := proxy.HotKeys{Pool: "main"}
	for i := range 50 {
		many.Keys = append(many.Keys, proxy.HotKey{Key: fmt.Sprintf("k%02d", i), Hot: i%2 == 0, Hash: uint64(i)})
	}
	hidden := proxy.HotKeys{Pool: "other", Hidden: true, Keys: []proxy.HotKey{{Hot: true, Hash: 0xabc}}}
	text := body(t, ask(&source{snapshot: figures(), hotKeys: []proxy.HotKeys{many, hidden}}, "GET", "/metrics", "localhost"))
	label := regexp.MustCompile(`(?m)^mcproxy_hot_key_operations_per_second\{key="(.*)",pool="(.*)"\}`)
	var want []string
	for i := 0; i < 40; i += 2 { // the 20 heaviest
		want = append(want, fmt.Sprintf("main k%02d", i))
	}
	want = append(want, "other 0000000000000abc")
	got := map[string]bool{}
	for _, m := range label.FindAllStringSubmatch(text, -1) {
		got[m[2]+" "+m[1]] = true
	}
	for _, w := range want {
		if !got[w] {
			t.Errorf("/metrics has no %s", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d keys are labels, want %d: %v", len(got), len(want), got)
	}
}

func TestRelease(t *testing.T) {
	const own = "ask for localhost, 127.0.0.1 or [::1]: this address is the machine's own\n"
	const foreign = "another site's page has sent this\n"
	held := "/api/release?pool=main&backend=b"
	tests := []struct {
		name           string
		method, target string
		host           string
		header         [2]string
		status         int
		body           string
	}{
		{"held", "POST", held, "localhost:9151", [2]string{}, 200, "backend b of pool main is released; it is used again when it answers\n"},
		{"not held", "POST", "/api/release?pool=main&backend=a", "localhost", [2]string{}, 409, "backend a of pool main is not held; it is up\n"},
		{"no pool", "POST", "/api/release?pool=mian&backend=b", "localhost", [2]string{}, 404, "there is no pool \"mian\"; this proxy has main, other\n"},
		{"no backend", "POST", "/api/release?pool=main&backend=c", "localhost", [2]string{}, 404, "pool main has no backend \"c\"; it has a, b\n"},
		{"another pool's", "POST", "/api/release?pool=other&backend=a", "localhost", [2]string{}, 404, "pool other has no backend \"a\"; it has b\n"},
		{"nothing named", "POST", "/api/release", "localhost", [2]string{}, 400, "which backend? POST /api/release?pool=POOL&backend=BACKEND\n"},
		{"get", "GET", held, "localhost", [2]string{}, 405, "only POST is answered here\n"},
		{"put", "PUT", held, "localhost", [2]string{}, 405, "only POST is answered here\n"},
		{"another path", "POST", "/api/release/?pool=main&backend=b", "localhost", [2]string{}, 405, "only GET and HEAD are answered here\n"},
		{"rebound name", "POST", held, "evil.example", [2]string{}, 403, own},
		{"rebound name, same origin", "POST", held, "evil.example", [2]string{"Sec-Fetch-Site", "same-origin"}, 403, own},
		{"another site", "POST", held, "localhost", [2]string{"Sec-Fetch-Site", "cross-site"}, 403, foreign},
		{"another port", "POST", held, "localhost:9151", [2]string{"Sec-Fetch-Site", "same-site"}, 403, foreign},
		{"another origin", "POST", held, "localhost:9151", [2]string{"Origin", "http://evil.example"}, 403, foreign},
		{"origin of another port", "POST", held, "localhost:9151", [2]string{"Origin", "http://localhost:80"}, 403, foreign},
		{"hidden origin", "POST", held, "localhost:9151", [2]string{"Origin", "null"}, 403, foreign},
		{"its own origin", "POST", held, "localhost:9151", [2]string{"Origin", "http://localhost:9151"}, 200, "backend b of pool main is released; it is used again when it answers\n"},
		{"its own page", "POST", held, "localhost:9151", [2]string{"Sec-Fetch-Site", "same-origin"}, 200, "backend b of pool main is released; it is used again when it answers\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			core, logged := observer.New(zap.InfoLevel)
			s := &source{snapshot: figures()}
			req := httptest.NewRequest(tt.method, tt.target, nil)
			req.Host = tt.host
			if tt.header[0] != "" {
				req.Header.Set(tt.header[0], tt.header[1])
			}
			w := httptest.NewRecorder()
			admin.New(s, admin.Options{}, zap.New(core)).Handler(true).ServeHTTP(w, req)
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.target, w.Code, w.Body, tt.status, tt.body)
			}
			if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
				t.Error("405 does not say what is allowed")
			}
			want := 0
			if tt.status == 200 {
				want = 1
			}
			if len(s.released) != want || logged.Len() != want {
				t.Errorf("%d released, %d logged; want %d of each", len(s.released), logged.Len(), want)
			}
		})
	}
}

func TestReleaseWithoutFigures(t *testing.T) {
	s := &source{err: fmt.Errorf("the workers hang")}
	resp := ask(s, "POST", "/api/release?pool=main&backend=b", "localhost")
	if text := body(t, resp); resp.StatusCode != 503 || text != "the workers hang\n" || len(s.released) > 0 {
		t.Errorf("POST /api/release without figures: %s %q", resp.Status, text)
	}
}

const (
	hotKeysDoc = "../docs/hot-keys.md"
	adminDoc   = "../docs/admin.md"
)

// TestHotKeysDoc holds the JSON that docs/hot-keys.md shows to what the endpoint answers, its table of fields to those there are,
// and its metrics too.
func TestHotKeysDoc(t *testing.T) {
	shown := hotKeys()
	shown[0].Keys = []proxy.HotKey{shown[0].Keys[0], shown[0].Keys[2]}
	s := &source{snapshot: told(), hotKeys: shown}
	want := body(t, ask(s, "GET", "/api/hotkeys?pool=main", "localhost"))
	doc := holdBlock(t, hotKeysDoc, "```json\n", want)

	fields := map[string]bool{}
	for _, m := range regexp.MustCompile(`"([a-z_]+)": `).FindAllStringSubmatch(want, -1) {
		fields[m[1]] = true
	}
	delete(fields, "pools")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_`, ]+`) \\| ").FindAllStringSubmatch(doc[strings.Index(doc, "| field |"):], -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			name = strings.Trim(name, "`")
			if !fields[name] {
				t.Errorf("%s has the field %s, which is not there", hotKeysDoc, name)
			}
			delete(fields, name)
		}
	}
	for name := range fields {
		t.Errorf("%s does not have the field %s", hotKeysDoc, name)
	}

	metrics := body(t, ask(s, "GET", "/metrics", "localhost"))
	named := regexp.MustCompile("`(mcproxy_[a-z_]+)").FindAllStringSubmatch(doc, -1)
	if len(named) < 8 {
		t.Errorf("%s names %d metrics", hotKeysDoc, len(named))
	}
	for _, m := range named {
		if !strings.Contains(metrics, "# TYPE "+m[1]+" ") {
			t.Errorf("%s names %s, and there is no such metric", hotKeysDoc, m[1])
		}
	}
}

// holdBlock compares the first block of a document that begins with fence with what it should be, or writes it. It gives the
// document.
func holdBlock(t *testing.T, file, fence, want string) string {
	t.Helper()
	return holdBlockBelow(t, file, "", fence, want)
}

// holdBlockBelow is holdBlock for the first block below a line.
func holdBlockBelow(t *testing.T, file, line, fence, want string) string {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	above, below, there := strings.Cut(string(doc), line)
	head, rest, found := strings.Cut(below, "\n"+fence)
	got, tail, closed := strings.Cut(rest, "```\n")
	if !there || !found || !closed {
		t.Fatalf("%s has no block %q below %q", file, fence, line)
	}
	if *update {
		if err := os.WriteFile(file, []byte(above+line+head+"\n"+fence+want+"```\n"+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is out of date; run go test ./admin -update (-want +got):\n%s", file, diff)
	}
	return string(doc)
}

// TestAdminDoc holds docs/admin.md to what GET / and a release answer.
func TestAdminDoc(t *testing.T) {
	s := &source{snapshot: figures()}
	s.snapshot.Pools[0].Backends[1].Name = "10.0.0.2:11211"
	doc := holdBlock(t, adminDoc, "```\n", body(t, ask(s, "GET", "/", "localhost")))
	answer := body(t, ask(s, "POST", "/api/release?pool=main&backend=10.0.0.2:11211", "localhost"))
	if !strings.Contains(doc, "\n"+answer+"```\n") {
		t.Errorf("%s does not show %q", adminDoc, answer)
	}
}
