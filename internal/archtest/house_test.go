package archtest_test

import (
	"os"
	"slices"
	"testing"

	"mcproxy/internal/archtest"
)

// Standard packages that a layer never imports.
var (
	// pure code knows no sockets, clocks, goroutines or processes: all it works on is an argument.
	pure = []string{"net", "io", "time", "context", "sync", "log", "os", "syscall"}
	// dataPath code speaks no HTTP, reads no flags and gets no signals.
	dataPath = []string{"net/http", "flag", "os/signal", "os/exec", "log"}
)

// house is the table of layers, from the bottom up. A request walks proxy → pool → backend, and its answer walks back
// through the call that it was given; so no row allows an import upwards. A new package starts here, with what it holds
// and why no package that exists has room for it.
var house = []archtest.Row{
	// The grammar: parse and append requests and responses.
	{Package: "protocol", Never: pure},
	// Keys to nodes, each algorithm a file; immutable.
	{Package: "ring", Uses: []string{"github.com/cespare/xxhash/v2"}, Never: pure},
	// Summaries, thresholds, the state of a key.
	{Package: "hotkey", Uses: []string{"github.com/cespare/xxhash/v2"}, Never: pure},
	// The manifest's codec, chunking, joining.
	{Package: "split", May: []string{"protocol"}, Uses: []string{"github.com/cespare/xxhash/v2"}, Never: pure},
	// The replication protocol's state machine; time and answers are arguments.
	{
		Package: "replica",
		May:     []string{"protocol", "split"},
		Uses:    []string{"github.com/cespare/xxhash/v2"},
		Never:   pure,
	},
	// Recycled byte slices with one owner: what a conn holds while it has bytes, and gives back when it is idle. Both sides of
	// the proxy need it, so it lies below both.
	{Package: "internal/buffer", Never: pure},
	// What a worker counts, and how workers' counts are added up: histograms, a pool's requests, clients by address. Packages backend,
	// pool and proxy count alike, and package pool would be over its size with it.
	{Package: "internal/tally", May: []string{"protocol"}, Never: []string{"net", "io", "context", "sync", "log", "os", "syscall"}},
	// What memcached answers to `stats`: the pool adds it up for clients, a backend reads it for operators.
	{Package: "internal/statlines", Never: pure},
	// The event loop's system calls (Linux).
	{
		Package: "internal/epoll",
		May:     []string{"internal/buffer"},
		Uses:    []string{"golang.org/x/sys/unix"},
		Never:   dataPath,
	},
	// What proxies and servers prove themselves with, read from files and read again when those change. Both sides of the proxy need it.
	{Package: "internal/secrets", Never: []string{"net/http", "flag", "os/signal", "os/exec", "log"}},
	// TLS conns as plain descriptors of a loop, with goroutines of their own. Both sides of the proxy need it.
	{Package: "internal/tlsrelay", Uses: []string{"golang.org/x/sys/unix"}, Never: dataPath},
	// Names to addresses, and for how long an answer holds. Package backend, which looks its addresses up, and discover, which looks sets up, need it.
	{Package: "internal/resolve", Uses: []string{"golang.org/x/net/dns/dnsmessage"}, Never: dataPath},
	// One memcached: its conns, pipeline, deadlines, health.
	{
		Package: "backend",
		May:     []string{"protocol", "internal/resolve", "internal/buffer", "internal/epoll", "internal/secrets", "internal/tlsrelay", "internal/tally", "internal/statlines"},
		Uses:    []string{"golang.org/x/sys/unix", "github.com/cespare/xxhash/v2"},
		Never:   dataPath,
	},
	// Which backend a key is looked for on: the ring's, or a stand-in while that is down, and what must be deleted where when keys move. It
	// is the process's, as a backend is; a pool is a worker's.
	{Package: "placement", May: []string{"protocol", "ring", "internal/epoll", "backend", "placement/quarantine"}, Never: append([]string{"os"}, dataPath...)},
	// What several proxies agree upon about a backend that goes and comes back: the item's codec and the state machine. Package placement
	// does what it asks for; time and answers are arguments, so that a model can go through what happens once a year.
	{Package: "placement/quarantine", Uses: []string{"github.com/cespare/xxhash/v2"}, Never: pure},
	// The backends of sets that a configuration names, looked up in DNS. Neither package proxy, which lives by what it is told, nor config,
	// which knows no sockets, has room for it.
	{Package: "internal/discover", May: []string{"internal/resolve", "pool", "proxy"}, Never: dataPath},
	// What happened to a process, for who looks at it later. Package proxy would be over its size with it.
	{Package: "internal/chronicle", May: []string{"backend"}, Never: []string{"net", "os", "context", "log"}},
	// A set of byte strings in a file: what a process must not forget however it ends. Whoever keeps something there knows no files.
	{Package: "internal/durable", Uses: []string{"golang.org/x/sys/unix"}, Never: []string{"net", "context", "log"}},
	// Bytes that a process may hold at once, shared out among its loops: the sessions of package proxy and the values of package pool
	// draw on the same.
	{Package: "internal/budget", May: []string{"internal/buffer", "internal/epoll"}, Never: []string{"net", "os", "time", "context", "log"}},
	// How often the garbage collector looks, which is the whole process's business.
	{Package: "internal/pace", May: []string{"internal/budget"}, Never: []string{"net", "os", "log"}},
	// What a process remembers of keys for all its loops. Package pool would be over its size with it.
	{Package: "internal/keybook", May: []string{"hotkey"}, Never: []string{"net", "os", "context", "log"}},
	// Requests that take several calls, as coroutines of a loop, and answers too large to be copied. Both what splits values and what
	// keeps copies is written so.
	{
		Package: "pool/steps",
		May:     []string{"protocol", "internal/buffer", "internal/epoll", "internal/budget", "backend", "placement"},
		Never:   dataPath,
	},
	// Values in chunks: a room of its own, because it is as large as all else that a pool does, and needs little of that (Host, Client).
	{
		Package: "pool/chunks",
		May:     []string{"protocol", "hotkey", "split", "internal/epoll", "internal/keybook", "internal/tally", "backend", "pool/steps"},
		Never:   dataPath,
	},
	// Copies of hot keys: what package replica asks for, done. It needs a pool's conns and nothing else of it.
	{
		Package: "pool/copies",
		May:     []string{"protocol", "hotkey", "split", "replica", "internal/epoll", "backend", "pool/steps"},
		Uses:    []string{"github.com/cespare/xxhash/v2"},
		Never:   dataPath,
	},
	// One pool as a worker sees it: placement, hot keys, what a failure answers.
	{
		Package: "pool",
		May: []string{
			"protocol", "ring", "hotkey", "split", "replica", "internal/buffer", "internal/secrets", "internal/tlsrelay", "internal/epoll", "internal/budget", "internal/keybook",
			"internal/tally", "internal/statlines", "backend", "placement", "pool/steps", "pool/chunks", "pool/copies",
		},
		Uses:  []string{"github.com/cespare/xxhash/v2"},
		Never: dataPath,
	},
	// Which pool a key goes to, and what it means when that changes. Package proxy would be over its size with it.
	{Package: "proxy/route", May: []string{"protocol", "ring", "pool"}, Never: dataPath},
	// What a listener asks of its clients before their requests are looked at. Package proxy would be over its size with it.
	{
		Package: "proxy/door",
		May:     []string{"protocol", "internal/secrets", "internal/tlsrelay"},
		Uses:    []string{"golang.org/x/sys/unix"},
		Never:   dataPath,
	},
	// What one process gives the next, and the dialogue by which it does. Package proxy makes it, package daemon sends it.
	{Package: "internal/handover", Uses: []string{"golang.org/x/sys/unix"}, Never: dataPath},
	// The listeners, and how clients get from there into the house. Package proxy would be over its size with it.
	{
		Package: "proxy/porch",
		May:     []string{"internal/epoll", "internal/handover", "internal/tlsrelay", "proxy/door"},
		Uses:    []string{"golang.org/x/sys/unix", "go.uber.org/zap"},
		Never:   []string{"net/http", "flag", "os/signal", "os/exec", "log"},
	},
	// Which keys of a pool are hot, and what that means: decided from what the workers saw, and by none of them. Package proxy would be over
	// its size with it.
	{
		Package: "proxy/watch",
		May:     []string{"protocol", "hotkey", "split", "pool", "pool/copies"},
		Never:   []string{"net", "os", "context", "log"},
	},
	// What people are told of clients, pools and backends, summed over the workers. Package proxy would be over its size with it.
	{
		Package: "proxy/figures",
		May: []string{
			"protocol", "hotkey", "internal/tally", "internal/statlines", "internal/chronicle", "backend", "pool", "pool/copies", "proxy/porch", "proxy/watch",
		},
		Never: append([]string{"os", "context"}, dataPath...),
	},
	// What one client has under way, and what must wait for it. Package proxy would be over its size with it.
	{Package: "proxy/order", May: []string{"protocol", "hotkey", "pool"}, Never: append([]string{"os", "context"}, dataPath...)},
	// How much clients may have under way, and how often they may ask. Package proxy would be over its size with it.
	{Package: "proxy/limits", May: []string{"protocol"}, Never: append([]string{"os", "context"}, dataPath...)},
	// Listeners, workers, client sessions, routes, snapshots of figures. It sees backends through their pool, and package
	// backend for its figures and options alone.
	{
		Package: "proxy",
		May: []string{
			"protocol", "ring", "hotkey", "split", "replica", "internal/buffer", "internal/secrets", "internal/tlsrelay", "internal/epoll", "internal/budget", "internal/pace", "internal/chronicle", "internal/durable", "internal/tally",
			"internal/statlines", "internal/handover", "internal/resolve", "backend", "pool", "pool/copies", "proxy/door", "proxy/figures", "proxy/limits", "proxy/order", "proxy/porch", "proxy/route", "proxy/watch",
		},
		Uses:  []string{"golang.org/x/sys/unix", "go.uber.org/zap"},
		Never: dataPath,
	},
	// proxy.toml to validated values. Package backend for the options that pool.Config is made of.
	{
		Package: "config",
		May:     []string{"protocol", "proxy", "proxy/door", "proxy/limits", "pool", "pool/copies", "placement", "ring", "hotkey", "split", "replica", "backend"},
		Uses:    []string{"github.com/BurntSushi/toml"},
		Never:   []string{"net/http", "flag", "os/signal", "os/exec", "log", "syscall"},
	},
	// HTTP: metrics, health, the page, its JSON; reads snapshots.
	{
		Package: "admin",
		May:     []string{"proxy"},
		Uses:    []string{"github.com/prometheus/client_golang", "github.com/prometheus/client_model", "go.uber.org/zap"},
		Never:   []string{"flag", "os/signal", "os/exec", "log"},
	},
	// The life of a process: start, reload, upgrade, end. It knows configurations and the admin endpoints, which package proxy must not,
	// and is tested without a command line.
	{
		Package: "daemon",
		May:     []string{"backend", "internal/discover", "internal/handover", "internal/resolve", "proxy", "config", "admin"},
		Uses:    []string{"go.uber.org/zap", "golang.org/x/sys/unix"},
		Never:   []string{"flag", "log"},
	},
	// What memcached servers hold, read with commands that change nothing: a client of its own, as package backend is the proxy's.
	{Package: "inspect", May: []string{"protocol", "internal/webpage"}},
	// Keystone's keys, pickled values, token lists.
	{Package: "keystone", May: []string{"ring", "internal/webpage"}, Never: []string{"net", "os", "sync"}},
	// Pages of tables and plots that commands write: what bench, inspect and keystone share, and none of them can import from another.
	{Package: "internal/webpage", Never: []string{"net"}},
	// Load generator and workloads; a black box over TCP that drives rivals too.
	{
		Package: "bench",
		May:     []string{"protocol", "bench/workload", "internal/webpage"},
		Uses:    []string{"github.com/HdrHistogram/hdrhistogram-go", "github.com/bradfitz/gomemcache", "golang.org/x/sys/unix"},
	},
	// What a load sends and how it judges the answers, without sockets: package bench would be over its size with it.
	{Package: "bench/workload", May: []string{"protocol"}, Never: []string{"net"}},
	// What programs that measure whole proxies are made with: processes, /proc, pages, which package bench does without. It and they
	// know mcproxy by its command line alone.
	{Package: "bench/rig"},
	// What the tests of those programs have in common.
	{Package: "bench/rigtest", May: []string{"bench/rig"}},
	// The comparison with other proxies, a program.
	{Package: "bench/rivals", May: []string{"bench/rig"}},
	// What hot and oversized keys are to reach, a program.
	{Package: "bench/hotkeys", May: []string{"bench/rig"}},
	// What counting requests costs, a program.
	{Package: "bench/overhead", May: []string{"bench/rig"}},
	// What copies of hot keys do, a program.
	{Package: "bench/copies", May: []string{"bench/rig"}},
	// What a stopped memcached and slow clients cost others, a program.
	{Package: "bench/faults", May: []string{"bench/rig"}},
	// Figures, names and keys as terminals show them: what top and the commands share.
	{Package: "internal/termtext", Never: []string{"net", "os", "io"}},
	// A running proxy on a terminal: what its admin endpoints tell, as tables, and the keys that are pressed. No sockets.
	{
		Package: "top",
		May:     []string{"admin", "internal/termtext", "proxy"},
		Uses:    []string{"charm.land/bubbletea/v2", "github.com/charmbracelet/x/ansi"},
		Never:   []string{"net", "net/http", "os", "flag", "log"},
	},
	// Commands, signals, wiring.
	{
		Package: "cmd/mcproxy",
		May:     []string{archtest.Any},
		Uses:    []string{"github.com/spf13/cobra", "go.uber.org/zap", "golang.org/x/sys/unix", "charm.land/bubbletea/v2"},
		Never:   []string{"flag", "log"},
	},

	// For tests alone: simulated kernels, networks and memcacheds in virtual time, for orders that real ones rarely show.
	{
		Package: "internal/simnet",
		May:     []string{"protocol", "internal/epoll"},
		Uses:    []string{"golang.org/x/sys/unix"},
		Never:   []string{"net", "os", "sync"},
	},
	// Checkers of what clients of a cache saw. Simulations and real runs need the same ones.
	{Package: "internal/history", Uses: []string{"github.com/anishathalye/porcupine"}, Never: []string{"net", "os", "sync", "context"}},
	// A DNS server for tests.
	{Package: "internal/dnstest"},
	// Addresses for the programs that tests start.
	{Package: "internal/loopback"},
	// These rules, and real memcached processes.
	{Package: "internal/archtest"},
	// Certificates for the tests of several packages.
	{Package: "internal/tlstest"},
	{Package: "internal/memcachedtest", Uses: []string{"golang.org/x/sys/unix"}},
	// A headless Chromium, for tests of pages.
	{Package: "internal/chrometest"},
	// Real proxies over real memcacheds that break all the time, and what clients saw, judged. Tests only. Package e2e judges answers
	// one by one; this judges histories.
	{Package: "internal/chaos"},
	// The whole proxy against real memcacheds and real clients: a test of the whole belongs to no layer.
	{Package: "internal/e2e", May: []string{archtest.Any, "internal/memcachedtest"}, Uses: []string{"github.com/bradfitz/gomemcache"}},
	// Real Keystones over a real proxy, behind a build tag: they need 170 packages that no other test does. Tests only.
	{Package: "internal/keystonetest", May: []string{"inspect", "keystone", "ring", "internal/memcachedtest"}},
}

