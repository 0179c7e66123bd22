package config_test

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"mcproxy/backend"
	"mcproxy/config"
	"mcproxy/hotkey"
	"mcproxy/placement"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/protocol"
	"mcproxy/proxy"
	"mcproxy/proxy/door"
	"mcproxy/proxy/limits"
	"mcproxy/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write what is generated: testdata/bad/*.want and docs/config.md")

// minimal is the shortest file that works.
const minimal = `[[listeners]]
address = "127.0.0.1:11210"

[pools.main]
backends = ["127.0.0.1:11211"]
`

func parse(t *testing.T, text string) *config.File {
	t.Helper()
	f, err := config.Parse("proxy.toml", text)
	if err != nil {
		t.Fatalf("Parse:\n%v\nin\n%s", err, text)
	}
	return f
}

func TestParseMinimal(t *testing.T) {
	want := &config.File{
		Proxy: proxy.Config{
			Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:11210"}},
			Pools: []pool.Config{{
				Name:     "main",
				Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:11211", Weight: 1}},
				Ring:     ring.Options{Kind: "consistent"},
			}},
			DefaultPool: "main",
		},
		Log: config.Log{Level: "info", Format: "console"},
	}
	if diff := cmp.Diff(want, parse(t, minimal), cmpopts.IgnoreUnexported(config.File{})); diff != "" {
		t.Errorf("minimal file (-want +got):\n%s", diff)
	}
}

// TestParseEveryKey sets each key to something else than its default.
func TestParseEveryKey(t *testing.T) {
	f, err := config.Load("testdata/good/every_key.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := &config.File{
		Proxy: proxy.Config{
			Listeners: []proxy.Listener{
				{Network: "tcp", Address: "127.0.0.1:11210", Door: door.Config{
					Cert: "/etc/mcproxy/cert.pem", Key: "/etc/mcproxy/key.pem", ClientCA: "/etc/mcproxy/clients.pem",
					HandshakeTimeout: 3 * time.Second, MaxHandshakes: 9, AuthFile: "/etc/mcproxy/users",
					Allow: []netip.Prefix{
						netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.168.1.7/32"),
					},
					ReadOnly: true, Verbs: []protocol.Verb{protocol.Touch}, Prefixes: []string{"tokens/", "_lock"},
				}},
				{Network: "tcp", Address: "[::1]:0", Door: door.Config{ReadOnly: true}},
				{Network: "unix", Address: "/run/mcproxy/mcproxy.sock", Mode: 0o600},
			},
			Workers:       3,
			MaxConns:      5000,
			MaxValue:      8 << 20,
			Keepalive:     30 * time.Second,
			BatchDelay:    200 * time.Microsecond,
			DrainTimeout:  90 * time.Second,
			SlowCall:      100 * time.Millisecond,
			SlowRate:      3,
			DNSInterval:   5 * time.Second,
			DNSServer:     "10.0.0.53:53",
			JournalDir:    "/srv/mcproxy",
			StatsInterval: time.Minute,
			Limits: limits.Config{
				Bytes: 96 << 20, Requests: 5001, ClientRequests: 100, ClientBytes: 256 << 10,
				Each:     limits.Rate{PerSecond: 2000, Burst: 300},
				Prefixes: []limits.PrefixRate{{Prefix: "tokens/", Rate: limits.Rate{PerSecond: 500, Burst: 50}}},
			},
			Pools: []pool.Config{
				{
					Name: "main",
					Backends: []pool.BackendConfig{
						{Network: "tcp", Address: "cache1:11211", Weight: 1},
						{Name: "b", Network: "tcp", Address: "[fd00::2]:11212", Weight: 2},
						{Network: "unix", Address: "/run/memcached.sock", Weight: 1},
					},
					Ring:          ring.Options{Kind: "ketama", Hash: "md5", HashTag: "{}"},
					OnError:       pool.OnErrorError,
					OnDown:        placement.OnDownGutter,
					MaxDown:       2,
					Gutter:        "spare",
					GutterTTL:     20 * time.Second,
					AllowFlushAll: true,
					AllowStatsAll: true,
					AuthFile:      "/etc/mcproxy/login",
					TLS: pool.TLSConfig{
						Enabled: true, CA: "/etc/mcproxy/ca.pem", Cert: "/etc/mcproxy/proxy.pem", Key: "/etc/mcproxy/proxy-key.pem",
						ServerName: "memcached.example.org",
					},
					Coalesce:   pool.CoalesceOff,
					HotKeysOff: true,
					HideKeys:   true,
					HotDrill:   100 * time.Millisecond,
					Split:      pool.SplitConfig{Enabled: true, Threshold: 100 << 10, Chunk: 10_000, Copies: 2, MaxValue: 8 << 20},
					HotKeys: hotkey.Config{
						Tau: 0.1, Window: int64(500 * time.Millisecond), Cool: int64(90 * time.Second), Top: 7, MinRate: 12.5, Ignore: []string{"_lock", "tokens/"},
					},
					Backend: backend.Options{
						Timeout:         time.Second,
						ConnectTimeout:  100 * time.Millisecond,
						StallTimeout:    3 * time.Second,
						Connections:     4,
						MaxPending:      100,
						MaxPendingBytes: 1e6,
						FailureLimit:    5,
						ProbeInterval:   50 * time.Millisecond,
						ProbeMax:        5 * time.Second,
						JournalLimit:    7,
						Settle:          2 * time.Second,
						OnReturn:        backend.OnReturnFlush,
						Damping:         5 * time.Second,
						Keepalive:       30 * time.Second,
					},
				},
				{
					Name: "kilo",
					Backends: []pool.BackendConfig{
						{Network: "tcp", Address: "127.0.0.1:11211", Weight: 1}, {Network: "tcp", Address: "127.0.0.2:11211", Weight: 1},
					},
					Copies:  pool.CopyConfig{Mode: copies.Strict, Max: 3},
					Ring:    ring.Options{Kind: "cmemcache", NoOrOne: true},
					Backend: backend.Options{Keepalive: 30 * time.Second},
				},
				{
					Name:     "old",
					Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:11211", Weight: 1}},
					Ring:     ring.Options{Kind: "libmemcached", Hash: "md5", Distribution: "ketama"},
					Backend:  backend.Options{Keepalive: 30 * time.Second},
				},
				{
					Name:     "spare",
					Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:11300", Weight: 1}},
					Ring:     ring.Options{Kind: "consistent"},
					OnDown:   placement.OnDownEject,
					Split:    pool.SplitConfig{Enabled: true},
					Backend:  backend.Options{Keepalive: 30 * time.Second, OnReturn: backend.OnReturnHold, Damping: 30 * time.Second},
				},
			},
			Routes:      []proxy.Route{{Prefix: "tokens/", Pool: "kilo"}, {Prefix: "_lock", Pool: "old"}},
			DefaultPool: "main",
		},
		Log:   config.Log{Level: "debug", Format: "json"},
		Admin: config.Admin{Address: "10.0.0.1:9151", NativeHistograms: true, Remote: true, Hosts: []string{"cache1.example.org"}, Pprof: true},
	}
	f.Warnings = nil // of the admin address
	networks := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, f, networks, cmpopts.IgnoreUnexported(config.File{})); diff != "" {
		t.Errorf("every_key.toml (-want +got):\n%s", diff)
	}
}

