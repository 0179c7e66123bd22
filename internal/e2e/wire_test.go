package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A wireCall is one call of a client library: the bytes that it sent (>) and what memcached 1.6.18 answered (<), in
// order, each with the number of the conn. A long run of bytes is shortened, see expand.
type wireCall struct {
	Call    string      `json:"call"`
	Returns string      `json:"returns"`
	Wire    []wireEvent `json:"wire"`
}

type wireEvent struct {
	kind string // ">", "<", ">EOF" or "<EOF": who closed
	conn int
	text []byte
}

func (e *wireEvent) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &[]any{&e.kind, &e.conn, &text}); err != nil {
		return err
	}
	for _, r := range text { // each character is one byte
		if r > 0xff {
			return fmt.Errorf("character %q is no byte", r)
		}
		e.text = append(e.text, byte(r))
	}
	return nil
}

// TestWire replays what python-memcached, pymemcache and pylibmc sent to memcached: the proxy must give the answers that
// memcached gave.
func TestWire(t *testing.T) {
	recorded := readWire(t)
	s := startService(t, 1)
	for name, calls := range recorded {
		if strings.Contains(name, "binary=True") {
			continue // TestWireBinary
		}
		for _, err := range replayWire(s.endpoint, calls, answerTimeout) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWireBinary sends what a client of the binary protocol sends: the proxy closes the conn without a word.
func TestWireBinary(t *testing.T) {
	s := startService(t, 1)
	for name, calls := range readWire(t) {
		if !strings.Contains(name, "binary=True") {
			continue
		}
		for _, call := range calls {
			c := s.dial(t)
			if _, err := c.Write(call.Wire[0].text); err != nil {
				t.Fatal(err)
			}
			if s.memcached {
				if err := c.fill(); err != nil || c.pending[0] != 0x81 {
					t.Errorf("%s: memcached answers %q, %v", call.Call, c.pending, err)
				}
				continue
			}
			if got, err := c.rest(time.Now().Add(answerTimeout)); err != nil || len(got) > 0 {
				t.Errorf("%s: got %q, %v; want the end of the stream", call.Call, got, err)
			}
		}
	}
}

func TestNoticesWire(t *testing.T) {
	recorded := readWire(t)
	for name := range faults {
		s := brokenService(t, 7, name)
		var noticed []error
		for _, client := range []string{"python-memcached 1.58", "pylibmc 1.6.3 (libmemcached 1.0.18) defaults"} {
			noticed = append(noticed, replayWire(s.endpoint, recorded[client], time.Second)...)
		}
		if len(noticed) == 0 {
			t.Errorf("%s: nothing noticed", name)
		}
	}
}

func readWire(t *testing.T) map[string][]wireCall {
	t.Helper()
	data, err := os.ReadFile("testdata/wire.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string][]wireCall
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	if len(recorded) < 6 {
		t.Fatalf("%d clients in the recording, want 6 and more", len(recorded))
	}
	return recorded
}

// wireReplay is the state of one client's replay.
type wireReplay struct {
	endpoint endpoint
	timeout  time.Duration // of one answer
	conns    map[int]*client
	unique   map[string]string // the endpoint's cas number for a recorded one
}

// replayWire replays one client's calls and says which answers were not as recorded. It stops at the first call that it
// cannot get to its end.
func replayWire(ep endpoint, calls []wireCall, timeout time.Duration) []error {
	r := &wireReplay{endpoint: ep, timeout: timeout, conns: map[int]*client{}, unique: map[string]string{}}
	defer func() {
		for _, c := range r.conns {
			c.Close()
		}
	}()
	var problems []error
	if err := r.flush(); err != nil {
		return []error{err}
	}
	for _, call := range calls {
		if err := r.replay(expand(call.Wire)); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", call.Call, err))
			if errors.Is(err, errLost) {
				break
			}
		}
	}
	return problems
}

var errLost = errors.New("the replay is lost")

func (r *wireReplay) flush() error {
	c, err := r.endpoint.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	_, _, err = c.exchangeWithin([]byte("flush_all\r\n"), r.timeout)
	return err
}

// replay sends what a call sent, and compares what it got.
func (r *wireReplay) replay(events []wireEvent) error {
	var problems []error
	for i, e := range events {
		switch e.kind {
		case ">":
			answer := i+1 < len(events) && events[i+1].kind == "<"
			if err := r.send(e, answer); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
		case "<":
			if err := r.receive(e); err != nil {
				problems = append(problems, err)
			}
		case ">EOF":
			if c := r.conns[e.conn]; c != nil {
				c.Close()
			}
			delete(r.conns, e.conn)
		}
	}
	return errors.Join(problems...)
}

// send sends one request. If no answer follows, it checks that none comes: a sentinel's must be the next, or the end of
// the stream for quit.
func (r *wireReplay) send(e wireEvent, answered bool) error {
	c := r.conns[e.conn]
	if c == nil {
		var err error
		if c, err = r.endpoint.connect(); err != nil {
			return err
		}
		r.conns[e.conn] = c
	}
	text := casNumber.ReplaceAllFunc(e.text, func(line []byte) []byte {
		m := casNumber.FindSubmatch(line)
		if mine, ok := r.unique[string(m[2])]; ok {
			return slices.Concat(m[1], []byte(mine), m[3])
		}
		return line
	})
	if answered {
		if err := c.SetWriteDeadline(time.Now().Add(r.timeout)); err != nil {
			return err
		}
		_, err := c.Write(text)
		return err
	}
	answer, closed, err := c.exchangeWithin(text, r.timeout)
	if err != nil || len(answer) > 0 || closed != (string(text) == "quit\r\n") {
		return fmt.Errorf("%s: got %s, closed %v, %v; want no answer", quote(text), quote(answer), closed, err)
	}
	return nil
}

var casNumber = regexp.MustCompile(`(?m)^(cas \S+ \d+ \d+ \d+ )(\d+)( ?\r)`)

// receive reads as many answers as were recorded, and checks with a sentinel that no more came.
func (r *wireReplay) receive(e wireEvent) error {
	want, err := units(e.text)
	if err != nil && !bytes.HasPrefix(e.text, []byte("STAT ")) {
		return err
	}
	c := r.conns[e.conn]
	mark, end := newSentinel()
	if _, err := c.Write(mark); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	text, err := c.until(end, time.Now().Add(r.timeout))
	if err != nil {
		return fmt.Errorf("%w: %w, after %s, want %s", errLost, err, quote(text), quote(e.text))
	}
	got, err := units(text)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(e.text, []byte("STAT ")) {
		return wholeStats(got)
	}
	if len(got) != len(want) {
		return fmt.Errorf("got %s, want %s", quote(text), quote(e.text))
	}
	for i := range want {
		if err := r.same(got[i], want[i]); err != nil {
			return err
		}
	}
	return nil
}

// same compares an answer with the recorded one, and learns its cas number.
func (r *wireReplay) same(got, want unit) error {
	g, w := strings.Split(string(got.line()), " "), strings.Split(string(want.line()), " ")
	if w[0] == "VERSION" && g[0] == "VERSION" && len(g) == 2 {
		return nil
	}
	if w[0] == "VALUE" && len(w) == 5 && len(g) == 5 {
		if _, err := strconv.ParseUint(g[4], 10, 64); err != nil {
			return fmt.Errorf("cas number in %q: %w", got.line(), err)
		}
		r.unique[w[4]] = g[4]
		g[4] = w[4]
	}
	if !slices.Equal(g, w) || !bytes.Equal(got.data(), want.data()) {
		return fmt.Errorf("got %s, want %s", quote(got), quote(want))
	}
	return nil
}

// wholeStats checks that an answer has the form of statistics.
func wholeStats(got []unit) error {
	for i, u := range got {
		if i == len(got)-1 && string(u) == "END\r\n" && i > 20 {
			return nil
		}
		if f := bytes.Fields(u); len(f) < 3 || string(f[0]) != "STAT" {
			return fmt.Errorf("%q among statistics", u)
		}
	}
	return fmt.Errorf("statistics of %d lines without an end", len(got))
}

var shortened = regexp.MustCompile(`x\.\.\.\[(\d+) bytes\]$`)

// expand restores what the recording shortened: a data block of x's that was written or read in several pieces, each
// given by its beginning and its length.
func expand(events []wireEvent) []wireEvent {
	var expanded []wireEvent
	for _, e := range events {
		m := shortened.FindSubmatch(e.text)
		last := len(expanded) - 1
		more := last >= 0 && expanded[last].kind == e.kind && expanded[last].conn == e.conn && bytes.HasPrefix(e.text, []byte("xxx"))
		if m != nil {
			n, _ := strconv.Atoi(string(m[1]))
			line := e.text[:bytes.IndexByte(e.text, '\n')+1]
			e.text = append(bytes.Clone(line), bytes.Repeat([]byte("x"), n-len(line))...)
		}
		if more {
			expanded[last].text = append(expanded[last].text, e.text...)
		} else {
			expanded = append(expanded, e)
		}
	}
	for i, e := range expanded {
		end := "\r\n"
		if bytes.HasPrefix(e.text, []byte("VALUE ")) {
			end = "\r\nEND\r\n"
		}
		if bytes.HasSuffix(e.text, []byte("xxx")) {
			copy(e.text[len(e.text)-len(end):], end)
			expanded[i] = e
		}
	}
	return expanded
}
