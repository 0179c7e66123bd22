package tally

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// A Client is what was counted of the clients with one address. Its owner counts in it.
type Client struct {
	Conns    int // open now
	Requests uint64
	Stores   uint64 // requests that bring a value
	BytesIn  uint64
	BytesOut uint64
}

// Asked counts a request.
func (c *Client) Asked() {
	if Counting {
		c.Requests++
	}
}

// Stored counts a request that brings a value.
func (c *Client) Stored() {
	if Counting {
		c.Stores++
	}
}

// Received counts bytes of clients.
func (c *Client) Received(n int) {
	if Counting {
		c.BytesIn += uint64(n)
	}
}

// Sent counts bytes to clients.
func (c *Client) Sent(n int) {
	if Counting {
		c.BytesOut += uint64(n)
	}
}

func (c *Client) add(o *Client) {
	c.Conns += o.Conns
	c.Requests += o.Requests
	c.Stores += o.Stores
	c.BytesIn += o.BytesIn
	c.BytesOut += o.BytesOut
}

// sub takes away what can only grow; conns are no such thing.
func (c *Client) sub(o *Client) {
	c.Requests -= o.Requests
	c.Stores -= o.Stores
	c.BytesIn -= o.BytesIn
	c.BytesOut -= o.BytesOut
}

// least is the lower of two in each count.
func least(a, b *Client) Client {
	return Client{
		Requests: min(a.Requests, b.Requests), Stores: min(a.Stores, b.Stores), BytesIn: min(a.BytesIn, b.BytesIn), BytesOut: min(a.BytesOut, b.BytesOut),
	}
}

// cost blends requests and bytes as hot keys' costs are (hotkey.Config): 1,250 bytes are worth a request.
func (c *Client) cost() float64 { return float64(c.Requests) + float64(c.BytesIn+c.BytesOut)/1250 }

const (
	maxAddresses = 4096 // that a worker counts apart
	keepAbsent   = 1024 // addresses in a worker's table up to which those without a conn may stay
)

// Clients are a worker's tallies by address, for a bounded number of addresses. The zero value is empty.
type Clients struct {
	byAddress map[string]*Client
	rest      Client // of those that were not counted apart, or are no more
}

// Join counts a conn from an address, and gives the tally that it counts in until Leave.
func (t *Clients) Join(address string) *Client {
	c := t.byAddress[address]
	switch {
	case c != nil:
	case len(t.byAddress) >= maxAddresses:
		c = &t.rest
	default:
		if t.byAddress == nil {
			t.byAddress = make(map[string]*Client)
		}
		c = new(Client)
		t.byAddress[strings.Clone(address)] = c
	}
	c.Conns++
	return c
}

// Leave is the end of a conn that was joined.
func (t *Clients) Leave(c *Client) { c.Conns-- }

// Addresses choose which addresses people are told of: some by name, the others as one. What is told of each, the others included,
// never falls, whoever gets or loses a name: so rates over it are right. A name stays for minutes at least, so that the names that
// there were in a day are bounded too.
type Addresses struct {
	seen    map[string]*address
	retired Client // what was told of addresses that have no name any more
	total   Client // of all addresses
	last    int64  // time of the last Sum

	now  map[string]*Client // of the Sum under way
	rest Client
}

// An address is what is known of one.
type address struct {
	total  Client  // of all workers
	before Client  // what it was at the last Sum
	base   Client  // what it was when it got its name: that was told of the others
	rate   float64 // its cost a second
	named  bool
	since  int64 // when it got its name
}

const (
	maxNames   = 50
	minStay    = int64(10 * time.Minute) // that an address keeps its name
	rateWindow = float64(time.Minute)    // rates are means over about so long
)

// Other is the name of all addresses that have none.
const Other = "other"

