package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Config says what to run, and against what. Default gives one that runs.
type Config struct {
	Endpoint string `json:"endpoint"` // HOST:PORT or unix:PATH
	Client   string `json:"client"`   // raw, the tool's own, or gomemcache
	Workload string `json:"workload"` // mixed, or one of WorkloadNames

	Conns    int `json:"conns"`    // conns kept open, >= 1
	Pipeline int `json:"pipeline"` // operations in flight on each, >= 1
	Threads  int `json:"threads"`  // that drive the conns; 0: half of the processors

	// The run ends with whichever comes first. Both count after the warm-up.
	Duration time.Duration `json:"-"`        // > 0
	Requests int64         `json:"requests"` // of all conns together; 0: as many as the duration allows
	Warmup   time.Duration `json:"-"`        // sent, but left out of every figure
	Timeout  time.Duration `json:"-"`        // > 0; an operation unanswered for so long has failed, and its conn is opened anew

	Rate     float64 `json:"rate"`     // operations a second to send; 0 is a closed loop: each conn sends when it has been answered
	Arrivals string  `json:"arrivals"` // of an open loop: poisson or even

	Keys      int           `json:"keys"`       // how many different ones, >= 1
	KeyPrefix string        `json:"key_prefix"` // of every key
	KeySize   string        `json:"key_size"`   // bytes of a key: sizes, or etc
	KeyDist   string        `json:"key_dist"`   // uniform, zipf, hot-swap or sequential
	Zipf      float64       `json:"zipf"`       // the exponent of zipf and hot-swap, over 0
	Viral     float64       `json:"viral"`      // the share of one key in all picks, 0 to 1; the other picks follow KeyDist
	SwapKeys  int           `json:"swap_keys"`  // hot-swap: how many keys are exchanged
	SwapEvery time.Duration `json:"-"`          // hot-swap: how often
	ValueSize string        `json:"value_size"` // bytes of a value: sizes

	// The shares of the operations; the rest are gets.
	SetRatio    float64       `json:"set_ratio"`
	DeleteRatio float64       `json:"delete_ratio"`
	TouchRatio  float64       `json:"touch_ratio"`
	IncrRatio   float64       `json:"incr_ratio"`
	Multiget    int           `json:"multiget"` // keys in one get, >= 1
	TTL         time.Duration `json:"-"`        // of what is set and touched, in whole seconds; 0 is for ever
	Meta        bool          `json:"meta"`     // meta commands in place of the classic ones

	Seed    uint64 `json:"seed"`
	Prefill bool   `json:"prefill"` // set every key first

	// Backends are the servers behind the endpoint, host:port,host:port, whose own counters are read before and after.
	Backends string `json:"backends"`

	// The workloads trace and commands.
	File  string  `json:"file"`  // that is replayed; - is the standard input
	Speed float64 `json:"speed"` // 1 is as recorded, 2 twice as fast; 0: as fast as the endpoint answers

	// The workload keystone-tokens.
	Users        int     `json:"users"`         // beside the service users
	ServiceUsers string  `json:"service_users"` // their ids, with commas between
	ServiceShare float64 `json:"service_share"` // of the tokens
	TokenSize    string  `json:"token_size"`    // bytes of a token: sizes
	Validations  int     `json:"validations"`   // reads of tokens for each that is issued
	ListLimit    int     `json:"list_limit"`    // bytes of a user's list, from which on the oldest tokens leave it; 0: none
	Locks        bool    `json:"locks"`         // lists are changed under a lock

	Verify bool `json:"verify"` // check every value read; values get a stamp, and are at least as long as it
}

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
		Client: rawClient, Workload: mixed,
		Conns: 50, Pipeline: 1,
		Duration: 10 * time.Second, Warmup: time.Second, Timeout: 5 * time.Second,
		Arrivals: "poisson",
		Keys:     100_000, KeyPrefix: "mcb:", KeySize: "16", KeyDist: "uniform", Zipf: 0.99,
		SwapKeys: 200, SwapEvery: 10 * time.Second,
		ValueSize: "100", SetRatio: 0.1, Multiget: 1,
		Seed: 1, Prefill: true,
		Users: 1000, ServiceUsers: "ceilometer,neutron,nova", ServiceShare: 0.9, TokenSize: "10KiB", Validations: 4, Locks: true,
	}
}

