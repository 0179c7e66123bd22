package inspect

import (
	"cmp"
	"container/heap"
	"math/bits"
	"slices"
	"strings"

	"mcproxy/protocol"
)

// A Count is how many keys there are of a kind, and how many bytes they hold.
type Count struct {
	Keys  int64 `json:"keys"`
	Bytes int64 `json:"bytes"`
}

func (c *Count) add(bytes int64) {
	c.Keys++
	c.Bytes += bytes
}

func (c *Count) merge(o Count) {
	c.Keys += o.Keys
	c.Bytes += o.Bytes
}

// Lifetimes count keys by when they expire.
type Lifetimes struct {
	None   Count `json:"none"`   // never
	Past   Count `json:"past"`   // they have, and still take room
	Minute Count `json:"minute"` // within a minute
	Hour   Count `json:"hour"`
	Day    Count `json:"day"`
	Month  Count `json:"month"` // within 30 days
	Far    Count `json:"far"`   // later
}

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
	month  = 30 * day
)

// add counts an item. Its times are unix seconds.
func (l *Lifetimes) add(expires, now, bytes int64) {
	left := expires - now
	switch {
	case expires == 0:
		l.None.add(bytes)
	case left <= 0:
		l.Past.add(bytes)
	case left <= minute:
		l.Minute.add(bytes)
	case left <= hour:
		l.Hour.add(bytes)
	case left <= day:
		l.Day.add(bytes)
	case left <= month:
		l.Month.add(bytes)
	default:
		l.Far.add(bytes)
	}
}

func (l *Lifetimes) merge(o *Lifetimes) {
	for i, c := range l.all() {
		c.merge(*o.all()[i])
	}
}

// all gives the counts in the order in which people are shown them.
func (l *Lifetimes) all() []*Count {
	return []*Count{&l.None, &l.Past, &l.Minute, &l.Hour, &l.Day, &l.Month, &l.Far}
}

// lifetimeNames are those of Lifetimes.all.
func lifetimeNames() []string {
	return []string{"never expire", "past", "within 1 minute", "within 1 hour", "within 1 day", "within 30 days", "later"}
}

// A Key is one of the largest.
type Key struct {
	Key      string `json:"key"` // \xHH is a byte that cannot be shown, \\ a backslash
	Owner    string `json:"owner,omitempty"`
	Server   string `json:"server"`
	Bytes    int64  `json:"bytes"`
	Expires  int64  `json:"expires"`            // unix seconds; 0: never
	Accessed int64  `json:"accessed,omitempty"` // unix seconds; 0: not known

	raw string
}

// Raw gives the key's own bytes.
func (k *Key) Raw() string { return k.raw }

// A largest keeps the largest keys: a heap whose first is the smallest kept.
type largest struct {
	keys []Key
	most int
}

func (l *largest) Len() int           { return len(l.keys) }
func (l *largest) Less(i, j int) bool { return bySize(l.keys[j], l.keys[i]) < 0 }
func (l *largest) Swap(i, j int)      { l.keys[i], l.keys[j] = l.keys[j], l.keys[i] }
func (l *largest) Push(v any)         { l.keys = append(l.keys, v.(Key)) }
func (l *largest) Pop() any {
	last := l.keys[len(l.keys)-1]
	l.keys = l.keys[:len(l.keys)-1]
	return last
}

// wants reports whether an item of that size may be among them.
func (l *largest) wants(bytes int64) bool {
	return len(l.keys) < l.most || l.most > 0 && bytes > l.keys[0].Bytes
}

func (l *largest) add(k Key) {
	heap.Push(l, k)
	if len(l.keys) > l.most {
		heap.Pop(l)
	}
}

// sorted gives them, the largest first.
func (l *largest) sorted() []Key {
	return slices.SortedFunc(slices.Values(l.keys), bySize)
}

// bySize orders the largest first, and makes an order of equals.
func bySize(a, b Key) int {
	return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.raw, b.raw), strings.Compare(a.Server, b.Server))
}

// A Prefix is the keys that begin alike.
type Prefix struct {
	Prefix  string    `json:"prefix"` // or what such keys have in common, in brackets
	AtLeast bool      `json:"at_least,omitempty"`
	Largest int64     `json:"largest_bytes"`
	Times   Lifetimes `json:"lifetimes"`
	Count
}

// maxPrefixes is how many prefixes are told apart while a server is read. Past twice as many the smaller half is put together.
const maxPrefixes = 1000

// otherPrefixes stands for those.
const otherPrefixes = "(others)"

// A prefixes counts by prefix, in bounded memory.
type prefixes struct {
	of     map[string]*Prefix
	others Prefix
	lost   bool // some were put together: one that comes from now on may have been there before
}

