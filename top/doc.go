// Package top shows a running proxy on a terminal: its pools, backends, hot and oversized keys, clients and events, as they are now.
//
//	Fetch (each second) ─► Data ─► table of the tab ─► sorted, filtered ─► lines ─► the terminal
//
// Model is the whole of it, without a terminal: it takes keys and answers, and gives lines. WriteOnce writes the same tables for scripts. All
// texts come from whoever answers, and stand there without what could move a cursor.
package top