// Suit gives the options their defaults for the workload, but for those that were given by hand: given is asked with the
// name of each as a flag, such as key-dist.
func (c *Config) Suit(given func(option string) bool) {
	or := func(option string, set func()) {
		if !given(option) {
			set()
		}
	}
	if given("zipf") {
		or("key-dist", func() { c.KeyDist = "zipf" })
	}
	if c.Requests > 0 {
		or("duration", func() { c.Duration = wholeDuration })
	}
	switch c.Workload {
	case "zipf", "hot-swap", "sequential":
		or("key-dist", func() { c.KeyDist = c.Workload })
	case "viral":
		or("viral", func() { c.Viral = 0.3 })
	case "big":
		or("value-size", func() { c.ValueSize = "big:0.05" })
	case "etc":
		or("key-dist", func() { c.KeyDist = "zipf" })
		or("key-size", func() { c.KeySize = "etc" })
		or("value-size", func() { c.ValueSize = "etc" })
		or("set-ratio", func() { c.SetRatio = 1.0 / 31 })
	case keystoneTokens:
		or("warmup", func() { c.Warmup = 0 })
	case traceReplay, commandReplay:
		or("warmup", func() { c.Warmup = 0 })
		or("duration", func() { c.Duration = wholeDuration })
	}
}

// wholeDuration bounds a run that is to end by its count of requests, or with its file.
const wholeDuration = 10 * time.Minute

