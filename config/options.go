package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"mcproxy/pool"
	"mcproxy/proxy"
	"mcproxy/proxy/limits"
	"mcproxy/replica"
	"mcproxy/ring"
	"mcproxy/split"
)

// A section is a table of the file and its keys.
type section struct {
	title   string // as written in the file
	where   string // completes "it belongs …"
	options []option
}

// sections gives every table and key that a file may have, for the reference and for hints. What they read goes nowhere.
func sections() []section {
	return []section{
		{"top of the file", "at the top of the file, before the first [table]", topOptions(new(draft))},
		{"[[listeners]]", "in [[listeners]]", listenerOptions(new(proxy.Listener))},
		{"[proxy]", "in [proxy]", proxyOptions(new(proxy.Config), new(journalDraft))},
		{"[limits]", "in [limits]", limitsOptions(new(limits.Config), new(draft).readPrefixRates)},
		{"[[limits.prefixes]]", "in [[limits.prefixes]]", prefixRateOptions(new(limits.PrefixRate))},
		{"[log]", "in [log]", logOptions(new(Log), new(proxy.Config))},
		{"[admin]", "in [admin]", adminOptions(new(Admin))},
		{"[pools.NAME]", "in [pools.NAME]", poolOptions(new(poolDraft))},
		{"[pools.NAME.coalesce]", "in [pools.NAME.coalesce]", coalesceOptions(new(poolDraft))},
		{"[pools.NAME.hotkeys]", "in [pools.NAME.hotkeys]", hotkeyOptions(new(poolDraft))},
		{"[pools.NAME.split]", "in [pools.NAME.split]", splitOptions(new(poolDraft))},
		{"[pools.NAME.replicas]", "in [pools.NAME.replicas]", replicaOptions(new(poolDraft))},
		{"[pools.NAME.tls]", "in [pools.NAME.tls]", tlsOptions(new(poolDraft))},
		{"an entry of backends", "in a backend's { … }", backendOptions(new(pool.BackendConfig))},
		{"[[routes]]", "in [[routes]]", routeOptions(new(proxy.Route))},
	}
}

// topOptions are default_pool and the tables.
func topOptions(d *draft) []option {
	return []option{
		{
			"default_pool", name(&d.defaultPool, maxPoolName), "",
			"The pool of keys without a route, and of commands without a key. It may be left out if there is one pool, or if " +
				"one is named \"default\".",
		},
		{"listeners", kind{"[[listeners]]", d.readListeners}, "", "Where clients come to. At least one."},
		{"proxy", kind{"[proxy]", d.readProxy}, "", "Limits of the whole process."},
		{"limits", kind{"[limits]", d.readLimits}, "", "How much clients may have under way, and how often they may ask."},
		{"log", kind{"[log]", d.readLog}, "", "The log on standard error."},
		{"admin", kind{"[admin]", d.readAdmin}, "", "The HTTP endpoints for operators."},
		{"pools", kind{"[pools.NAME]", d.readPools}, "", "Sets of backends. At least one."},
		{"routes", kind{"[[routes]]", d.readRoutes}, "", "Which keys go to which pool."},
	}
}

