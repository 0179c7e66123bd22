package main

import (
	"errors"
	"fmt"
	"slices"

	"mcproxy/bench/rig"
)

var (
	errNoCounters = errors.New("the load generator did not tell what each memcached did")
	errNoneHot    = errors.New("no key is hot")
)

// A share is what one memcached did, of what all did.
type share struct {
	own, mean float64
}

func (s share) overMean() float64 { return s.own / s.mean }

// shareOf gives the part of the memcached at that address in what each does by figure.
func shareOf(b rig.Backends, address string, figure func(rig.Backend) int64) (share, error) {
	i := slices.IndexFunc(b.Each, func(one rig.Backend) bool { return one.Address == address })
	if i < 0 {
		return share{}, fmt.Errorf("no counters of %s", address)
	}
	var sum float64
	for _, one := range b.Each {
		sum += float64(figure(one))
	}
	if sum == 0 {
		return share{}, errors.New("the memcacheds did nothing")
	}
	return share{float64(figure(b.Each[i])), sum / float64(len(b.Each))}, nil
}

func operations(b rig.Backend) int64 { return b.Operations }

func allBytes(b rig.Backend) int64 { return b.BytesRead + b.BytesWritten }

// atMost judges the median.
func atMost(what string, limit float64, text func(float64) string, figures []float64) rig.Verdict {
	return rig.Verdict{What: what, Limit: limit, Text: text, Figure: rig.SpreadOf(figures)}
}

// each judges the worst run.
func each(v rig.Verdict) rig.Verdict {
	v.Each = true
	return v
}

// tells is a row of figures that are not judged.
func tells(what string, text func(float64) string, figures []float64) []string {
	return []string{what, rig.SpreadOf(figures).Format(text)}
}

// beside is a table of figures that are not judged.
func beside(rows ...[]string) rig.Table {
	return rig.Table{Title: "beside: median (min..max)", Head: []string{"figure", "measured"}, Rows: rows}
}

func percent(v float64) string { return rig.Decimals(1, " %")(100 * v) }

func whole(v float64) string { return rig.Decimals(0, "")(v) }
