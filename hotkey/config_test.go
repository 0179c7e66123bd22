package hotkey_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcproxy/hotkey"
)

func TestConfig(t *testing.T) {
	want := hotkey.Config{
		Entries: 4096, OpBytes: 1280, SampleCost: 16, Window: 250 * ms, Tau: 0.05, MinRate: 500, Cool: 5 * second,
		Top: 100, MaxHot: 1024,
	}
	if diff := cmp.Diff(want, hotkey.Config{}.WithDefaults()); diff != "" {
		t.Errorf("defaults, - want, + got:\n%s", diff)
	}
	for _, c := range []struct {
		cfg   hotkey.Config
		field string // at fault, "" if none
	}{
		{hotkey.Config{}, ""},
		{hotkey.Config{Entries: hotkey.MinEntries, OpBytes: 64, SampleCost: 1, Window: 10 * ms, Tau: 0.001, MinRate: 1, Cool: 1}, ""},
		{hotkey.Config{Entries: hotkey.MaxEntries, OpBytes: 1 << 20, SampleCost: 1024, Window: 10 * second, Tau: 1}, ""},
		{hotkey.Config{MinRate: 1e9, Cool: 3600 * second, Top: 1000, MaxHot: hotkey.MaxEntries}, ""},
		{hotkey.Config{Top: 1, MaxHot: 1, Ignore: []string{"a", strings.Repeat("b", hotkey.MaxKey)}}, ""},
		{hotkey.Config{Entries: hotkey.MinEntries - 1}, "Entries"},
		{hotkey.Config{Entries: hotkey.MaxEntries + 1}, "Entries"},
		{hotkey.Config{OpBytes: 63}, "OpBytes"},
		{hotkey.Config{OpBytes: 1<<20 + 1}, "OpBytes"},
		{hotkey.Config{SampleCost: -1}, "SampleCost"},
		{hotkey.Config{SampleCost: 1025}, "SampleCost"},
		{hotkey.Config{Window: 10*ms - 1}, "Window"},
		{hotkey.Config{Window: 10*second + 1}, "Window"},
		{hotkey.Config{Tau: -0.05}, "Tau"},
		{hotkey.Config{Tau: 1.01}, "Tau"},
		{hotkey.Config{Tau: math.NaN()}, "Tau"},
		{hotkey.Config{MinRate: 0.5}, "MinRate"},
		{hotkey.Config{MinRate: math.Inf(1)}, "MinRate"},
		{hotkey.Config{Cool: -1}, "Cool"},
		{hotkey.Config{Cool: 3600*second + 1}, "Cool"},
		{hotkey.Config{Top: -1}, "Top"},
		{hotkey.Config{Top: 1001}, "Top"},
		{hotkey.Config{MaxHot: -1}, "MaxHot"},
		{hotkey.Config{Ignore: []string{"a", ""}}, "Ignore"},
		{hotkey.Config{Ignore: []string{strings.Repeat("b", hotkey.MaxKey+1)}}, "Ignore"},
	} {
		err := c.cfg.Validate()
		var got *hotkey.ConfigError
		switch {
		case c.field == "":
			if err != nil {
				t.Errorf("%+v: %v, want no error", c.cfg, err)
			}
		case !errors.As(err, &got) || got.Field != c.field || !strings.HasPrefix(err.Error(), "hotkey: "+c.field+": "):
			t.Errorf("%+v: %v, want an error of %s", c.cfg, err, c.field)
		}
	}
}