func proxyOptions(c *proxy.Config, j *journalDraft) []option {
	return []option{
		{"workers", integer(&c.Workers, 0, 1024), "0", "Event loops. 0 is one for each CPU that the process may use (GOMAXPROCS)."},
		{
			"max_connections", integer(&c.MaxConns, 0, 10_000_000), "0",
			"Client connections at once; one more is refused with an error. 0 is no limit but the process's file descriptors.",
		},
		{
			"max_value", size(&c.MaxValue, 1<<10, 1<<30), `"64MiB"`,
			"The longest value that is taken from a client. The backends have a limit of their own, 1 MB by default.",
		},
		{
			"assembly", size(&c.Assembly, 1<<20, 1<<40), `"256MiB"`,
			"Bytes held at once for values that are split: received, in chunks on their way, put together, waiting for clients. Requests over it wait.",
		},
		{
			"assembly_wait", duration(&c.AssemblyWait, time.Millisecond, time.Minute), `"2s"`,
			"How long they wait at most. Then the answer is SERVER_ERROR out of memory for large values.",
		},
		{
			"keepalive", keepalive(&c.Keepalive), `"60s"`,
			"Idle time before TCP keepalive probes, on client and backend connections. \"0s\" sends none.",
		},
		{
			"batch_delay", batchDelay(&c.BatchDelay), `"50us"`,
			"How long a worker with many busy clients lets requests and answers gather before it looks for more. It is less work for all " +
				"then; with few clients, or little to do, nothing waits. The kernel's timer slack adds up to 50 µs. \"0s\" never waits.",
		},
		{
			"stats_interval", orNever(&c.StatsInterval, time.Second, time.Hour), `"15s"`,
			"How often each backend is asked for its own figures, which /metrics shows: items, bytes, evictions. \"0s\" never asks.",
		},
		{
			"dns_interval", duration(&c.DNSInterval, time.Second, time.Hour), `"30s"`,
			"How often the names of backends are looked up at least; more often if their records live for less, and those of backends that are down each second.",
		},
		{
			"dns_server", dnsServer(&c.DNSServer), "",
			"Who is asked for them, such as \"127.0.0.1:53\". Without it they are looked up as the system does, /etc/hosts included.",
		},
		{
			"journal", oneOf(&j.kind, "memory", "disk"), `"memory"`,
			"Where missed writes are noted. In memory they are forgotten when the proxy ends. On disk they are safe before a client hears that a write " +
				"failed, and the next process goes on with them.",
		},
		{
			"journal_dir", text(&j.dir, "a directory's path that begins with \"/\"", pathProblem), strconv.Quote(journalDir),
			"journal = \"disk\": the directory for the file. It is made if there is none; only one process can use it.",
		},
		{
			"drain_timeout", duration(&c.DrainTimeout, time.Millisecond, time.Hour), `"10s"`,
			"How long a stopping proxy waits for requests in flight.",
		},
	}
}

func logOptions(l *Log, c *proxy.Config) []option {
	return []option{
		{"level", oneOf(&l.Level, "debug", "info", "warn", "error"), `"info"`, "The least weighty lines that are written."},
		{"format", oneOf(&l.Format, "console", "json"), `"console"`, "Lines for people or for programs."},
		{
			"slow_call", duration(&c.SlowCall, 0, time.Hour), `"0s"`,
			"Calls to backends that take so long are logged, with their key, as far as slow_rate allows. \"0s\" logs none.",
		},
		{"slow_rate", integer(&c.SlowRate, 1, 1000), "10", "How many of them are logged in a second at most."},
	}
}

func adminOptions(a *Admin) []option {
	return []option{
		{
			"address", adminAddress(&a.Address), "",
			"Where /metrics, /healthz and /readyz are served over HTTP. Without it they are not.",
		},
		{
			"remote", boolean(&a.Remote), "false",
			"Whether the address may be one that other machines reach. They are only told things: what changes something, and pprof, stay this machine's.",
		},
		{
			"hosts", names(&a.Hosts), "[]",
			"Host names that requests may ask for, with remote = true. They may always ask for an IP address, localhost or this machine's own name.",
		},
		{
			"pprof", boolean(&a.Pprof), "false",
			"Whether Go's profiles are served at /debug/pprof/. They tell what is in memory.",
		},
		{
			"native_histograms", boolean(&a.NativeHistograms), "false",
			"Histograms of /metrics have native buckets too, for a Prometheus with native histograms enabled.",
		},
	}
}

func poolOptions(d *poolDraft) []option {
	return slices.Concat(placeOptions(d), downOptions(d), limitOptions(d))
}