func TestDefaultPool(t *testing.T) {
	const two = "[[listeners]]\naddress = \"127.0.0.1:1\"\n[pools.a]\nbackends = [\"h\"]\n"
	tests := []struct{ name, text, want string }{
		{"one pool", two, "a"},
		{"a pool named default", two + "[pools.default]\nbackends = [\"h\"]\n", "default"},
		{"written", "default_pool = \"a\"\n" + two + "[pools.default]\nbackends = [\"h\"]\n", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, tt.text).Proxy.DefaultPool; got != tt.want {
				t.Errorf("default pool %q, want %q", got, tt.want)
			}
		})
	}
}

func TestKeepaliveOff(t *testing.T) {
	if got := parse(t, minimal+"[proxy]\nkeepalive = \"0s\"\n").Proxy.Keepalive; got >= 0 {
		t.Errorf("keepalive \"0s\" gives %v, want less than 0", got)
	}
}

func TestSizes(t *testing.T) {
	tests := []struct {
		text string
		want int64
	}{
		{"1024B", 1024},
		{"64KiB", 64 << 10},
		{"64 KiB", 64 << 10},
		{"64kB", 64000},
		{"64KB", 64000},
		{"1MB", 1e6},
		{"1MiB", 1 << 20},
		{"1GB", 1e9},
		{"1GiB", 1 << 30},
	}
	for _, tt := range tests {
		if got := parse(t, minimal+"[proxy]\nmax_value = \""+tt.text+"\"\n").Proxy.MaxValue; got != tt.want {
			t.Errorf("size %q is %d bytes, want %d", tt.text, got, tt.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	text := `[admin]
address = "0.0.0.0:9151"
remote = true
[[listeners]]
address = "10.0.0.5:11210"
[[listeners]]
address = ":11211"
[[listeners]]
address = "[::]:11212"
[[listeners]]
address = "cache:11213"
[[listeners]]
address = "127.8.8.8:11214"
[[listeners]]
address = "localhost:11215"
[[listeners]]
address = "unix:/run/x"
[[listeners]]
address = "10.0.0.5:11216"
auth_file = "/users"
[[listeners]]
address = "10.0.0.5:11217"
auth_file = "/users"
cert = "/cert.pem"
key = "/key.pem"
[[listeners]]
address = "10.0.0.5:11218"
allow = ["10.0.0.0/8"]

[pools.main]
backends = ["10.0.0.5:11211"]
timeout = "1500ms"
`
	var got []string
	for _, w := range parse(t, text).Warnings {
		got = append(got, w.String())
	}
	const pickles = "can be reached from other machines; cached values are pickles, and whoever can write to the cache can run code in Keystone: listen on 127.0.0.1, [::1] or unix:/path, or write allow, client_ca or auth_file"
	want := []string{
		`proxy.toml:2: admin.address: "0.0.0.0:9151" can be reached from other machines, and asks nobody for a password: see to it that only those can who may read keys and figures`,
		`proxy.toml:5: listeners[0].address: "10.0.0.5:11210" ` + pickles,
		`proxy.toml:7: listeners[1].address: ":11211" ` + pickles,
		`proxy.toml:9: listeners[2].address: "[::]:11212" ` + pickles,
		`proxy.toml:11: listeners[3].address: "cache:11213" ` + pickles,
		`proxy.toml:20: listeners[7].auth_file: passwords for "10.0.0.5:11216" cross the network in plain text: write cert and key`,
		`proxy.toml:32: pools.main.timeout: 1.5s is more than 1s, after which python-memcached takes the proxy for dead and leaves it alone for 300 s`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// TestBad reads a file for each mistake, and compares all that is reported with the file's .want.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in testdata/bad: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".toml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Parse("proxy.toml", string(text))
			var problems config.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("Parse: %v, want Problems", err)
			}
			got := problems.Error() + "\n"
			golden := strings.TrimSuffix(file, ".toml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("problems of\n%s\n(-want +got):\n%s", text, diff)
			}
			checkProblems(t, string(text), problems)
		})
	}
}