// count gives the counts of a key's prefix.
func (p *prefixes) count(key []byte, separators string) *Prefix {
	n, group := prefixOf(key, separators)
	if n == 0 {
		return p.get(group)
	}
	if one := p.of[string(key[:n])]; one != nil { // without making a string
		return one
	}
	return p.get(string(key[:n]))
}

func (p *prefixes) get(name string) *Prefix {
	if one := p.of[name]; one != nil {
		return one
	}
	if len(p.of) >= 2*maxPrefixes {
		p.shrink(maxPrefixes)
	}
	one := &Prefix{Prefix: name, AtLeast: p.lost}
	p.of[name] = one
	return one
}

// shrink keeps the n largest.
func (p *prefixes) shrink(n int) {
	all := p.sorted()
	if len(all) <= n {
		return
	}
	for _, one := range all[n:] {
		p.others.merge(one)
		delete(p.of, one.Prefix)
	}
	p.lost = true
}

func (p *prefixes) sorted() []*Prefix {
	all := make([]*Prefix, 0, len(p.of))
	for _, one := range p.of {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *Prefix) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Prefix, b.Prefix))
	})
	return all
}

func (p *Prefix) merge(o *Prefix) {
	p.Count.merge(o.Count)
	p.Times.merge(&o.Times)
	p.Largest = max(p.Largest, o.Largest)
	p.AtLeast = p.AtLeast || o.AtLeast
}

// A tally counts one server's items, or all of them when merged.
type tally struct {
	Count
	times    Lifetimes
	sizes    [33]Count // by the bits of their size
	largest  largest
	prefixes prefixes
}

func newTally(top int) *tally {
	return &tally{largest: largest{most: top}, prefixes: prefixes{of: map[string]*Prefix{}}}
}

// add counts an item of a server, now being the server's clock.
func (t *tally) add(r record, server string, now int64, separators string) {
	t.Count.add(r.size)
	t.times.add(r.expires, now, r.size)
	t.sizes[min(bits.Len64(uint64(r.size)), len(t.sizes)-1)].add(r.size)
	p := t.prefixes.count(r.key, separators)
	p.add(r.size)
	p.Largest = max(p.Largest, r.size)
	p.Times.add(r.expires, now, r.size)
	if t.largest.wants(r.size) {
		raw := string(r.key)
		t.largest.add(Key{Key: protocol.EscapeKey(raw), Server: server, Bytes: r.size, Expires: r.expires, Accessed: r.accessed, raw: raw})
	}
}

func (t *tally) merge(o *tally) {
	t.Count.merge(o.Count)
	t.times.merge(&o.times)
	for i := range t.sizes {
		t.sizes[i].merge(o.sizes[i])
	}
	for _, k := range o.largest.keys {
		if t.largest.wants(k.Bytes) {
			t.largest.add(k)
		}
	}
	for name, p := range o.prefixes.of {
		t.prefixes.get(name).merge(p)
	}
	t.prefixes.others.merge(&o.prefixes.others)
	t.prefixes.lost = t.prefixes.lost || o.prefixes.lost
}

// shrink keeps of the keys and prefixes the n largest.
func (t *tally) shrink(n int) {
	t.prefixes.shrink(n)
	t.largest.keys = slices.Clone(t.largest.sorted()[:min(n, len(t.largest.keys))])
}

// maxPrefix is the longest prefix that is told apart, in bytes.
const maxPrefix = 64

// prefixOf gives the length of a key's prefix, up to and with its first separator. What stands there must not be an identifier, of which each
// key has another: then, and without a separator, the length is 0, and keys go together by what they look like.
func prefixOf(key []byte, separators string) (n int, group string) {
	i := 0
	for i < len(key) && i < maxPrefix && strings.IndexByte(separators, key[i]) < 0 {
		i++
	}
	if i > 0 && i < len(key) && i < maxPrefix && !isIdentifier(key[:i]) {
		return i + 1, ""
	}
	hex := true
	digits := true
	for _, b := range key {
		hex = hex && isHex(b)
		digits = digits && b >= '0' && b <= '9'
	}
	switch {
	case hex && len(key) == 32:
		return 0, "(hex-32)"
	case hex && len(key) == 40:
		return 0, "(hex-40)"
	case hex && len(key) == 64:
		return 0, "(hex-64)"
	case digits:
		return 0, "(digits)"
	}
	return 0, "(none)"
}

// isIdentifier reports whether text looks like a number or a part of a UUID.
func isIdentifier(text []byte) bool {
	digits := 0
	for _, b := range text {
		if !isHex(b) {
			return false
		}
		if b >= '0' && b <= '9' {
			digits++
		}
	}
	return digits == len(text) || digits > 0 && len(text) >= 8
}

func isHex(b byte) bool { return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F' }
