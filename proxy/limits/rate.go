package limits

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mcproxy/protocol"
)

// A Rate is how many requests a second there may be, and how many at once. A request of several keys counts as many.
type Rate struct {
	PerSecond int // 0: any number
	Burst     int // 0: PerSecond
}

// A PrefixRate bounds the requests for keys that begin with Prefix, of all clients together.
type PrefixRate struct {
	Prefix string
	Rate
}

// A Bucket says when it will be full of tokens, in Loop time. That is all that a token bucket is: GCRA, the "generic cell rate algorithm"
// of ITU-T I.371. So it needs nobody to fill it, and a change of its rate needs no thought. It is safe for concurrent use.
type Bucket struct {
	full  atomic.Int64
	users int // guarded by Buckets.mu
}

// flow is a Rate as a bucket wants it.
type flow struct{ token, whole int64 } // nanoseconds for a token to come, and for all of them

func (r Rate) flow() flow {
	f := flow{token: max(1, int64(time.Second)/int64(r.PerSecond))}
	f.whole = f.token * int64(cmp.Or(r.Burst, r.PerSecond))
	return f
}

// take takes n tokens, or as many as there can ever be, if they are there.
func (b *Bucket) take(f flow, n int, now int64) bool {
	for {
		was := b.full.Load()
		next := max(was, now) + min(int64(n)*f.token, f.whole)
		if next-now > f.whole {
			return false
		}
		if b.full.CompareAndSwap(was, next) {
			return true
		}
	}
}

// maxBuckets is how many addresses have a bucket of their own.
const maxBuckets = 65_536

// Buckets are a process's. A client's address has one for all its conns, on whichever worker they are, also when it comes back at
// once; it is forgotten when it is full again and nobody is there any more. They are safe for concurrent use.
type Buckets struct {
	mu        sync.Mutex
	addresses map[string]*Bucket // guarded by mu
	prefixes  map[string]*Bucket // guarded by mu: of all that were ever configured
	swept     int64              // guarded by mu: Loop time when addresses was last looked through
	rest      Bucket             // of the addresses that there was no room for
}

// Join gives the bucket of a client's address, until Leave.
func (b *Buckets) Join(address string, now int64) *Bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addresses == nil {
		b.addresses = make(map[string]*Bucket)
	}
	c := b.addresses[address]
	if c == nil {
		if len(b.addresses) >= maxBuckets && now-b.swept > int64(time.Second) {
			b.swept = now
			for name, o := range b.addresses {
				if o.users == 0 && o.full.Load() <= now {
					delete(b.addresses, name)
				}
			}
		}
		if len(b.addresses) >= maxBuckets {
			return &b.rest
		}
		c = new(Bucket)
		b.addresses[strings.Clone(address)] = c
	}
	c.users++
	return c
}

// Leave is the end of a conn that has joined.
func (b *Buckets) Leave(address string, c *Bucket, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c == &b.rest {
		return
	}
	if c.users--; c.users == 0 && c.full.Load() <= now {
		delete(b.addresses, address)
	}
}

// Rates are a configuration's. They are immutable.
type Rates struct {
	each     flow // of each address; token is 0: any
	prefixes []prefixFlow
	buckets  *Buckets
}

type prefixFlow struct {
	prefix []byte
	flow   flow
	bucket *Bucket
}

// NewRates gives nil if there is no rate in c. What has a rate in two configurations has one bucket.
func NewRates(c *Config, b *Buckets) *Rates {
	if c.Each.PerSecond == 0 && len(c.Prefixes) == 0 {
		return nil
	}
	r := &Rates{buckets: b}
	if c.Each.PerSecond > 0 {
		r.each = c.Each.flow()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.prefixes == nil {
		b.prefixes = make(map[string]*Bucket)
	}
	for _, p := range c.Prefixes {
		bucket := b.prefixes[p.Prefix]
		if bucket == nil {
			bucket = new(Bucket)
			b.prefixes[p.Prefix] = bucket
		}
		r.prefixes = append(r.prefixes, prefixFlow{[]byte(p.Prefix), p.flow(), bucket})
	}
	slices.SortFunc(r.prefixes, func(a, b prefixFlow) int { return len(b.prefix) - len(a.prefix) }) // the longest wins
	return r
}

// A Visitor is a client's conn, as far as rates go. The zero value has asked nothing yet. It is its owner's.
type Visitor struct {
	bucket *Bucket // nil: none was needed
	of     *Buckets
}

// Refuses says which rate a request of a client from an address goes beyond, if it does. A request without a key goes beyond none.
func (r *Rates) Refuses(v *Visitor, address string, req *protocol.Request, now int64) (why Limit, refused bool) {
	if len(req.Key) == 0 {
		return 0, false
	}
	if r.each.token > 0 {
		if v.bucket == nil {
			v.bucket, v.of = r.buckets.Join(address, now), r.buckets
		}
		if !v.bucket.take(r.each, max(1, req.NumKeys), now) {
			return Address, true
		}
	}
	if len(r.prefixes) == 0 {
		return 0, false
	}
	if req.NumKeys <= 1 {
		return Prefix, !r.pass(req.Key, now)
	}
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		if !r.pass(key, now) {
			return Prefix, true
		}
	}
	return 0, false
}

// pass takes a token of the prefix that the key has, if one has a rate.
func (r *Rates) pass(key []byte, now int64) bool {
	for i := range r.prefixes {
		if p := &r.prefixes[i]; bytes.HasPrefix(key, p.prefix) {
			return p.bucket.take(p.flow, 1, now)
		}
	}
	return true
}

// Leave is the end of the conn.
func (v *Visitor) Leave(address string, now int64) {
	if v.bucket != nil {
		v.of.Leave(address, v.bucket, now)
		v.bucket = nil
	}
}
