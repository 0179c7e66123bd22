package hotkey

import (
	"cmp"
	"fmt"
)

// Config says how the hot keys of one pool are found. Zero fields take the defaults named here. Every worker of a pool has
// the same.
type Config struct {
	Entries    int      // keys that a summary tracks, MinEntries..MaxEntries; 4,096, which takes 1 MiB a worker
	OpBytes    int      // bytes that cost as much as a request: a backend's bytes/s over its requests/s, 64..1 Mi; 1,280
	SampleCost int      // mean cost between two samples, in requests without bytes, 1..1,024; 16
	Window     int64    // nanoseconds of a window, 10 ms..10 s; 250 ms
	Tau        float64  // share of the mean backend's cost from which a key is hot, 0.001..1; 0.05
	MinRate    float64  // cost a second below which no key is hot, in requests without bytes, 1..1e9; 500
	Cool       int64    // nanoseconds that a hot key must stay below a third of Tau to be hot no more, 1 ns..1 h; 5 s
	Top        int      // keys in the list that people see, 1..1,000; 100
	MaxHot     int      // keys that may be hot at once, 1..MaxEntries; 1,024
	Ignore     []string // prefixes of keys that are never hot, 1..MaxKey bytes each; none
}

// Rules that no pool needs to change.
const (
	suddenFactor  = 4    // a key of so many Tau is hot after one window
	coolDivisor   = 3    // a hot key stays hot down to Tau over this
	readsPerWrite = 20   // read-hot: at least so many reads a write
	byteHotSize   = 4096 // byte-hot: at least so many bytes a request
	maxOpBytes    = 1 << 20
	second        = 1_000_000_000
)

// A ConfigError says which field of a Config is wrong.
type ConfigError struct {
	Field  string // of Config
	Reason string // what it is, and what is allowed
}

func (e *ConfigError) Error() string { return "hotkey: " + e.Field + ": " + e.Reason }

// WithDefaults gives c with its zero fields set.
func (c Config) WithDefaults() Config {
	c.Entries = cmp.Or(c.Entries, 4096)
	c.OpBytes = cmp.Or(c.OpBytes, 1280)
	c.SampleCost = cmp.Or(c.SampleCost, 16)
	c.Window = cmp.Or(c.Window, second/4)
	c.Tau = cmp.Or(c.Tau, 0.05)
	c.MinRate = cmp.Or(c.MinRate, 500)
	c.Cool = cmp.Or(c.Cool, 5*second)
	c.Top = cmp.Or(c.Top, 100)
	c.MaxHot = cmp.Or(c.MaxHot, 1024)
	return c
}

// Validate checks c with its defaults set. An error is always a *ConfigError.
func (c Config) Validate() error {
	c = c.WithDefaults()
	for _, f := range []struct {
		name            string
		value, min, max float64
	}{
		{"Entries", float64(c.Entries), MinEntries, MaxEntries},
		{"OpBytes", float64(c.OpBytes), 64, maxOpBytes},
		{"SampleCost", float64(c.SampleCost), 1, 1024},
		{"Window", float64(c.Window), second / 100, 10 * second},
		{"Tau", c.Tau, 0.001, 1},
		{"MinRate", c.MinRate, 1, 1e9},
		{"Cool", float64(c.Cool), 1, 3600 * second},
		{"Top", float64(c.Top), 1, 1000},
		{"MaxHot", float64(c.MaxHot), 1, MaxEntries},
	} {
		if !(f.value >= f.min && f.value <= f.max) { // so that NaN fails
			return &ConfigError{f.name, fmt.Sprintf("%v; %v..%v is allowed", f.value, f.min, f.max)}
		}
	}
	for _, prefix := range c.Ignore {
		if len(prefix) == 0 || len(prefix) > MaxKey {
			return &ConfigError{"Ignore", fmt.Sprintf("prefix %q has %d bytes; 1..%d are allowed", prefix, len(prefix), MaxKey)}
		}
	}
	return nil
}
