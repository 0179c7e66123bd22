// Package webpage writes self-contained pages of tables, bars and plots: what the commands' --html gives.
//
// A page has its style sheet and its drawings within, and nothing that a browser would fetch. Every text that it is given is escaped.
package webpage
