package proxy

import (
	"cmp"
	"slices"

	"mcproxy/pool"
)

// maxCallers is how many clients people are told of, for each key.
const maxCallers = 4

// Client is pool.Caller's: the address that the session's client comes from.
func (s *session) Client() string { return s.peer }

// callers puts together what the workers saw.
func callers(called map[uint64][]pool.KeyCaller) map[uint64][]Caller {
	all := make(map[uint64][]Caller, len(called))
	for hash, list := range called {
		total := 0.0
		for _, c := range list {
			total += c.Requests
		}
		slices.SortFunc(list, func(a, b pool.KeyCaller) int {
			return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Client, b.Client))
		})
		for _, c := range list[:min(len(list), maxCallers)] {
			all[hash] = append(all[hash], Caller{c.Client, c.Requests / total})
		}
	}
	return all
}
