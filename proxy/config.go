package proxy

import (
	"cmp"
	"runtime"
	"time"

	"mcproxy/pool"
	"mcproxy/proxy/limits"
	"mcproxy/proxy/porch"
	"mcproxy/proxy/route"
)

// Config is everything a Server is made from. Package config reads it from proxy.toml; tests build it by hand.
type Config struct {
	Listeners []Listener
	Workers   int // event loops; 0 is GOMAXPROCS

	MaxConns int   // client conns at once; 0: as many as the process may have descriptors
	MaxValue int64 // bytes of the longest data block taken from a client; 0 is 64 MiB
	// Assembly is how many bytes are held at once for values that are split, from their clients' announcements on; 0 is 256 MiB.
	// AssemblyWait is how long a request waits for room in it before it is refused; 0 is 2 s.
	// AssemblyStall is how long a client may hold some of it without moving a byte, while others wait; 0 is 15 s.
	Assembly      int64
	AssemblyWait  time.Duration
	AssemblyStall time.Duration
	Keepalive     time.Duration // idle time before TCP keepalive probes a client conn; 0 is 60 s, < 0 is off
	// BatchDelay is how long a worker with many busy clients lets requests and answers gather before it looks for them; 0 is
	// 50 µs, < 0 is off.
	BatchDelay time.Duration
	// SlowCall is how long a call to a backend may take before it is logged; 0: none is. SlowRate is how many are logged in a second at
	// most; 0 is 10.
	SlowCall time.Duration
	SlowRate int
	// StatsInterval is how often the backends are asked for their own figures; 0 is 15 s, < 0 is never.
	StatsInterval time.Duration
	DNSInterval   time.Duration // how often backends' names are looked up; 0 is 30 s
	DNSServer     string        // who is asked ("127.0.0.1:53"); "": as the system does. It cannot change while the proxy runs
	JournalDir    string        // where journals of missed writes are kept; "": in memory. It cannot change while the proxy runs
	DrainTimeout  time.Duration // how long Serve waits for answers in flight after its context ended; 0 is 10 s

	Limits limits.Config // of what clients have under way

	Pools       []pool.Config
	Routes      []Route
	DefaultPool string // for keys without a route and for commands without a key; "" is the only pool

	FilesInterval time.Duration // between two looks whether certificates, keys and files of users have changed; 0 is 5 s, < 0 is never

	Version string // the program's own, for `stats`, and for `version` while no backend's is known; "" is "0.0.0"
}

// DefaultDrainTimeout is Config.DrainTimeout's.
const DefaultDrainTimeout = 10 * time.Second

// A Listener is one address that clients come to: Network, Address, Mode, Door.
type Listener = porch.Config

// A Route sends the keys that begin with Prefix to the pool named Pool.
type Route = route.Route

// A Router places keys as a Server with the same configuration would, without any server.
type Router = route.Router

// A Placement says where a key belongs.
type Placement = route.Placement

// NewRouter makes the rings and routes of a configuration.
func NewRouter(cfg Config) (*Router, error) { return route.New(cfg.routing()) }

// A Comparison says what it means for the keys to live by another configuration.
type Comparison = route.Comparison

// A Move says which part of some keys belongs to another server than before.
type Move = route.Move

// Compare places keys by two configurations. A key has moved if its server has another address, whatever that is called.
func Compare(before, after Config) (*Comparison, error) {
	return route.Compare(before.routing(), after.routing())
}

func (c *Config) routing() route.Config {
	return route.Config{Pools: c.Pools, Routes: c.Routes, Default: c.DefaultPool}
}

func (c Config) withDefaults() Config {
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.MaxValue = cmp.Or(c.MaxValue, 64<<20)
	c.Assembly = cmp.Or(c.Assembly, 256<<20)
	c.AssemblyStall = cmp.Or(c.AssemblyStall, 15*time.Second)
	c.AssemblyWait = cmp.Or(c.AssemblyWait, 2*time.Second)
	c.Keepalive = cmp.Or(c.Keepalive, time.Minute)
	c.BatchDelay = cmp.Or(c.BatchDelay, 50*time.Microsecond)
	c.StatsInterval = cmp.Or(c.StatsInterval, 15*time.Second)
	c.DNSInterval = cmp.Or(c.DNSInterval, 30*time.Second)
	c.SlowRate = cmp.Or(c.SlowRate, 10)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, DefaultDrainTimeout)
	c.Limits = c.Limits.WithDefaults()
	c.Version = cmp.Or(c.Version, "0.0.0")
	c.FilesInterval = cmp.Or(c.FilesInterval, 5*time.Second)
	return c
}
