package backend

import "strings"

// A Store is where journals are kept besides in memory: a set of strings that outlives the process. Put and Drop do not wait for it.
type Store interface {
	Put(member string)
	Drop(member string)
}

// store is a journal's part of the Store; the zero value keeps nothing.
type store struct {
	to     Store
	server string
}

// note says what a member of a Store means. It stands between the server and the key, and in no server's name.
type note string

const (
	owedKey    note = "\x00" // the journal has the key
	overflowed note = "\x01" // it had no room for a key; there is none
	strayKey   note = "\x02" // the key must be deleted there if the process ends now
)

func (s *store) put(m note, key string) {
	if s.to != nil {
		s.to.Put(s.server + string(m) + key)
	}
}

func (s *store) drop(m note, key string) {
	if s.to != nil {
		s.to.Drop(s.server + string(m) + key)
	}
}

// KeepIn has the ledger keep its journals in a Store from now on, which has members from a process before. Call it while no Backend is
// used. Whatever a key was noted for, it is deleted; the write may still be in a conn of that process, so it gets two deletes.
func (l *Ledger) KeepIn(to Store, members []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store = to
	for server, e := range l.entries {
		e.journal.keepIn(store{to, server})
	}
	for _, m := range members {
		i := strings.IndexAny(m, string(owedKey+overflowed+strayKey))
		if i < 0 {
			to.Drop(m) // of a later version, or nobody's
			continue
		}
		j, key := l.entry(m[:i]).journal, m[i+1:]
		switch note(m[i : i+1]) {
		case overflowed:
			j.lose()
		case strayKey:
			j.restore([][]byte{[]byte(key)})
			to.Drop(m)
		default:
			j.restore([][]byte{[]byte(key)})
		}
	}
}

// keepIn has a journal kept in another store. Call it while nobody uses the journal.
func (j *Journal) keepIn(to store) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.store = to
	for k := range j.debts {
		to.put(owedKey, k)
	}
	if j.overflowed {
		to.put(overflowed, "")
	}
}

// Stray notes that a key is written here which belongs elsewhere, so that it is deleted if the process ends before it says so itself.
func (b *Backend) Stray(key string) { b.journal.store.put(strayKey, key) }

// Unstray takes that back.
func (b *Backend) Unstray(key string) { b.journal.store.drop(strayKey, key) }
