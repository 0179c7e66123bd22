package rig

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parse(args string, c Choice) (Options, error) {
	o := Options{Pairs: 10, Duration: 5 * time.Second}
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	err := o.Parse(flags, strings.Fields(args), c)
	return o, err
}

func TestOptions(t *testing.T) {
	lines := Choice{"lines", "a,c", []string{"a", "b", "c"}}
	for args, want := range map[string]Options{
		"": {Pairs: 10, Duration: 5 * time.Second, Binary: "bin/mcproxy"},
		"--pairs 3 --seconds 2 --lines a,c --out x.md --mcproxy m": {Pairs: 3, Duration: 2 * time.Second, Chosen: []string{"a", "c"}, Out: "x.md", Binary: "m"},
	} {
		got, err := parse(args, lines)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", args, err, diff)
		}
		if full := args == ""; got.Full(10, 5) != full || got.Measured("b") != full || !got.Measured("a") {
			t.Errorf("%q: Full %v, Measured(b) %v, Measured(a) %v", args, got.Full(10, 5), got.Measured("b"), got.Measured("a"))
		}
	}
	for args, want := range map[string]string{
		"--pairs 0": "--pairs 0: want 1 to 1000", "--seconds 3601": "--seconds 3601: want 1 to 3600", "--lines d": `--lines "d": want some of a,b,c`, "what": `unexpected: ["what"]`,
		"--pairs 0 --seconds 0": "--seconds 0", "--no-such": "no-such",
	} {
		if got, err := parse(args, lines); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q = %+v, %v, want an error with %q", args, got, err, want)
		}
	}
	if _, err := parse("--lines a", Choice{}); err == nil {
		t.Error("without names there is an option to choose")
	}
}
