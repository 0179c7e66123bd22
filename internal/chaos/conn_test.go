package chaos

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"mcproxy/internal/history"
)

// conn is a client's conn to a proxy. It is used by one goroutine.
type conn struct {
	net.Conn
	in   *bufio.Reader
	data []byte // scratch: the value last read
}

func dial(address string, patience time.Duration) (*conn, error) {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, 64<<10)}, nil
}

// errOutOfStep says that an answer is none to its request, which no fault excuses.
var errOutOfStep = errors.New("out of step")

// An answer's line and the value behind it, valid until the next.
type answer struct {
	line  []byte
	words [][]byte
	data  []byte
}

func (c *conn) next() (a answer, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	a.line = bytes.Clone(bytes.TrimSuffix(line, []byte("\r\n")))
	a.words = bytes.Fields(a.line)
	if len(a.words) == 0 {
		return a, fmt.Errorf("%w: %q", errOutOfStep, line)
	}
	var size []byte
	switch {
	case string(a.words[0]) == "VALUE" && len(a.words) >= 4:
		size = a.words[3]
	case string(a.words[0]) == "VA" && len(a.words) >= 2:
		size = a.words[1]
	default:
		return a, nil
	}
	n, err := strconv.Atoi(string(size))
	if err != nil || n < 0 || n > 64<<20 {
		return a, fmt.Errorf("%w: %q", errOutOfStep, line)
	}
	if cap(c.data) < n+2 {
		c.data = make([]byte, n+2)
	}
	c.data = c.data[:n+2]
	if _, err := io.ReadFull(c.in, c.data); err != nil {
		return a, err
	}
	if string(c.data[n:]) != "\r\n" {
		return a, fmt.Errorf("%w: %d bytes behind %q do not end the value", errOutOfStep, n, line)
	}
	a.data = c.data[:n]
	return a, nil
}

// request is a command on its way: one op for each key of a retrieval, else one.
type request struct {
	text []byte
	ops  []*history.Op
	meta bool
	bare bool // touch: a word for an answer, of which nothing follows

	restarts int64 // Swap: of memcacheds, when its cas number was read

	failed          bool // it was answered with an error
	hits, splitHits int
}

// finish reads the answer and fills the ops in. An error is the conn's end, unless it is errOutOfStep.
func (r *request) finish(c *conn, errorsTold bool) (torn error, err error) {
	at := 0
	for {
		a, err := c.next()
		if err != nil {
			return torn, err
		}
		word := string(a.words[0])
		op := r.ops[0]
		switch {
		case word == "SERVER_ERROR" && at == 0:
			r.failed = true
			op.Outcome = history.Failed
			return torn, nil
		case r.bare && (word == "TOUCHED" || word == "NOT_FOUND"):
			return nil, nil
		case op.Kind != history.Read:
			return nil, outcome(op, word, errorsTold)
		case r.meta && word == "VA", !r.meta && word == "VALUE":
			if !r.meta {
				for at < len(r.ops) && r.ops[at].Key != string(a.words[1]) {
					at++
				}
			}
			if at == len(r.ops) {
				return torn, fmt.Errorf("%w: %q was not asked for", errOutOfStep, a.line)
			}
			if wrong := found(r.ops[at], a); wrong != nil {
				torn = wrong
			}
			r.hits++
			if len(a.data) > splitThreshold {
				r.splitHits++
			}
			at++
			if r.meta {
				return torn, nil
			}
		case r.meta && word == "EN", !r.meta && word == "END":
			return torn, nil
		default:
			return torn, fmt.Errorf("%w: %q", errOutOfStep, a.line)
		}
	}
}

// found takes what a read found.
func found(op *history.Op, a answer) error {
	if len(a.words) >= 5 && string(a.words[0]) == "VALUE" {
		op.CAS, _ = strconv.ParseUint(string(a.words[4]), 10, 64)
	}
	if len(a.words) >= 3 && string(a.words[0]) == "VA" {
		op.CAS, _ = strconv.ParseUint(string(bytes.TrimPrefix(a.words[2], []byte("c"))), 10, 64)
	}
	pieces, err := history.Decode(op.Key, a.data)
	if err != nil {
		return fmt.Errorf("%s %s: %w", op.Verb, op.Key, err)
	}
	if flags := string(a.words[2]); string(a.words[0]) == "VALUE" && flags != strconv.Itoa(int(flagsOf(pieces[0]))) {
		return fmt.Errorf("%s %s: finds %x with flags %s", op.Verb, op.Key, pieces, flags)
	}
	op.Pieces = pieces
	return nil
}

// outcome is what the answer to a write says. Where failures are told as errors, a refusal is one; else it may be a failure.
func outcome(op *history.Op, word string, errorsTold bool) error {
	switch word {
	case "STORED", "DELETED", "HD":
		op.Outcome = history.Done
	case "EXISTS", "EX":
		op.Outcome = history.Refused
	case "NOT_STORED", "NOT_FOUND", "NS", "NF":
		op.Outcome = history.Failed
		if errorsTold {
			op.Outcome = history.Refused
		}
	default:
		return fmt.Errorf("%w: %s answered %q", errOutOfStep, op.Verb, word)
	}
	return nil
}