// placeOptions say where keys are, and what clients are told.
func placeOptions(d *poolDraft) []option {
	c := &d.config
	return []option{
		{"ring", oneOf(&c.Ring.Kind, ringNames()...), `"consistent"`, "How keys are placed on the backends."},
		{
			"hash", name(&c.Ring.Hash, 32), "",
			"The key hash of ketama (default \"fnv1a_64\") and libmemcached (default \"one_at_a_time\"; ketama_weighted: \"md5\").",
		},
		{
			"hash_tag", text(&c.Ring.HashTag, `two characters such as "{}"`, hashTagProblem), "",
			"ketama: only the part of a key between these two characters is hashed, if there is one.",
		},
		{
			"distribution", oneOf(&c.Ring.Distribution, "modula", "ketama", "ketama_weighted"), "",
			"The recipe of libmemcached, which is \"modula\" without this key.",
		},
		{
			"or_one", boolean(&d.orOne), "true",
			"cmemcache: a key whose hash is 0 is placed as if it were 1, as python-memcached did up to 1.59. false is for 1.60 and later.",
		},
		{
			"backends",
			kind{`a list such as ["127.0.0.1:11211"]`, d.readBackends},
			"",
			"The memcached servers, in the order in which the other clients of the same servers list them.",
		},
		{
			"on_error", oneOf(&d.onError, "miss", "error"), `"miss"`,
			"What a client is told when a backend does not answer: a miss (NOT_STORED, NOT_FOUND), or SERVER_ERROR.",
		},
		{
			"allow_flush_all", boolean(&c.AllowFlushAll), "false",
			"Whether flush_all is sent to every backend of the pool. Otherwise it is refused.",
		},
		{
			"allow_stats_all", boolean(&c.AllowStatsAll), "false",
			"Whether every argument of stats is passed on to a pool's only backend. Otherwise those are refused that change it or tell its keys: " +
				"reset, detail, cachedump, sizes_enable, sizes_disable.",
		},
		{
			"auth_file", filePath(&c.AuthFile), "",
			"File with a line \"name:password\", as memcached's (-Y). The proxy logs in with it first on each connection to a backend.",
		},
	}
}

// downOptions say what becomes of the keys of a backend that is down.
func downOptions(d *poolDraft) []option {
	c := &d.config
	b := &c.Backend
	return []option{
		{
			"on_down", oneOf(&d.onDown, "fail", "eject", "gutter"), `"fail"`,
			"Where the keys of a backend that is down are looked for: nowhere, on the ring's next backend, or in the pool that gutter names. With " +
				"eject and gutter all proxies over the same backends must have the same pools.",
		},
		{
			"max_down", integer(&c.MaxDown, 0, 65535), "0",
			"Backends whose keys are looked for elsewhere, at most; those of one more are not, so that the rest is not flooded. 0 is half of them.",
		},
		{"gutter", name(&c.Gutter, maxPoolName), "", "on_down = \"gutter\": another pool of this file."},
		{
			"gutter_ttl", duration(&c.GutterTTL, time.Second, time.Hour), textOf(pool.DefaultGutterTTL),
			"How long an item lives there at most.",
		},
		{
			"on_return", oneOf(&d.onReturn, "replay", "flush", "hold"), `"replay"`,
			"What is done before a backend that was down is used again: the keys whose writes it missed are deleted there, it is flushed besides, or " +
				"an operator must release it.",
		},
		{
			"damping", duration(&b.Damping, 0, time.Hour), textOf(defaultDamping),
			"on_down = \"eject\" and \"gutter\": a backend that goes down again and again, each time within a minute, must answer probes for a while before " +
				"it is used again: from the third time on for 1s, twice as long each time, and at most so long. \"0s\" asks for nothing.",
		},
	}
}

