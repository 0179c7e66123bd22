package rig

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Options are what the command lines of all programs that measure have in common.
type Options struct {
	Runs     int           // of each line, >= 1; 0 before Parse: the program has no such option
	Pairs    int           // A B, >= 1
	Duration time.Duration // of a run, after the warm-up
	Chosen   []string      // what is measured, by name; empty: all
	Out      string        // the page; empty: by the date
	Binary   string        // mcproxy
}

// Measured says whether what has that name is to be measured.
func (o *Options) Measured(name string) bool {
	return len(o.Chosen) == 0 || slices.Contains(o.Chosen, name)
}

// Select gives the loads that are to be measured.
func (o *Options) Select(all []Load) (chosen []Load) {
	for _, l := range all {
		if o.Measured(l.Name) {
			chosen = append(chosen, l)
		}
	}
	return chosen
}

// Full says whether everything is measured, in so many pairs of runs of so many seconds at least: figures to quote.
func (o *Options) Full(pairs, seconds int) bool {
	return len(o.Chosen) == 0 && o.Pairs >= pairs && o.Duration >= time.Duration(seconds)*time.Second
}

// A Choice is the option by which a user says what is measured.
type Choice struct {
	Option  string // "lines"
	Example string // "a,c"
	Names   []string
}

// Parse reads args into o, whose Runs, Pairs and Duration are the defaults, by flags, which may have more options. The error names each option that
// is out of its bounds. With a Choice that has no Names there is no option for it.
func (o *Options) Parse(flags *flag.FlagSet, args []string, c Choice) error {
	seconds, chosen := int(o.Duration/time.Second), ""
	repeats := o.Runs > 0
	if repeats {
		flags.IntVar(&o.Runs, "runs", o.Runs, "how often each line is measured")
	}
	flags.IntVar(&o.Pairs, "pairs", o.Pairs, "how many pairs A B of runs")
	flags.IntVar(&seconds, "seconds", seconds, "seconds of a run")
	flags.StringVar(&o.Out, "out", "", "the file to write")
	flags.StringVar(&o.Binary, "mcproxy", "bin/mcproxy", "the program to measure, which is the load generator too")
	if len(c.Names) > 0 {
		flags.StringVar(&chosen, c.Option, "", "only these, such as "+c.Example)
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Duration, o.Chosen = time.Duration(seconds)*time.Second, List(chosen)
	var wrong []error
	if repeats {
		wrong = append(wrong, InBounds("runs", o.Runs, 1000))
	}
	if flags.NArg() > 0 {
		wrong = append(wrong, fmt.Errorf("unexpected: %q", flags.Args()))
	}
	return errors.Join(append(wrong, InBounds("pairs", o.Pairs, 1000), InBounds("seconds", seconds, 3600), Among(c.Option, o.Chosen, c.Names))...)
}

// InBounds wants an option's value to be from 1 to most.
func InBounds(option string, value, most int) error {
	if value < 1 || value > most {
		return fmt.Errorf("--%s %d: want 1 to %d", option, value, most)
	}
	return nil
}

// Among wants all that an option lists to be known.
func Among(option string, chosen, known []string) error {
	var wrong []error
	for _, name := range chosen {
		if !slices.Contains(known, name) {
			wrong = append(wrong, fmt.Errorf("--%s %q: want some of %s", option, name, strings.Join(known, ",")))
		}
	}
	return errors.Join(wrong...)
}

// List divides at commas; nil of "".
func List(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// Begin prepares the machine for the program of that name, and its page, of which the title, the method and what tells its files apart are
// missing. programs are NewMachine's. Close the machine.
func (o *Options) Begin(ctx context.Context, name string, out io.Writer, programs ...string) (*Machine, *Page, error) {
	m, err := NewMachine(ctx, name, out, o.Binary, programs...)
	if err != nil {
		return nil, nil, err
	}
	rows, err := m.Describe(ctx)
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	rows = append(rows, []string{"memcached", m.VersionLine(ctx, "memcached", "-V")})
	if slices.Contains(programs, Nutcracker) {
		rows = append(rows, []string{Nutcracker, m.VersionLine(ctx, Nutcracker, "-V")})
	}
	return m, &Page{
		Target: name, Begun: time.Now(), Machine: rows, Head: []string{"", "line", "to reach", "figures (median, min..max)", "reached"},
	}, nil
}
