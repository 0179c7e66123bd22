package split_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"

	"mcproxy/protocol"
	"mcproxy/split"
)

// record is an item as a memcached keeps it.
type record struct {
	flags  uint32
	value  []byte
	unique uint64
}

// pool stands for the backends, and for what package pool does with them: calls, in flight side by side there, one after the
// other here. A backend that does not answer is one whose items are gone.
type pool struct {
	backends []map[string]record
	home     map[string]record // the backend that the ring gives for the client's key
	uniques  uint64
}

const (
	threshold = 1000
	maxValue  = 1 << 20
)

// set is a client's set.
func (p *pool) set(key string, flags uint32, value []byte) error {
	stored := value
	switch split.StoredAs(flags, len(value), threshold) {
	case split.Wrapped:
		flags, stored = split.ReservedFlags, split.AppendWrapped(nil, value)
	case split.Split:
		g, err := split.Plan(len(value), split.Options{Chunk: 600, MaxValue: maxValue, Copies: 2, Servers: len(p.backends)})
		if err != nil {
			return err // ErrTooLarge: memcached's own refusal, and the old value goes
		}
		var gen split.Generation
		_, _ = rand.Read(gen[:]) // never fails
		m := split.NewManifest(gen, g, value, flags)
		for index := range m.Count { // first the chunks, and only when all stand,
			from, to := m.Bounds(index)
			for c := range m.Copies {
				key := m.AppendChunkKey(nil, index, c)
				p.backends[m.Server(index, c)][string(key)] = record{flags: m.Mark(index), value: bytes.Clone(value[from:to])}
			}
		}
		flags, stored = split.ReservedFlags, m.Append(nil) // the manifest
	}
	old := p.home[key]
	p.uniques++
	p.home[key] = record{flags, stored, p.uniques}
	p.forget(old) // and only now what it replaced
	return nil
}

// forget deletes the chunks of an item that stands no more.
func (p *pool) forget(old record) {
	stored, err := split.Open(old.flags, old.value, maxValue)
	if err != nil || stored.Kind != split.Split {
		return
	}
	m := &stored.Manifest
	for index := range m.Count {
		for c := range m.Copies {
			if server := m.Server(index, c); server < len(p.backends) {
				delete(p.backends[server], string(m.AppendChunkKey(nil, index, c)))
			}
		}
	}
}

// gets is a client's gets of one key.
func (p *pool) gets(key string) string {
	r, ok := p.home[key]
	if !ok {
		return protocol.End
	}
	stored, err := split.Open(r.flags, r.value, maxValue)
	if err != nil {
		return protocol.End // and a counter
	}
	it := split.Item{Flags: stored.Flags, Unique: r.unique, Value: stored.Value}
	if stored.Kind == split.Split {
		if it.Value, err = p.join(stored.Manifest); err != nil {
			return protocol.End // after another look at the manifest, which may have changed meanwhile
		}
	}
	return string(it.AppendValue(nil, protocol.Gets, []byte(key))) + protocol.End
}

// join reads the chunks of a value, each from the first copy that is there.
func (p *pool) join(m split.Manifest) ([]byte, error) {
	var a split.Assembler
	if err := a.Start(m, make([]byte, m.Length)); err != nil { // m.Length <= maxValue, from the budget
		return nil, err
	}
	for c := range m.Copies {
		for index := range a.Missing() {
			server := m.Server(index, c)
			if server >= len(p.backends) {
				continue
			}
			chunk := p.backends[server][string(m.AppendChunkKey(nil, index, c))]
			if err := a.Add(index, chunk.flags, chunk.value); err != nil {
				continue // counted; as good as missing
			}
		}
	}
	return a.Value()
}

// Example shows a value's life: written, read, read with a backend gone, overwritten.
func Example() {
	p := &pool{home: map[string]record{}}
	for range 4 {
		p.backends = append(p.backends, map[string]record{})
	}
	show := func(what string) {
		answer := p.gets("tokens")
		line, value, _ := strings.Cut(answer, "\r\n")
		var items []int
		for _, b := range p.backends {
			items = append(items, len(b))
		}
		fmt.Printf("%s: %s, %d bytes follow; chunks on the backends: %v\n", what, line, len(value), items)
	}

	if err := p.set("tokens", 24, bytes.Repeat([]byte("token,"), 800)); err != nil {
		fmt.Println(err)
	}
	show("written")
	clear(p.backends[2])
	show("a backend is empty")
	clear(p.backends[1])
	clear(p.backends[3])
	show("two more are")
	if err := p.set("tokens", 24, []byte("few tokens")); err != nil {
		fmt.Println(err)
	}
	show("small now")
	p.home["tokens"] = record{flags: split.ReservedFlags, value: []byte("forged")}
	show("forged")

	// Output:
	// written: VALUE tokens 24 4800 1, 4807 bytes follow; chunks on the backends: [4 4 4 4]
	// a backend is empty: VALUE tokens 24 4800 1, 4807 bytes follow; chunks on the backends: [4 4 0 4]
	// two more are: END, 0 bytes follow; chunks on the backends: [4 0 0 0]
	// small now: VALUE tokens 24 10 2, 17 bytes follow; chunks on the backends: [0 0 0 0]
	// forged: END, 0 bytes follow; chunks on the backends: [0 0 0 0]
}