// limitOptions are those of the backends, and the tables.
func limitOptions(d *poolDraft) []option {
	b := &d.config.Backend
	def := b.WithDefaults()
	return []option{
		{
			"timeout", duration(&b.Timeout, time.Millisecond, time.Minute), textOf(def.Timeout),
			"From a request to its answer, whatever the backend does.",
		},
		{
			"connect_timeout", duration(&b.ConnectTimeout, time.Millisecond, time.Minute), textOf(def.ConnectTimeout),
			"To open a connection to a backend. It follows timeout if left out.",
		},
		{
			"stall_timeout", duration(&b.StallTimeout, time.Millisecond, time.Hour), textOf(def.StallTimeout),
			"A connection on which requests timed out, and none was answered in time for so long, is set aside. At least timeout.",
		},
		{"connections", integer(&b.Connections, 1, 64), strconv.Itoa(def.Connections), "Connections to each backend, for each worker; and as many more for values of 32KiB and more, when there are any."},
		{"max_pending", integer(&b.MaxPending, 1, 1_000_000), strconv.Itoa(def.MaxPending), "Requests queued or in flight on one connection; one more fails at once."},
		{"max_pending_bytes", size(&b.MaxPendingBytes, 1<<10, 1<<36), strconv.Quote(sizeText(int64(def.MaxPendingBytes))), "The bytes of those requests."},
		{
			"failure_limit", integer(&b.FailureLimit, 1, 1_000_000), strconv.Itoa(def.FailureLimit),
			"Connect errors or timeouts in a row after which a backend is down, and its requests fail at once.",
		},
		{
			"probe_interval", duration(&b.ProbeInterval, time.Millisecond, time.Hour), textOf(def.ProbeInterval),
			"The first wait between probes of a backend that is down. It doubles, with jitter.",
		},
		{"probe_max", duration(&b.ProbeMax, time.Millisecond, time.Hour), textOf(def.ProbeMax), "The longest wait between probes. At least probe_interval."},
		{
			"journal_limit", integer(&b.JournalLimit, 1, 100_000_000), strconv.Itoa(def.JournalLimit),
			"Keys in a backend's journal of missed writes. One more, and the backend is held until an operator releases it.",
		},
		{
			"settle", duration(&b.Settle, time.Millisecond, time.Minute), textOf(def.Settle),
			"The wait before a journalled key is deleted a second time, on a backend whose connection broke with writes unanswered.",
		},
		{"coalesce", kind{"[pools.NAME.coalesce]", d.readCoalesce}, "", "Reads of one key that share a request to its backend."},
		{"hotkeys", kind{"[pools.NAME.hotkeys]", d.readHotKeys}, "", "How keys that are read or written much are found."},
		{"split", kind{"[pools.NAME.split]", d.readSplit}, "", "Large values that are spread over the backends in chunks."},
		{"replicas", kind{"[pools.NAME.replicas]", d.readReplicas}, "", "Keys that are read so much that other backends get copies of them."},
		{"tls", kind{"[pools.NAME.tls]", d.readTLS}, "", "TLS, 1.2 or newer, on the connections to the backends."},
	}
}

func coalesceOptions(d *poolDraft) []option {
	return []option{{
		"mode", oneOf(&d.coalesce, "hot", "all", "off"), `"hot"`,
		"Of which keys: those that are hot, every key, or none. A get never shares a request that was sent before it came.",
	}}
}

func hotkeyOptions(d *poolDraft) []option {
	c := &d.config.HotKeys
	def := c.WithDefaults()
	return []option{
		{"enabled", boolean(&d.hotKeys), "true", "Whether keys are watched at all. Without it none is hot."},
		{
			"tau", number(&c.Tau, 0.001, 1), strconv.FormatFloat(def.Tau, 'f', -1, 64),
			"A key is hot when it costs at least this share of what the mean backend does, in two windows running, or four times it in one.",
		},
		{
			"window", nanoseconds(&c.Window, 10*time.Millisecond, 10*time.Second), textOf(time.Duration(def.Window)),
			"How long requests are counted before they are judged.",
		},
		{"top", integer(&c.Top, 1, 1000), strconv.Itoa(def.Top), "Keys in the list for operators, hot or not. What is hot beyond them is there too."},
		{
			"cool", nanoseconds(&c.Cool, time.Millisecond, time.Hour), textOf(time.Duration(def.Cool)),
			"A hot key that stays below a third of tau for so long is hot no more.",
		},
		{
			"min_rate", number(&c.MinRate, 1, 1e9), strconv.FormatFloat(def.MinRate, 'f', -1, 64),
			"Requests a second, with their bytes at 1,280 a request, below which no key is hot.",
		},
		{"ignore", prefixes(&c.Ignore), "[]", "Keys that begin with one of these are never hot."},
		{
			"hide_keys", boolean(&d.config.HideKeys), "false",
			"Whether the log, the metrics and the list for operators tell the hashes of keys instead of the keys.",
		},
		{
			"drill", duration(&d.config.HotDrill, 0, time.Minute), `"0s"`,
			"A fault drill for tests, never for production: each time so long is over, the heaviest keys become all hot or all cold, " +
				"whatever they cost. 0s is off.",
		},
	}
}

