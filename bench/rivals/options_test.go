package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcproxy/bench/rig"
)

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		args string
		want options
		full bool
	}{
		{"", options{Options: rig.Options{Pairs: 10, Duration: 5 * time.Second, Binary: "bin/mcproxy"}, against: startable()}, true},
		{
			"--pairs 3 --seconds 2 --loads W1,W3 --against haproxy --out x.md --mcproxy m",
			options{Options: rig.Options{Pairs: 3, Duration: 2 * time.Second, Chosen: []string{"W1", "W3"}, Out: "x.md", Binary: "m"}, against: []string{haproxy}},
			false,
		},
		{
			"--against none --rival built-in=127.0.0.1:11311,42 --rival b=[::1]:1,7",
			options{
				Options: rig.Options{Pairs: 10, Duration: 5 * time.Second, Binary: "bin/mcproxy"},
				rivals:  []rig.Proxy{{Name: "built-in", Address: "127.0.0.1:11311", PID: 42}, {Name: "b", Address: "[::1]:1", PID: 7}},
			},
			false,
		},
		{"--pairs 20", options{Options: rig.Options{Pairs: 20, Duration: 5 * time.Second, Binary: "bin/mcproxy"}, against: startable()}, true},
	} {
		var out bytes.Buffer
		got, err := parseOptions(strings.Fields(test.args), &out)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		if diff := cmp.Diff(test.want, *got, cmp.AllowUnexported(options{}, rig.Proxy{})); diff != "" || got.full() != test.full {
			t.Errorf("%q (full %v) (-want +got):\n%s", test.args, got.full(), diff)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for args, want := range map[string]string{
		"--pairs 0":                     "--pairs 0",
		"--seconds 0":                   "--seconds 0",
		"--loads W9":                    `"W9"`,
		"--against squid":               `"squid"`,
		"--rival x":                     "name=host:port,pid",
		"--rival x=127.0.0.1:1":         "name=host:port,pid",
		"--rival x=127.0.0.1:1,zero":    "name=host:port,pid",
		"--rival x=127.0.0.1:1,-1":      "name=host:port,pid",
		"--rival =127.0.0.1:1,1":        "name=host:port,pid",
		"--rival x=127.0.0.1,1":         "missing port",
		"what":                          `"what"`,
		"--no-such-flag":                "no-such-flag",
		"--pairs 0 --seconds 0 nothing": "--seconds 0",
	} {
		var out bytes.Buffer
		if got, err := parseOptions(strings.Fields(args), &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q = %+v, %v, want an error with %q", args, got, err, want)
		}
	}
}
