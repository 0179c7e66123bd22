// Package resolve looks names up, and tells for how long an answer holds. net.Resolver does the work: /etc/hosts, /etc/resolv.conf and its options, lost
// packets, answers too long for one. It keeps the answers' lives to itself; so the conns over which it asks are listened in to.
package resolve

import (
	"context"
	"encoding/binary"
	"math"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Untold is how long an answer holds when nobody has said: one from /etc/hosts, or none.
const Untold = time.Duration(math.MaxInt64)

// A Resolver asks. It is immutable, and may be nil: it asks as the system does.
type Resolver struct{ server string }

// New gives a resolver that asks one DNS server (host:port), or, with "", as the system does.
func New(server string) *Resolver {
	if server == "" {
		return nil
	}
	return &Resolver{server}
}

// Addresses are those of a host, and for how long that holds: as long as the shortest-lived record of the answers says.
func (r *Resolver) Addresses(ctx context.Context, host string) (ips []netip.Addr, holds time.Duration, err error) {
	e := newEar()
	ips, err = r.through(e).LookupNetIP(ctx, "ip", host)
	return ips, e.holds(), err
}

// Services are the SRV records of a name, and for how long they hold.
func (r *Resolver) Services(ctx context.Context, name string) (records []*net.SRV, holds time.Duration, err error) {
	e := newEar()
	_, records, err = r.through(e).LookupSRV(ctx, "", "", name)
	return records, e.holds(), err
}

// through gives a resolver for one lookup: one that is shared gives lookups of the same name the same answer, and one ear would hear nothing.
func (r *Resolver) through(e *ear) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if r != nil {
			address = r.server
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if udp, ok := conn.(*net.UDPConn); ok {
			return &packets{udp, e}, nil // net.Resolver tells by the type that there are packets
		}
		return &stream{Conn: conn, ear: e}, nil
	}}
}

// An ear hears the answers of one lookup.
type ear struct{ least atomic.Int64 } // nanoseconds

func newEar() *ear {
	e := new(ear)
	e.least.Store(int64(Untold))
	return e
}

func (e *ear) holds() time.Duration { return time.Duration(e.least.Load()) }

// hear listens to a message. One that is none, or says that there is no such name, says nothing.
func (e *ear) hear(message []byte) {
	var p dnsmessage.Parser
	head, err := p.Start(message)
	if err != nil || !head.Response || head.RCode != dnsmessage.RCodeSuccess || p.SkipAllQuestions() != nil {
		return
	}
	for {
		record, err := p.AnswerHeader()
		if err != nil || p.SkipAnswer() != nil {
			return
		}
		lives := int64(record.TTL) * int64(time.Second)
		if record.TTL > math.MaxInt32 {
			lives = 0 // RFC 2181, 8
		}
		for least := e.least.Load(); lives < least && !e.least.CompareAndSwap(least, lives); {
			least = e.least.Load()
		}
	}
}

// packets is a conn of which each read is a message.
type packets struct {
	*net.UDPConn
	ear *ear
}

func (c *packets) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	c.ear.hear(b[:n])
	return n, err
}

// stream is a conn of messages, each behind its length in two bytes. One goroutine reads it.
type stream struct {
	net.Conn
	ear  *ear
	read []byte // of messages that are not whole
}

func (c *stream) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read = append(c.read, b[:n]...)
	for len(c.read) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(c.read))
		if len(c.read) < end {
			break
		}
		c.ear.hear(c.read[2:end])
		c.read = c.read[end:]
	}
	return n, err
}
