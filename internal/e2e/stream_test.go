package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"
)

// stream sends one client's commands to two endpoints and compares what they answer. It is used by one goroutine.
type stream struct {
	proxy, direct *side
	matcher       *matcher
	deviations    []deviation
	control       bool       // the proxy's place is taken by memcached itself: it is sent the same
	rng           *rand.Rand // where a batch is cut into writes
	timeout       time.Duration
}

// side is one of the two endpoints and the conn to it.
type side struct {
	ep   endpoint
	conn *client // nil until the next batch
}

// mismatch says that the endpoints answered a batch differently.
type mismatch struct {
	first int // number of the batch's first command, from 0
	batch []command
	err   error
}

func (m *mismatch) Error() string {
	return fmt.Sprintf("commands %d to %d: %v", m.first, m.first+len(m.batch)-1, m.err)
}

func newStream(proxy, direct endpoint, perKey, control bool, seed uint64) *stream {
	differences := deviationsOf(perKey, false)
	if control {
		differences = bugs()
	}
	return &stream{
		proxy: &side{ep: proxy}, direct: &side{ep: direct},
		matcher: newMatcher(perKey), deviations: differences, control: control, rng: rand.New(rand.NewPCG(seed, 1)), timeout: answerTimeout,
	}
}

// overSplits tells the stream that the proxy splits values.
func (s *stream) overSplits() {
	s.matcher.splits = true
	s.deviations = deviationsOf(s.matcher.perKey, true)
}

func (s *stream) close() {
	s.proxy.close()
	s.direct.close()
}

func (s *side) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// run sends n commands of g in batches of random length. The error is a *mismatch.
func (s *stream) run(g *generator, n int) error {
	next := g.next()
	for done := 0; done < n; {
		var b batch
		for want := min(n-done, s.batchLength()); len(b.list) < want && b.add(next); {
			next = g.next()
		}
		if err := s.send(b.list); err != nil {
			return &mismatch{done, b.list, err}
		}
		done += len(b.list)
	}
	return nil
}

// batchLength is mostly some tens, often one, sometimes hundreds.
func (s *stream) batchLength() int {
	switch s.rng.IntN(10) {
	case 0, 1:
		return 1
	case 2, 3:
		return 1 + s.rng.IntN(8)
	case 4:
		return 200 + s.rng.IntN(400)
	default:
		return 1 + s.rng.IntN(100)
	}
}

// send sends a batch to both endpoints and compares their answers.
func (s *stream) send(batch []command) error {
	var toProxy, toDirect []byte
	for _, c := range batch {
		text := c.text
		if c.casKey != "" {
			unique := s.matcher.last[c.casKey]
			text = withCas(c.text, unique[0])
			toDirect = append(toDirect, rewrite(s.deviations, withCas(c.text, unique[1]))...)
		} else {
			toDirect = append(toDirect, rewrite(s.deviations, text)...)
		}
		if s.control {
			text = rewrite(s.deviations, text)
		}
		toProxy = append(toProxy, text...)
	}
	closes := batch[len(batch)-1].closes
	cuts := s.cuts(len(toProxy))
	answers := make(chan sideAnswer, 1)
	go func() { answers <- s.direct.exchange(toDirect, nil, closes, s.timeout) }() // ends with its deadline; waited for below
	got := s.proxy.exchange(toProxy, cuts, closes, s.timeout)
	want := <-answers
	if want.err != nil {
		return fmt.Errorf("memcached itself: %w, after %s", want.err, quote(want.text))
	}
	expected, err := restore(s.deviations, want.text)
	if err != nil {
		return fmt.Errorf("memcached itself: %w", err)
	}
	if s.control && got.err == nil {
		got.text, got.err = restore(s.deviations, got.text)
	}
	if got.err != nil {
		return fmt.Errorf("%w\n   got %s\n  want %s", got.err, quote(tail(got.text, 600)), quote(tail(expected, 600)))
	}
	return s.matcher.compare(got.text, expected)
}

func withCas(text []byte, unique uint64) []byte {
	return bytes.Replace(text, []byte(casMark), strconv.AppendUint(nil, unique, 10), 1)
}

// cuts says where a text of n bytes is cut into writes: anywhere.
func (s *stream) cuts(n int) []int {
	var cuts []int
	switch s.rng.IntN(20) {
	case 0: // one byte at a time, for a while
		from := s.rng.IntN(n)
		for i := from; i < min(n, from+100); i++ {
			cuts = append(cuts, i)
		}
	case 1, 2, 3, 4, 5:
		for at := s.rng.IntN(n); at < n && len(cuts) < 20; at += 1 + s.rng.IntN(n) {
			cuts = append(cuts, at)
		}
	}
	return cuts
}

type sideAnswer struct {
	text []byte
	err  error
}

// exchange sends text, cut into several writes, and returns the whole answer. A batch that closes the conn must be
// followed by the end of the stream, any other by the answer to a sentinel.
func (s *side) exchange(text []byte, cuts []int, closes bool, timeout time.Duration) sideAnswer {
	deadline := time.Now().Add(timeout)
	if s.conn == nil {
		conn, err := s.ep.connect()
		if err != nil {
			return sideAnswer{nil, err}
		}
		s.conn = conn
	}
	mark, end := newSentinel()
	if !closes {
		text = append(text, mark...)
	}
	conn := s.conn
	if err := conn.SetWriteDeadline(deadline); err != nil {
		return sideAnswer{nil, err}
	}
	written := make(chan error, 1)
	go func() { written <- writeCut(conn, text, cuts) }() // ends with its deadline; waited for below
	var got sideAnswer
	if closes {
		got.text, got.err = conn.rest(deadline)
	} else {
		got.text, got.err = conn.until(end, deadline)
	}
	if got.err != nil || closes {
		s.close()
	}
	if err := <-written; err != nil && !closes && got.err == nil {
		got.err = err
	}
	if errors.Is(got.err, io.EOF) {
		got.err = fmt.Errorf("the conn was closed")
	}
	return got
}

func writeCut(w io.Writer, text []byte, cuts []int) error {
	at := 0
	for _, cut := range append(cuts, len(text)) {
		if cut <= at {
			continue
		}
		if _, err := w.Write(text[at:cut]); err != nil {
			return err
		}
		at = cut
	}
	return nil
}