// checkProblems checks what holds for all problems.
func checkProblems(t *testing.T, text string, problems config.Problems) {
	t.Helper()
	lines := strings.Count(text, "\n") + 1
	for i, p := range problems {
		if p.Line < 1 || p.Line > lines {
			t.Errorf("%v: line %d of %d", p, p.Line, lines)
		}
		if i > 0 && problems[i-1].Line > p.Line {
			t.Errorf("%v comes after a later line", p)
		}
		if p.Text == "" || strings.ContainsAny(p.String(), "\n\r") {
			t.Errorf("%q is not one line of text", p.String())
		}
	}
}

func TestLoad(t *testing.T) {
	if _, err := config.Load(filepath.Join(t.TempDir(), "none.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of no file: %v, want %v", err, os.ErrNotExist)
	}
	long := filepath.Join(t.TempDir(), "long.toml")
	if err := os.WriteFile(long, []byte(strings.Repeat("#", config.MaxSize+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	want := long + ":1: longer than 1048576 bytes"
	if _, err := config.Load(long); err == nil || err.Error() != want {
		t.Errorf("Load of a long file: %v, want %s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.toml", "testdata/good/*.toml", "../proxy.toml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := config.Parse("proxy.toml", text)
		if err != nil {
			problems, ok := err.(config.Problems)
			if !ok || len(problems) == 0 || file != nil {
				t.Fatalf("Parse: %v, %#v, want Problems", file, err)
			}
			checkProblems(t, text, problems)
			return
		}
		checkFile(t, file)
	})
}

// checkFile checks what a file without problems promises to package proxy.
func checkFile(t *testing.T, f *config.File) {
	t.Helper()
	if len(f.Proxy.Listeners) == 0 || len(f.Proxy.Pools) == 0 {
		t.Fatalf("%d listeners, %d pools", len(f.Proxy.Listeners), len(f.Proxy.Pools))
	}
	names := make(map[string]bool)
	for _, p := range f.Proxy.Pools {
		names[p.Name] = true
		if len(p.Backends) == 0 {
			t.Errorf("pool %q has no backends", p.Name)
		}
		for _, b := range p.Backends {
			if b.Address == "" || b.Weight < 1 || b.Network != "tcp" && b.Network != "unix" {
				t.Errorf("pool %q has backend %+v", p.Name, b)
			}
		}
	}
	if !names[f.Proxy.DefaultPool] {
		t.Errorf("default pool %q does not exist", f.Proxy.DefaultPool)
	}
	for _, r := range f.Proxy.Routes {
		if !names[r.Pool] || r.Prefix == "" || len(r.Prefix) > 250 {
			t.Errorf("route %+v", r)
		}
	}
}
