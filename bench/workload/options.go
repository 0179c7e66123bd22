package workload

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Options say what a load consists of. Default gives some that run. The JSON names are part of the report's form.
type Options struct {
	Workload string `json:"workload"` // one of Names
	Conns    int    `json:"conns"`    // how many streams, >= 1
	Seed     uint64 `json:"seed"`

	Keys      int           `json:"keys"`       // how many different ones, >= 1
	KeyFile   string        `json:"key_file"`   // its lines are the keys, and Keys is how many it has; "": keys are made up
	KeyPrefix string        `json:"key_prefix"` // of every key that is made up
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

	Prefill bool `json:"prefill"` // set every key first
	Verify  bool `json:"verify"`  // check every value read; values get a stamp, and are at least as long as it

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
}

// The workloads that are not mixed, and mixed itself.
const (
	Mixed          = "mixed"
	KeystoneTokens = "keystone-tokens"
	Trace          = "trace"
	Commands       = "commands"
)

// Names are the workloads that there are. All but keystone-tokens, trace and commands are the workload mixed with other
// defaults.
func Names() []string {
	return []string{Mixed, "zipf", "viral", "hot-swap", "sequential", "etc", "big", KeystoneTokens, Trace, Commands}
}

// Default is what the options are when nobody says otherwise.
func Default() Options {
	return Options{
		Workload: Mixed, Conns: 50, Seed: 1,
		Keys: 100_000, KeyPrefix: "mcb:", KeySize: "16", KeyDist: "uniform", Zipf: 0.99,
		SwapKeys: 200, SwapEvery: 10 * time.Second,
		ValueSize: "100", SetRatio: 0.1, Multiget: 1, Prefill: true,
		Users: 1000, ServiceUsers: "ceilometer,neutron,nova", ServiceShare: 0.9, TokenSize: "10KiB", Validations: 4, Locks: true,
	}
}

// IsMixed says whether the workload is mixed, or is it under another name.
func (o *Options) IsMixed() bool {
	return o.Workload != KeystoneTokens && !o.IsReplay()
}

// IsReplay says whether the workload sends what stands in a file.
func (o *Options) IsReplay() bool { return o.Workload == Trace || o.Workload == Commands }

// Suit gives the options their defaults for the workload, but for those that were given by hand: given is asked with the
// name of each as a flag, such as key-dist.
func (o *Options) Suit(given func(option string) bool) {
	or := func(option string, set func()) {
		if !given(option) {
			set()
		}
	}
	if given("zipf") {
		or("key-dist", func() { o.KeyDist = "zipf" })
	}
	switch o.Workload {
	case "zipf", "hot-swap", "sequential":
		or("key-dist", func() { o.KeyDist = o.Workload })
	case "viral":
		or("viral", func() { o.Viral = 0.3 })
	case "big":
		or("value-size", func() { o.ValueSize = "big:0.05" })
	case "etc":
		or("key-dist", func() { o.KeyDist = "zipf" })
		or("key-size", func() { o.KeySize = "etc" })
		or("value-size", func() { o.ValueSize = "etc" })
		or("set-ratio", func() { o.SetRatio = 1.0 / 31 })
	}
}

// Bounds of the options, so that a slip of the finger does not take all memory.
const (
	maxKeys     = 1<<31 - 1
	maxMultiget = 100_000
	maxUsers    = 10_000_000

	maxVerifyKeys = 10_000_000 // about 200 bytes each
)

// A checklist gathers what is wrong.
type checklist []error

func (c *checklist) must(ok bool, format string, args ...any) {
	if !ok {
		*c = append(*c, fmt.Errorf(format, args...))
	}
}

