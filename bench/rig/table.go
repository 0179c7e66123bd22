package rig

import (
	"fmt"
	"strings"
)

// A Table is one of Markdown.
type Table struct {
	Title string // before it; empty for none
	Head  []string
	Rows  [][]string
}

// numeric reports whether a column has figures alone, which stand on the right.
func (t Table) numeric(column int) bool {
	for _, row := range t.Rows {
		if cell := row[column]; cell == "" || cell[0] < '0' || cell[0] > '9' {
			return false
		}
	}
	return true
}

// Markdown writes the table, with an empty line after it.
func (t Table) Markdown(b *strings.Builder) {
	if t.Title != "" {
		fmt.Fprintf(b, "%s\n\n", t.Title)
	}
	line := func(cells []string) {
		b.WriteByte('|')
		for _, cell := range cells {
			fmt.Fprintf(b, " %s |", strings.ReplaceAll(cell, "|", `\|`))
		}
		b.WriteByte('\n')
	}
	line(t.Head)
	rule := make([]string, len(t.Head))
	for i := range rule {
		rule[i] = "---"
		if t.numeric(i) {
			rule[i] = "---:"
		}
	}
	line(rule)
	for _, row := range t.Rows {
		line(row)
	}
	b.WriteByte('\n')
}
