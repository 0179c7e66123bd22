package tally

import (
	"strconv"

	"mcproxy/protocol"
)

// Classes of times to live, as memcached understands them (memcached.c, realtime): up to 30 days they count from now, and above they
// are seconds since 1970.
const (
	classNone     = iota // 0: until it is evicted
	classNegative        // at once
	classRelative        // up to 30 days from now
	classAbsolute        // a time within a year from now
	classPast            // a time that is over, so that it is gone at once: who writes 31 days in seconds says so
	classFar             // a time more than a year ahead: it stays for years, or for ever
	lifetimeClasses
)

// LifetimeClasses are the names of the classes.
func LifetimeClasses() []string {
	return []string{"none", "negative", "relative", "absolute", "past", "far"}
}

const (
	maxRelative = 30 * 86400  // seconds
	farAhead    = 366 * 86400 // seconds
)

// Lifetimes counts the times to live that clients give to items. The zero value is empty.
type Lifetimes struct {
	classes [lifetimeClasses]uint64
	counts  [len(lifespans) + 1]uint64
	sum     uint64 // seconds
}

// Observe counts an exptime as it stands in a request, at the time now in seconds since 1970.
func (l *Lifetimes) Observe(exptime, now int64) {
	switch {
	case !Counting:
	case exptime == 0:
		l.classes[classNone]++
	case exptime < 0:
		l.classes[classNegative]++
	case exptime <= maxRelative:
		l.classes[classRelative]++
		l.observe(exptime)
	case exptime <= now:
		l.classes[classPast]++
	case exptime-now <= farAhead:
		l.classes[classAbsolute]++
		l.observe(exptime - now)
	default:
		l.classes[classFar]++
		l.observe(exptime - now)
	}
}

func (l *Lifetimes) observe(seconds int64) {
	i := 0
	for i < len(lifespans) && seconds > lifespans[i] {
		i++
	}
	l.counts[i]++
	l.sum += uint64(seconds)
}

// A LifetimeSum is a copy of several workers' Lifetimes.
type LifetimeSum struct {
	Classes map[string]uint64 // by name, all of them
	Seconds Histogram         // of those that end some time: relative, absolute, far
}

// AddTo adds the counts to a copy.
func (l *Lifetimes) AddTo(s *LifetimeSum) {
	if s.Classes == nil {
		s.Classes = make(map[string]uint64, lifetimeClasses)
	}
	for i, name := range LifetimeClasses() {
		s.Classes[name] += l.classes[i]
	}
	s.Seconds.add(Lifespan, l.counts[:], float64(l.sum))
}

// MetaLifetime gives the lifetime that a ms gives its item; not ok: it gives none, as when it appends.
func MetaLifetime(req *protocol.Request) (exptime int64, ok bool) {
	switch req.Mode {
	case 'A', 'a', 'P', 'p':
		return 0, false
	}
	for f, arg, rest := protocol.NextFlag(req.MetaFlags); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		if f != 'T' {
			continue
		}
		n, err := strconv.ParseInt(string(arg), 10, 64)
		if err != nil {
			return 0, false // the backend refuses it
		}
		exptime = int64(int32(n)) // as memcached cuts it off
	}
	return exptime, true
}