// Check says everything that is wrong with the options, one line each; nil when they can run.
func (o *Options) Check() error {
	var c checklist
	c.must(slices.Contains(Names(), o.Workload), "workload %q: want %s", o.Workload, strings.Join(Names(), ", "))
	o.checkKeys(&c)
	if _, err := parseSizes(o.ValueSize, maxValueSize); err != nil {
		c = append(c, fmt.Errorf("value-%w", err))
	}
	sum := 0.0
	for _, ratio := range []float64{o.SetRatio, o.DeleteRatio, o.TouchRatio, o.IncrRatio} {
		c.must(ratio >= 0 && ratio <= 1, "ratio %v: want 0 to 1", ratio)
		sum += ratio
	}
	c.must(!(sum > 1+1e-9), "the ratios of sets, deletes, touches and incrs sum up to %v: at most 1", sum)
	c.must(o.Multiget >= 1 && o.Multiget <= maxMultiget, "multiget %d: want 1 to %d keys", o.Multiget, maxMultiget)
	c.must(o.TTL >= 0 && o.TTL <= math.MaxInt32*time.Second, "ttl %v: want 0 (for ever) or more", o.TTL)
	c.must(o.TTL%time.Second == 0, "ttl %v: want whole seconds", o.TTL)
	c.must(!o.Verify || o.Keys <= maxVerifyKeys, "keys %d: at most %d with verify, which remembers each", o.Keys, maxVerifyKeys)
	if !o.IsMixed() {
		c.must(!o.Verify, "verify: not with the workload %s", o.Workload)
		c.must(!o.Meta, "meta: not with the workload %s", o.Workload)
		c.must(o.KeyFile == "", "key-file: not with the workload %s", o.Workload)
	}
	if o.IsReplay() {
		c.must(o.File != "", "file: the workload %s replays one", o.Workload)
		c.must(o.Speed >= 0 && o.Speed <= 1e6, "speed %v: want 0 (as fast as the endpoint answers) to 1000000", o.Speed)
	}
	if o.Workload == KeystoneTokens {
		o.checkKeystone(&c)
	}
	return errors.Join(c...)
}

func (o *Options) checkKeys(c *checklist) {
	c.must(o.Keys >= 1 && o.Keys <= maxKeys, "keys %d: want 1 to %d", o.Keys, maxKeys)
	// A number of ten digits follows it, and a letter that tells counters from values.
	c.must(len(o.KeyPrefix) <= 200 && !strings.ContainsFunc(o.KeyPrefix, unprintable),
		"key-prefix %q: want at most 200 bytes without blanks and control characters", o.KeyPrefix)
	if o.KeySize != "etc" {
		if _, err := parseSizes(o.KeySize, maxKeyLen); err != nil {
			*c = append(*c, fmt.Errorf("key-%w", err))
		}
	}
	switch o.KeyDist {
	case "uniform", "zipf", "sequential":
	case "hot-swap":
		c.must(o.SwapKeys >= 1 && o.SwapKeys <= o.Keys/2, "swap-keys %d: want 1 to half of the %d keys", o.SwapKeys, o.Keys)
		c.must(o.SwapEvery > 0, "swap-every %v: want over 0", o.SwapEvery)
	default:
		c.must(false, "key-dist %q: want uniform, zipf, hot-swap or sequential", o.KeyDist)
	}
	c.must(o.Zipf > 0 && o.Zipf <= 10, "zipf %v: want over 0, up to 10", o.Zipf)
	c.must(o.Viral >= 0 && o.Viral <= 1, "viral %v: want 0 to 1", o.Viral)
}

// unprintable says whether a key cannot hold r, or not in plain sight.
func unprintable(r rune) bool { return r <= ' ' || r == 0x7f }

func (o *Options) checkKeystone(c *checklist) {
	c.must(o.Users >= 0 && o.Users <= maxUsers, "users %d: want 0 to %d", o.Users, maxUsers)
	for id := range strings.SplitSeq(o.ServiceUsers, ",") {
		c.must(len(id) >= 1 && len(id) <= 200 && !strings.ContainsFunc(id, unprintable),
			"service-users: id %q: want 1 to 200 bytes without blanks and control characters", id)
	}
	c.must(o.ServiceShare >= 0 && o.ServiceShare <= 1, "service-share %v: want 0 to 1", o.ServiceShare)
	c.must(o.Validations >= 0 && o.Validations <= 1_000_000, "validations %d: want 0 to 1000000", o.Validations)
	c.must(o.ListLimit == 0 || o.ListLimit >= entryLen, "list-limit %d: want 0 (none) or at least %d", o.ListLimit, entryLen)
	if _, err := parseSizes(o.TokenSize, maxValueSize); err != nil {
		*c = append(*c, fmt.Errorf("token-%w", err))
	}
}
