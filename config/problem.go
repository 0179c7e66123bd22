package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong, or that should be thought over, in a file.
type Problem struct {
	File string // as it was given to Load
	Line int    // from 1
	Key  string // such as "pools.main.timeout"; "" if no key has to do with it
	Text string // what is wrong, and what is allowed
}

// String gives "proxy.toml:12: pools.main.timeout: …", as compilers do.
func (p Problem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Key, p.Text)
}

// Problems is all that is wrong in a file, sorted by line. It is never empty.
type Problems []Problem

// Error gives a line for each problem, without a line end after the last.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// sortByLine keeps the order of problems on one line.
func sortByLine(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.Line - b.Line })
}