// Take adds a worker's tallies to the sum under way; the worker waits meanwhile. What has neither a conn nor a name may be
// forgotten, if there is much of it.
func (a *Addresses) Take(t *Clients) {
	if a.now == nil {
		a.now = make(map[string]*Client)
	}
	for name, c := range t.byAddress {
		if c.Conns == 0 && len(t.byAddress) > keepAbsent && !a.named(name) {
			t.rest.add(c)
			delete(t.byAddress, name)
			continue
		}
		sum := a.now[name]
		if sum == nil {
			sum = new(Client)
			a.now[name] = sum
		}
		sum.add(c)
	}
	a.rest.add(&t.rest)
}

func (a *Addresses) named(name string) bool {
	s := a.seen[name]
	return s != nil && s.named
}

// An AddressSum is what people are told of one address, or of all others.
type AddressSum struct {
	Address string // "10.0.0.1", "unix" for unix sockets, or Other
	Client
}

// Sum ends a sum of which every worker's tallies were taken, at a time in nanoseconds of any clock: the addresses with a name, the
// busiest of the last minute first, and then Other. Drop ends one that is not complete.
func (a *Addresses) Sum(now int64) []AddressSum {
	total := a.rest
	dt := float64(max(now-a.last, 1))
	if a.seen == nil {
		a.seen = make(map[string]*address)
	}
	for name, c := range a.now {
		total.add(c)
		s := a.seen[name]
		if s == nil {
			s = &address{}
			a.seen[name] = s
		}
		s.before, s.total = least(&s.total, c), *c // it is less when a worker has forgotten the address meanwhile
		rate := (s.total.cost() - s.before.cost()) / dt * float64(time.Second)
		s.rate += (1 - math.Exp(-dt/rateWindow)) * (rate - s.rate)
	}
	for name := range a.seen {
		if a.now[name] == nil { // no worker knows it any more, so it has no name
			delete(a.seen, name)
		}
	}
	a.last = now
	a.Drop()
	a.name(now)
	a.total = total
	return a.tell(total)
}

// Total is what all addresses did together, up to the last Sum.
func (a *Addresses) Total() Client { return a.total }

// Drop forgets the sum under way.
func (a *Addresses) Drop() { a.now, a.rest = nil, Client{} }

// name gives names to the busiest that have none, as long as there are some; when there are none left, one that is twice as busy as
// the idlest with a name takes its place.
func (a *Addresses) name(now int64) {
	var free, taken []*address
	for _, s := range a.seen {
		if s.named {
			taken = append(taken, s)
		} else {
			free = append(free, s)
		}
	}
	byRate := func(a, b *address) int { return cmp.Compare(b.rate, a.rate) }
	slices.SortFunc(free, byRate)
	slices.SortFunc(taken, byRate)
	for _, s := range free {
		if len(taken) >= maxNames {
			idlest := taken[len(taken)-1]
			if now-idlest.since < minStay || s.rate <= 2*idlest.rate {
				return
			}
			told := idlest.total
			told.sub(&idlest.base)
			told.Conns = 0
			a.retired.add(&told)
			idlest.named = false
			taken = taken[:len(taken)-1]
		}
		// What it did up to the last Sum was told of the others, and stays theirs.
		s.named, s.since, s.base = true, now, s.before
		taken = append(taken, s)
		slices.SortFunc(taken, byRate)
	}
}

// tell makes the list; total is what all addresses did together.
func (a *Addresses) tell(total Client) []AddressSum {
	var list []AddressSum
	others := total
	others.sub(&a.retired)
	for name, s := range a.seen {
		if !s.named {
			continue
		}
		told := s.total
		told.sub(&s.base)
		others.sub(&told)
		others.Conns -= told.Conns
		list = append(list, AddressSum{name, told})
	}
	slices.SortFunc(list, func(x, y AddressSum) int {
		return cmp.Or(cmp.Compare(a.seen[y.Address].rate, a.seen[x.Address].rate), strings.Compare(x.Address, y.Address))
	})
	return append(list, AddressSum{Other, others})
}