func splitOptions(d *poolDraft) []option {
	c := &d.config.Split
	def := c.WithDefaults()
	return []option{
		{
			"enabled", boolean(&c.Enabled), "false",
			"Whether large values are split. Once values were, they are lost to proxies of which this is false, and to clients that go around.",
		},
		{"threshold", size(&c.Threshold, 100, split.MaxLength), textOfSize(def.Threshold), "A longer value is split."},
		{"chunk", size(&c.Chunk, 1000, split.MaxChunk), textOfSize(def.Chunk), "The longest chunk."},
		{"copies", integer(&c.Copies, 1, 16), strconv.Itoa(def.Copies), "Copies of each chunk, on different backends."},
		{"max_value", size(&c.MaxValue, 1000, split.MaxLength), textOfSize(def.MaxValue), "The longest value that is split. The process's max_value bounds it too."},
	}
}

func replicaOptions(d *poolDraft) []option {
	return []option{
		{
			"mode", oneOf(&d.replicas, "off", "safe", "strict"), `"safe"`,
			"What readers of such keys are promised: \"safe\", that no read gives a value older than a write that was acknowledged before it; " +
				"\"strict\", that reads do not go back in time either, at the price of a slower write. \"off\": no key gets copies. All proxies of the backends must " +
				"have the same mode, or none of them makes copies; and all who write to the backends must go through a proxy. It takes two backends or more, with memcached 1.6.10 or later, and on_down = \"fail\".",
		},
		{"max", integer(&d.config.Copies.Max, 1, replica.MaxCopies), strconv.Itoa(replica.MaxCopies), "The most copies of a key; a backend has one at most."},
	}
}

func tlsOptions(d *poolDraft) []option {
	c := &d.config.TLS
	return []option{
		{"enabled", boolean(&c.Enabled), "false", "Whether the backends speak TLS (memcached -Z)."},
		{"ca", filePath(&c.CA), "", "PEM file of authorities that the backends' certificates must come from. Without it they are the system's."},
		{"cert", filePath(&c.Cert), "", "PEM file of a certificate that the proxy shows to the backends, for those that demand one."},
		{"key", filePath(&c.Key), "", "PEM file of the certificate's key."},
		{
			"server_name", name(&c.ServerName, 253), "",
			"The host name or IP address that each backend's certificate must be for. Without it that is the host of the backend's address.",
		},
	}
}

// textOfSize gives a size as TOML.
func textOfSize(n int) string { return strconv.Quote(sizeText(int64(n))) }

func backendOptions(b *pool.BackendConfig) []option {
	return []option{
		{
			"address", backendAddress(&b.Network, &b.Address), "",
			"Host and port; the port is 11211 if left out. Or \"unix:\" and a socket's path. Or \"dnssrv+\" and a name: all the servers that its SRV records " +
				"list, with their weights, as they come and go.",
		},
		{
			"name", name(&b.Name, maxBackendName), "",
			"What figures, logs and errors call it; the address by default. consistent places keys by it, and so does ketama, as twemproxy.",
		},
		{"weight", integer(&b.Weight, 1, ring.MaxWeight), "1", "Its share of the keys."},
	}
}

func routeOptions(c *proxy.Route) []option {
	return []option{
		{
			"prefix", text(&c.Prefix, "1 to 250 bytes without blanks", prefixProblem), "",
			"Keys that begin with it go to the pool; the longest prefix wins.",
		},
		{"pool", name(&c.Pool, maxPoolName), "", "A pool of this file."},
	}
}

// ringNames gives the rings, the default first.
func ringNames() []string {
	return []string{"consistent", "cmemcache", "ketama", "libmemcached", "rendezvous"}
}

// A journalDraft is where missed writes are noted, as written.
type journalDraft struct{ kind, dir string }

// journalDir is where files of services are, by the filesystem hierarchy standard.
const journalDir = "/var/lib/mcproxy"

// pathProblem completes "%q …".
func pathProblem(s string) string {
	if !strings.HasPrefix(s, "/") || strings.ContainsRune(s, 0) {
		return "does not begin with \"/\", or has a NUL"
	}
	return ""
}

// defaultDamping is what a pool has whose keys move.
const defaultDamping = 30 * time.Second

// textOf gives a duration as TOML.
func textOf(d time.Duration) string { return strconv.Quote(durationText(d)) }

// Names are labels in metrics and words in error lines.
const (
	maxPoolName    = 64
	maxBackendName = 250
)