// testPackages may be imported by tests, and by each other.
var testPackages = []string{
	"internal/archtest", "internal/dnstest", "internal/loopback", "internal/memcachedtest", "internal/tlstest", "internal/chrometest", "internal/simnet",
	"internal/history", "internal/chaos", "internal/e2e", "internal/keystonetest", "bench/rigtest",
}

// vague names say nothing of what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "errors", "metrics", "misc", "base"}

var limits = archtest.Limits{FuncLines: 80, TestFuncLines: 120, FileLines: 600, PackageLines: 4000, Params: 5}

// exceptions are few, and each says why the rule would make the code worse.
var exceptions = []archtest.Exception{
	{Check: "state", Subject: "cmd/mcproxy version", Reason: "the linker sets it, before anything runs"},
}

func TestHouse(t *testing.T) {
	tree := load(t, os.DirFS("../.."))
	if len(tree.Packages) < 2 || !slices.ContainsFunc(tree.Packages, func(p *archtest.Package) bool {
		return p.Path == "internal/archtest"
	}) {
		t.Fatalf("found %d packages, and not this one: the test looks at the wrong directory", len(tree.Packages))
	}
	findings := slices.Concat(
		archtest.Layers(tree, house, testPackages),
		archtest.Names(tree, vague),
		archtest.Sizes(tree, limits),
		archtest.Documented(tree),
		archtest.State(tree),
	)
	rest, stale := archtest.Except(findings, exceptions)
	for _, finding := range rest {
		t.Error(finding)
	}
	for _, exception := range stale {
		t.Errorf("exception for %s %q allows nothing any more: remove it", exception.Check, exception.Subject)
	}
	for _, exception := range exceptions {
		if exception.Reason == "" {
			t.Errorf("exception for %s %q has no reason", exception.Check, exception.Subject)
		}
	}
}
