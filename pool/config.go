package pool

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"mcproxy/backend"
	"mcproxy/hotkey"
	"mcproxy/placement"
	"mcproxy/pool/chunks"
	"mcproxy/pool/copies"
	"mcproxy/ring"
)

// Config describes one pool.
type Config struct {
	Name     string
	Backends []BackendConfig
	Ring     ring.Options

	OnError       OnError
	OnDown        placement.OnDown
	MaxDown       int           // backends whose keys are looked for elsewhere, at most; 0: half of them
	Gutter        string        // OnDownGutter: the spare pool's name; otherwise ""
	GutterTTL     time.Duration // and how long an item lives there at most; 0 is DefaultGutterTTL
	Coalesce      Coalesce
	HotKeys       hotkey.Config
	HotKeysOff    bool          // no key is watched, and none is hot
	HotDrill      time.Duration // so often the heaviest keys become all hot or all cold, in turns, for tests; 0: never
	HideKeys      bool          // people, logs and metrics are told keys' hashes, never keys
	Split         chunks.Config
	Copies        copies.Config
	AllowFlushAll bool // flush_all is sent to every backend; otherwise it is refused
	AllowStatsAll bool // every argument of stats is passed on to a pool's only backend; otherwise those that change it or tell its keys are refused

	TLS      TLSConfig // of the conns to the backends
	AuthFile string    // a file of users, of which the first is who the proxy logs in as at every backend; "": it does not

	Backend backend.Options // the same for every backend of the pool
}

// Interim gives the configuration by which a pool must live, with no key called hot, until every request has ended that was begun under
// former (nil: in no pool of this name). ok is false if it may live by c at once. A request that was begun where values are not split takes a
// manifest for a client's value, and a write that was begun where keys have no copies clears none; so no value may be split and no copy made
// before the last of them has its answer.
func (c *Config) Interim(former *Config) (interim Config, ok bool) {
	if former == nil {
		former = &Config{}
	}
	interim = *c
	if c.Split.Enabled && !former.Split.Enabled {
		interim.Split.Threshold = math.MaxInt
		ok = true
	}
	return interim, ok || c.Copies.Mode != former.Copies.Mode
}

// WatchedAs says whether the pool's hot keys are those of former still: the same things are watched for, and counted in the same way.
func (c *Config) WatchedAs(former *Config) bool {
	return c.HotKeysOff == former.HotKeysOff && reflect.DeepEqual(c.HotKeys, former.HotKeys) && len(c.Backends) == len(former.Backends)
}

// NetworkSRV is the network of an entry that stands for a set of backends. Package discover replaces it by them; no pool can be made of it.
const NetworkSRV = "dnssrv"

// DefaultGutterTTL is Config.GutterTTL's.
const DefaultGutterTTL = 10 * time.Second

// BackendConfig is one backend of a pool and its share of the keys.
type BackendConfig struct {
	Name    string // "": Address
	Network string // "tcp", "unix" or NetworkSRV
	Address string // "host:port", a socket's path, or the name of SRV records
	Weight  int    // 0: 1
}

// OnError says what a client is told when a backend cannot answer.
type OnError uint8

// The values of OnError.
const (
	OnErrorMiss  OnError = iota // "miss": END, NOT_STORED, NOT_FOUND and their meta codes, which every client bears
	OnErrorError                // "error": SERVER_ERROR <backend>: <reason>
)

func (o OnError) String() string {
	switch o {
	case OnErrorMiss:
		return "miss"
	case OnErrorError:
		return "error"
	}
	return fmt.Sprintf("OnError(%d)", uint8(o))
}
