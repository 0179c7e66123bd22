package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

// What a full run is; a smaller one is for a quick look.
const (
	fullPairs   = 10
	fullSeconds = 5
)

// options are what the command line says, checked.
type options struct {
	pairs    int           // how often A B, >= 1
	duration time.Duration // measured in each run, after the warm-up
	loads    []string      // W1 …; empty: all
	against  []string      // the rivals to start
	rivals   []rig.Proxy   // a user's own
	out      string        // the page; empty: by the date
	binary   string        // mcproxy
}

// full reports whether all that the comparison has is measured, as often as it takes for figures to quote.
func (o *options) full() bool {
	return o.pairs >= fullPairs && o.duration >= fullSeconds*time.Second && len(o.loads) == 0 && len(o.against) == len(startable())
}

func (o *options) chosen(name string) bool {
	return len(o.loads) == 0 || slices.Contains(o.loads, name)
}

// startable are the rivals that can be started here.
func startable() []string { return []string{nutcracker, nutcrackerBig, haproxy} }

func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{}
	var seconds int
	var chosen, against string
	flags := flag.NewFlagSet("bench-rivals", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "bench-rivals starts memcached, mcproxy and other proxies on loopback, measures them in alternating pairs, and writes\n"+
			"bench/results/<date>.md (<date>-quick.md unless everything was measured, as often as by default).")
		flags.PrintDefaults()
	}
	flags.IntVar(&o.pairs, "pairs", fullPairs, "how many pairs A B of runs, for each rival and load")
	flags.IntVar(&seconds, "seconds", fullSeconds, "seconds measured in each run")
	flags.StringVar(&chosen, "loads", "", "only these, such as W1,W3")
	flags.StringVar(&against, "against", strings.Join(startable(), ","), "the rivals to start, with commas between; none for your own alone")
	flags.Func("rival", "`name=host:port,pid` of a rival that runs already, with memcacheds of its own; may be repeated.\n"+
		"It is pinned to the core of the proxies meanwhile", func(text string) error {
		p, err := parseRival(text)
		o.rivals = append(o.rivals, p)
		return err
	})
	flags.StringVar(&o.out, "out", "", "the file to write")
	flags.StringVar(&o.binary, "mcproxy", "bin/mcproxy", "the program to measure, which is the load generator too")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.duration = time.Duration(seconds) * time.Second
	o.loads, o.against = list(chosen), list(against)
	if against == "none" {
		o.against = nil
	}
	return o, o.check(flags.Args())
}

func (o *options) check(rest []string) error {
	var wrong []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	must(len(rest) == 0, "unexpected: %q", rest)
	must(o.pairs >= 1 && o.pairs <= 1000, "--pairs %d: want 1 to 1000", o.pairs)
	must(o.duration >= time.Second && o.duration <= time.Hour, "--seconds %v: want 1 to 3600", o.duration.Seconds())
	var names []string
	for _, l := range loads() {
		names = append(names, l.name)
	}
	for _, name := range o.loads {
		must(slices.Contains(names, name), "--loads %q: want some of %s", name, strings.Join(names, ","))
	}
	for _, name := range o.against {
		must(slices.Contains(startable(), name), "--against %q: want some of %s, or none", name, strings.Join(startable(), ","))
	}
	return errors.Join(wrong...)
}

// list divides at commas; nil of "".
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// parseRival reads name=host:port,pid.
func parseRival(text string) (rig.Proxy, error) {
	name, rest, named := strings.Cut(text, "=")
	address, number, numbered := strings.Cut(rest, ",")
	pid, err := strconv.Atoi(number)
	if !named || !numbered || name == "" || err != nil || pid <= 0 {
		return rig.Proxy{}, errors.New("want name=host:port,pid")
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return rig.Proxy{}, err
	}
	return rig.Proxy{Name: name, Address: address, PID: pid}, nil
}
