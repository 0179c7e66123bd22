package placement

import "sync"

// strays are the keys of one backend that were written to stand-ins while it was out, by the node where they lie. There is one for each
// key and node, and no more in all than the backend's journal holds: what is not in it was not written.
type strays struct {
	limit int    // immutable
	t     *Table // immutable

	mu sync.Mutex
	n  int                         // guarded by mu
	at map[int]map[string]struct{} // guarded by mu
}

// add is false if there is no room for another.
func (s *strays) add(node int, key []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.at[node][string(key)]; known {
		return true
	}
	if s.n >= s.limit {
		return false
	}
	if s.at == nil {
		s.at = make(map[int]map[string]struct{})
	}
	if s.at[node] == nil {
		s.at[node] = make(map[string]struct{})
	}
	k := string(key)
	s.at[node][k] = struct{}{}
	s.n++
	s.t.Backend(node).Stray(k)
	return true
}

// take gives all of them, and forgets them.
func (s *strays) take() map[int]map[string]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at
	s.at, s.n = nil, 0
	return at
}

func (s *strays) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}
