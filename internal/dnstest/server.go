// Package dnstest is a DNS server for tests, on a loopback address: it says what it is told to, and knows A and SRV records alone.
package dnstest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// A Server answers queries over UDP, and over TCP whoever was told to ask there.
type Server struct {
	conn     net.PacketConn
	listener net.Listener // for TCP, at the same port

	mu    sync.Mutex
	hosts map[string][]netip.Addr // guarded by mu: by name, with a dot at its end
	sets  map[string][]Target     // guarded by mu
	asked map[string]int          // guarded by mu
	mute  bool                    // guarded by mu
	late  []query                 // guarded by mu: what came while it was mute
	ttl   uint32                  // guarded by mu: of all records, seconds
	short bool                    // guarded by mu: answers over UDP are truncated
}

// A query is one that is not answered yet.
type query struct {
	text []byte
	from net.Addr // nil: over TCP
}

// A Target is one SRV record.
type Target struct {
	Host   string
	Port   uint16
	Weight uint16
}

// Start runs a server until the test ends. It knows nothing yet.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{hosts: make(map[string][]netip.Addr), sets: make(map[string][]Target), asked: make(map[string]int), ttl: 1}
	s.listen(t)
	var serving sync.WaitGroup
	serving.Go(s.serve) // ends when the conn is closed; the test's end waits for it
	serving.Go(func() { // ends when the listener is closed, likewise
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.serveStream(conn)
		}
	})
	t.Cleanup(func() {
		s.conn.Close()
		s.listener.Close()
		serving.Wait()
	})
	return s
}

// listen finds a port that is free for both.
func (s *Server) listen(t testing.TB) {
	t.Helper()
	for range 100 {
		var err error
		if s.conn, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if s.listener, err = net.Listen("tcp", s.conn.LocalAddr().String()); err == nil {
			return
		}
		s.conn.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
}

// SetTTL says for how many seconds records hold; 1 to begin with.
func (s *Server) SetTTL(seconds uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ttl = seconds
}

// SetTruncating has it answer over UDP that the answer is too long for that.
func (s *Server) SetTruncating(truncating bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.short = truncating
}

// Addr is the server's "host:port".
func (s *Server) Addr() string { return s.conn.LocalAddr().String() }

// SetHost says which addresses a name has; none: it is not known.
func (s *Server) SetHost(name string, ips ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []netip.Addr
	for _, ip := range ips {
		list = append(list, netip.MustParseAddr(ip))
	}
	s.hosts[name+"."] = list
}

// SetTargets says which targets the SRV records of a name have.
func (s *Server) SetTargets(name string, targets ...Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets[name+"."] = targets
}

// SetMute has the server answer nobody, or everybody, those too who have asked meanwhile.
func (s *Server) SetMute(mute bool) {
	s.mu.Lock()
	s.mute = mute
	late := s.late
	s.late = nil
	s.mu.Unlock()
	for _, q := range late {
		s.reply(q)
	}
}

// Asked is how often a name was asked for.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name+"."]
}

const (
	typeA   = 1
	typeSRV = 33
	header  = 12
)

func (s *Server) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		s.reply(query{bytes.Clone(buf[:n]), from})
	}
}

// serveStream answers one query of a conn.
func (s *Server) serveStream(conn net.Conn) {
	defer conn.Close()
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	text := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, text); err != nil {
		return
	}
	if answer := s.answer(query{text: text}); answer != nil {
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}

func (s *Server) reply(q query) {
	if answer := s.answer(q); answer != nil {
		_, _ = s.conn.WriteTo(answer, q.from)
	}
}

// answer answers a query of one question (RFC 1035, 4.1).
func (s *Server) answer(q query) []byte {
	query := q.text
	if len(query) < header || binary.BigEndian.Uint16(query[4:]) != 1 {
		return nil
	}
	at, labels := header, []string{}
	for at < len(query) && query[at] != 0 {
		end := at + 1 + int(query[at])
		if end >= len(query) {
			return nil
		}
		labels = append(labels, string(query[at+1:end]))
		at = end
	}
	if at+5 > len(query) {
		return nil
	}
	question := query[header : at+5]
	name := strings.ToLower(strings.Join(labels, ".")) + "."
	kind := binary.BigEndian.Uint16(query[at+1:])

	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[name]++
	if s.mute {
		s.late = append(s.late, q)
		return nil
	}
	var records [][]byte
	switch kind {
	case typeA:
		for _, ip := range s.hosts[name] {
			if ip.Is4() {
				records = append(records, ip.AsSlice())
			}
		}
	case typeSRV:
		for _, t := range s.sets[name] {
			rec := binary.BigEndian.AppendUint16(nil, 10) // priority
			rec = binary.BigEndian.AppendUint16(rec, t.Weight)
			rec = binary.BigEndian.AppendUint16(rec, t.Port)
			records = append(records, append(rec, encodeName(t.Host)...))
		}
	}
	code := uint16(0)
	if len(s.hosts[name]) == 0 && len(s.sets[name]) == 0 {
		code = 3 // there is no such name
	}
	flags := 0x8580 | code
	if s.short && q.from != nil {
		flags |= 0x0200
		records = nil
	}
	out := append([]byte(nil), query[:2]...)
	out = binary.BigEndian.AppendUint16(out, flags)
	for _, n := range []int{1, len(records), 0, 0} {
		out = binary.BigEndian.AppendUint16(out, uint16(n))
	}
	out = append(out, question...)
	for _, rec := range records {
		out = append(out, 0xc0, header) // the question's name
		out = binary.BigEndian.AppendUint16(out, kind)
		out = binary.BigEndian.AppendUint32(append(out, 0, 1), s.ttl) // class IN
		out = binary.BigEndian.AppendUint16(out, uint16(len(rec)))
		out = append(out, rec...)
	}
	return out
}

func encodeName(name string) []byte {
	var out []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		out = append(append(out, byte(len(label))), label...)
	}
	return append(out, 0)
}
