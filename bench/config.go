package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"time"

	"mcproxy/bench/workload"
)

// A Config says what to run, and against what. Default gives one that runs.
type Config struct {
	workload.Options

	Endpoint string `json:"endpoint"` // HOST:PORT or unix:PATH
	Source   string `json:"source"`   // IP address that conns come from; "": the system chooses
	Client   string `json:"client"`   // raw, the tool's own, or gomemcache
	Pipeline int    `json:"pipeline"` // operations in flight on each conn, >= 1
	Threads  int    `json:"threads"`  // that drive the conns; 0: half of the processors

	// The run ends with whichever comes first. Both count after the warm-up.
	Duration time.Duration `json:"-"`        // > 0
	Requests int64         `json:"requests"` // of all conns together; 0: as many as the duration allows
	Warmup   time.Duration `json:"-"`        // sent, but left out of every figure
	Timeout  time.Duration `json:"-"`        // > 0; an operation unanswered for so long has failed, and its conn is opened anew

	Rate     float64 `json:"rate"`     // operations a second to send; 0 is a closed loop: each conn sends when it has been answered
	Arrivals string  `json:"arrivals"` // of an open loop: poisson or even

	// Backends are the servers behind the endpoint, host:port,host:port, whose own counters are read before and after.
	Backends string `json:"backends"`
}

// The clients.
const (
	rawClient        = "raw"
	gomemcacheClient = "gomemcache"
)

// MarshalJSON writes durations as text, such as "10s".
func (c Config) MarshalJSON() ([]byte, error) {
	type plain Config
	return json.Marshal(struct {
		plain
		Duration  string `json:"duration"`
		Warmup    string `json:"warmup"`
		Timeout   string `json:"timeout"`
		SwapEvery string `json:"swap_every"`
		TTL       string `json:"ttl"`
	}{plain(c), c.Duration.String(), c.Warmup.String(), c.Timeout.String(), c.SwapEvery.String(), c.TTL.String()})
}

// Default is what the options are when nobody says otherwise, without an endpoint.
func Default() Config {
	return Config{
		Options: workload.Default(), Client: rawClient, Pipeline: 1, Arrivals: "poisson",
		Duration: 10 * time.Second, Warmup: time.Second, Timeout: 5 * time.Second,
	}
}

// wholeDuration bounds a run that is to end by its count of requests, or with its file.
const wholeDuration = 10 * time.Minute

// Suit gives the options their defaults for the workload, but for those that were given by hand: given is asked with the
// name of each as a flag, such as key-dist.
func (c *Config) Suit(given func(option string) bool) {
	c.Options.Suit(given)
	if !given("duration") && (c.Requests > 0 || c.IsReplay()) {
		c.Duration = wholeDuration
	}
	if !given("warmup") && (c.Requests > 0 || !c.IsMixed()) {
		c.Warmup = 0
	}
}

// Bounds of the options, so that a slip of the finger takes neither all memory nor all night.
const (
	maxConns    = 100_000
	maxPipeline = 100_000
	maxInFlight = 1_000_000 // conns x pipeline
	maxRate     = 100_000_000
	maxDuration = 7 * 24 * time.Hour
)

// Check says everything that is wrong with the options, one line each; nil when they can run.
func (c *Config) Check() error {
	var wrong []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	if _, err := parseAddress(c.Endpoint); err != nil {
		wrong = append(wrong, err)
	}
	must(c.Conns >= 1 && c.Conns <= maxConns, "conns %d: want 1 to %d", c.Conns, maxConns)
	must(c.Pipeline >= 1 && c.Pipeline <= maxPipeline, "pipeline %d: want 1 to %d", c.Pipeline, maxPipeline)
	must(c.Conns <= maxInFlight/max(c.Pipeline, 1), "conns %d x pipeline %d: over %d", c.Conns, c.Pipeline, maxInFlight)
	must(c.Threads >= 0 && c.Threads <= 1024, "threads %d: want 0 (chosen by itself) to 1024", c.Threads)
	must(c.Duration > 0 && c.Duration <= maxDuration, "duration %v: want over 0, up to %v", c.Duration, maxDuration)
	must(c.Requests >= 0, "requests %d: want 0 (no limit) or more", c.Requests)
	must(c.Warmup >= 0 && c.Warmup <= maxDuration, "warmup %v: want 0 to %v", c.Warmup, maxDuration)
	must(c.Timeout > 0, "timeout %v: want over 0", c.Timeout)
	must(c.Rate >= 0 && c.Rate <= maxRate, "rate %v: want 0 (a closed loop) to %d operations a second", c.Rate, maxRate)
	must(c.Arrivals == "poisson" || c.Arrivals == "even", "arrivals %q: want poisson or even", c.Arrivals)
	must(c.Source == "" || net.ParseIP(c.Source) != nil, "source %q: want an IP address of this machine", c.Source)
	must(c.Source == "" || !strings.HasPrefix(c.Endpoint, "unix:") && !strings.HasPrefix(c.Endpoint, "/"), "source: not to a unix socket")
	must(c.Client == rawClient || c.Client == gomemcacheClient, "client %q: want raw or gomemcache", c.Client)
	if c.Client == gomemcacheClient {
		must(c.Source == "", "source: gomemcache chooses its own")
		must(c.Pipeline == 1, "pipeline %d: gomemcache sends one operation at a time on a conn", c.Pipeline)
		must(!c.Meta, "meta: gomemcache has classic commands alone")
		must(c.Workload != workload.Commands, "client gomemcache: cannot send the workload commands")
	}
	must(c.Workload != workload.KeystoneTokens || c.Pipeline == 1,
		"pipeline %d: a client of keystone-tokens sends one operation at a time", c.Pipeline)
	must(!c.IsReplay() || c.Speed == 0 || c.Rate == 0, "speed and rate exclude each other")
	return errors.Join(append(wrong, c.Options.Check())...)
}

// address is the endpoint's, and the source's.
func (c *Config) address() (address, error) {
	a, err := parseAddress(c.Endpoint)
	a.source = net.ParseIP(c.Source)
	return a, err
}

// threads is how many goroutines drive the conns: enough to keep up with any endpoint on this machine, and few, so that
// each finds many conns ready at a time.
func (c *Config) threads() int {
	n := c.Threads
	if n == 0 {
		n = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	return min(n, c.Conns)
}
