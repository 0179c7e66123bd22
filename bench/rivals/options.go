package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
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

// options are what the command line says, checked. The pairs are of each rival and load.
type options struct {
	rig.Options
	against []string    // the rivals to start
	rivals  []rig.Proxy // a user's own
}

// full reports whether all that the comparison has is measured, as often as it takes for figures to quote.
func (o *options) full() bool {
	return o.Full(fullPairs, fullSeconds) && len(o.against) == len(startable())
}

// startable are the rivals that can be started here.
func startable() []string { return []string{nutcracker, nutcrackerBig, haproxy} }

func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{Options: rig.Options{Pairs: fullPairs, Duration: fullSeconds * time.Second}}
	var against string
	flags := flag.NewFlagSet("bench-rivals", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "bench-rivals starts memcached, mcproxy and other proxies on loopback, measures them in alternating pairs, and writes\n"+
			"bench/results/<date>.md (<date>-quick.md unless everything was measured, as often as by default).")
		flags.PrintDefaults()
	}
	flags.StringVar(&against, "against", strings.Join(startable(), ","), "the rivals to start, with commas between; none for your own alone")
	flags.Func("rival", "`name=host:port,pid` of a rival that runs already, with memcacheds of its own; may be repeated.\n"+
		"It is pinned to the core of the proxies meanwhile", func(text string) error {
		p, err := parseRival(text)
		o.rivals = append(o.rivals, p)
		return err
	})
	var names []string
	for _, l := range loads() {
		names = append(names, l.name)
	}
	if err := o.Parse(flags, args, rig.Choice{Option: "loads", Example: "W1,W3", Names: names}); err != nil {
		return nil, err
	}
	if against == "none" {
		return o, nil
	}
	o.against = rig.List(against)
	return o, rig.Among("against", o.against, startable())
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