// Bounds of the options, so that a slip of the finger takes neither all memory nor all night.
const (
	maxConns    = 100_000
	maxPipeline = 100_000
	maxInFlight = 1_000_000 // conns x pipeline
	maxKeys     = 1<<31 - 1
	maxMultiget = 100_000

	maxVerifyKeys = 10_000_000 // about 200 bytes each
	maxRate       = 100_000_000
	maxDuration   = 7 * 24 * time.Hour
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
	must(c.Client == rawClient || c.Client == gomemcacheClient, "client %q: want raw or gomemcache", c.Client)
	if c.Client == gomemcacheClient {
		must(c.Pipeline == 1, "pipeline %d: gomemcache sends one operation at a time on a conn", c.Pipeline)
		must(!c.Meta, "meta: gomemcache has classic commands alone")
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
	wrong = append(wrong, c.checkKeys()...)
	_, err := parseSizes(c.ValueSize, maxValueSize)
	if err != nil {
		wrong = append(wrong, fmt.Errorf("value-%w", err))
	}
	sum := 0.0
	for _, ratio := range []float64{c.SetRatio, c.DeleteRatio, c.TouchRatio, c.IncrRatio} {
		must(ratio >= 0 && ratio <= 1, "ratio %v: want 0 to 1", ratio)
		sum += ratio
	}
	must(!(sum > 1+1e-9), "the ratios of sets, deletes, touches and incrs sum up to %v: at most 1", sum)
	must(!c.Verify || c.Keys <= maxVerifyKeys, "keys %d: at most %d with verify, which remembers each", c.Keys, maxVerifyKeys)
	must(c.Multiget >= 1 && c.Multiget <= maxMultiget, "multiget %d: want 1 to %d keys", c.Multiget, maxMultiget)
	must(c.TTL >= 0 && c.TTL <= math.MaxInt32*time.Second, "ttl %v: want 0 (for ever) or more", c.TTL)
	must(c.TTL%time.Second == 0, "ttl %v: want whole seconds", c.TTL)
	wrong = append(wrong, c.checkWorkload()...)
	return errors.Join(wrong...)
}

// WorkloadNames are the workloads that Config.Workload may name. All but keystone-tokens, trace and commands are the workload
// mixed with other defaults.
func WorkloadNames() []string {
	return []string{mixed, "zipf", "viral", "hot-swap", "sequential", "etc", "big", keystoneTokens, traceReplay, commandReplay}
}

// isMixed says whether the workload is mixed, or is it under another name.
func (c *Config) isMixed() bool {
	return c.Workload != keystoneTokens && c.Workload != traceReplay && c.Workload != commandReplay
}

// The clients.
const (
	rawClient        = "raw"
	gomemcacheClient = "gomemcache"
)

// The workloads.
const (
	mixed          = "mixed"
	keystoneTokens = "keystone-tokens"
	traceReplay    = "trace"
	commandReplay  = "commands"
)

func (c *Config) checkWorkload() []error {
	var wrong []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	must(slices.Contains(WorkloadNames(), c.Workload), "workload %q: want %s", c.Workload, strings.Join(WorkloadNames(), ", "))
	if !c.isMixed() {
		must(!c.Verify, "verify: not with the workload %s", c.Workload)
		must(!c.Meta, "meta: not with the workload %s", c.Workload)
	}
	if c.Workload == traceReplay || c.Workload == commandReplay {
		must(c.File != "", "file: the workload %s replays one", c.Workload)
		must(c.Speed >= 0 && c.Speed <= 1e6, "speed %v: want 0 (as fast as the endpoint answers) to 1000000", c.Speed)
		must(c.Speed == 0 || c.Rate == 0, "speed and rate exclude each other")
		must(c.Workload == traceReplay || c.Client == rawClient, "client gomemcache: cannot send the workload commands")
	}
	if c.Workload == keystoneTokens {
		must(c.Pipeline == 1, "pipeline %d: a client of keystone-tokens sends one operation at a time", c.Pipeline)
		must(c.Users >= 0 && c.Users <= 10_000_000, "users %d: want 0 to 10000000", c.Users)
		must(!strings.ContainsFunc(c.ServiceUsers, func(r rune) bool { return r <= ' ' || r == 0x7f }) && len(c.ServiceUsers) > 0,
			"service-users %q: want ids with commas between", c.ServiceUsers)
		for _, id := range strings.Split(c.ServiceUsers, ",") {
			must(len(id) > 0 && len(id) <= 200, "service-users: id %q: want 1 to 200 bytes", id)
		}
		must(c.ServiceShare >= 0 && c.ServiceShare <= 1, "service-share %v: want 0 to 1", c.ServiceShare)
		must(c.Validations >= 0 && c.Validations <= 1_000_000, "validations %d: want 0 to 1000000", c.Validations)
		must(c.ListLimit == 0 || c.ListLimit >= entryLen, "list-limit %d: want 0 (none) or at least %d", c.ListLimit, entryLen)
		if _, err := parseSizes(c.TokenSize, maxValueSize); err != nil {
			wrong = append(wrong, fmt.Errorf("token-%w", err))
		}
	}
	return wrong
}

func (c *Config) checkKeys() []error {
	var wrong []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	must(c.Keys >= 1 && c.Keys <= maxKeys, "keys %d: want 1 to %d", c.Keys, maxKeys)
	// A number of ten digits follows it, and a letter that tells counters from values.
	must(len(c.KeyPrefix) <= 200 && !strings.ContainsFunc(c.KeyPrefix, func(r rune) bool { return r <= ' ' || r == 0x7f }),
		"key-prefix %q: want at most 200 bytes without blanks and control characters", c.KeyPrefix)
	if c.KeySize != "etc" {
		if _, err := parseSizes(c.KeySize, maxKeyLen); err != nil {
			wrong = append(wrong, fmt.Errorf("key-%w", err))
		}
	}
	switch c.KeyDist {
	case "uniform", "zipf", "sequential":
	case "hot-swap":
		must(c.SwapKeys >= 1 && c.SwapKeys <= c.Keys/2, "swap-keys %d: want 1 to half of the %d keys", c.SwapKeys, c.Keys)
		must(c.SwapEvery > 0, "swap-every %v: want over 0", c.SwapEvery)
	default:
		must(false, "key-dist %q: want uniform, zipf, hot-swap or sequential", c.KeyDist)
	}
	must(c.Zipf > 0 && c.Zipf <= 10, "zipf %v: want over 0, up to 10", c.Zipf)
	must(c.Viral >= 0 && c.Viral <= 1, "viral %v: want 0 to 1", c.Viral)
	return wrong
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
