package workload

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"mcproxy/protocol"
)

// A traceReader reads the format of the public cache traces (Yang, Yue, Rashmi, "A large-scale analysis of hundreds of
// in-memory cache clusters at Twitter", OSDI 2020), a line a request:
//
//	time in seconds, key, key size, value size, client, operation, ttl
//
// Times are whole seconds, so the requests of one second are spread over it evenly. Values, which a trace has not, are made
// up. A cas is replayed as a set, as no trace has cas numbers; incr and decr change by 1.
type traceReader struct {
	in    *bufio.Reader
	conns int
	block []byte
	line  int

	second  []record // those read of one second, with their times
	next    int      // of second
	held    record   // the first of the following second
	hasHeld bool
	skipped []error // met while reading ahead
	err     error   // the end
}

const (
	maxTraceValue  = 8 << 20 // larger values are cut to it
	maxTraceSecond = 1 << 20 // requests of one second that are read ahead
	maxTraceLine   = 4096
)

func newTraceReader(in *bufio.Reader, opts *Options) *traceReader {
	return &traceReader{in: in, conns: opts.Conns, block: newBlock(opts.Seed, maxTraceValue)}
}

func (t *traceReader) read() (record, error) {
	for {
		if n := len(t.skipped); n > 0 {
			err := t.skipped[0]
			t.skipped = t.skipped[1:]
			return record{}, err
		}
		if t.next < len(t.second) {
			r := t.second[t.next]
			t.next++
			return r, nil
		}
		if t.err != nil && !t.hasHeld {
			return record{}, t.err
		}
		t.readSecond()
	}
}

// readSecond reads the requests of one second.
func (t *traceReader) readSecond() {
	t.second, t.next = t.second[:0], 0
	if t.hasHeld {
		t.second, t.hasHeld = append(t.second, t.held), false
	}
	for t.err == nil && len(t.second) < maxTraceSecond {
		r, err := t.readLine()
		if errors.Is(err, errSkipped) {
			t.skipped = append(t.skipped, err)
			continue
		}
		if err != nil {
			t.err = err
			break
		}
		if len(t.second) > 0 && r.at != t.second[0].at {
			t.held, t.hasHeld = r, true
			break
		}
		t.second = append(t.second, r)
	}
	for i := range t.second {
		t.second[i].at += time.Duration(i) * time.Second / time.Duration(len(t.second))
	}
}

func (t *traceReader) readLine() (record, error) {
	line, err := t.in.ReadSlice('\n')
	t.line++
	tooLong := false
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		line, err = t.in.ReadSlice('\n')
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return record{}, err
	}
	if tooLong || len(line) > maxTraceLine {
		return record{}, fmt.Errorf("line %d: %w: too long", t.line, errSkipped)
	}
	r, err := t.parse(bytes.TrimRight(line, "\r\n"))
	if err != nil {
		return record{}, fmt.Errorf("line %d: %w: %w: %.60q", t.line, errSkipped, err, line)
	}
	return r, nil
}

// parse reads one line. Keys may hold commas, so the fields behind the key are taken from the end.
func (t *traceReader) parse(line []byte) (record, error) {
	timeText, rest, ok := bytes.Cut(line, []byte(","))
	var fields [5][]byte // key size, value size, client, operation, ttl
	for i := len(fields) - 1; ok && i >= 0; i-- {
		comma := bytes.LastIndexByte(rest, ',')
		if comma < 0 {
			ok = false
			break
		}
		fields[i], rest = rest[comma+1:], rest[:comma]
	}
	if !ok {
		return record{}, errors.New("want time,key,key size,value size,client,operation,ttl")
	}
	at, err1 := strconv.ParseInt(string(timeText), 10, 64)
	size, err2 := strconv.Atoi(string(fields[1]))
	ttl, err3 := strconv.ParseInt(string(fields[4]), 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil || at < 0 || size < 0 || at > math.MaxInt64/int64(time.Second) {
		return record{}, errors.New("time, value size and ttl must be whole numbers")
	}
	if !protocol.TextKey(rest) {
		return record{}, errors.New("a key of 1 to 250 bytes without blanks is wanted")
	}
	r := record{at: time.Duration(at) * time.Second, conn: connOf(rest, t.conns)}
	o := &r.op
	o.Key, o.Width = bytes.Clone(rest), 1
	switch string(fields[3]) {
	case "get":
		o.Verb = protocol.Get
	case "gets":
		o.Verb = protocol.Gets
	case "set", "cas":
		o.Verb = protocol.Set
	case "add":
		o.Verb = protocol.Add
	case "replace":
		o.Verb = protocol.Replace
	case "append":
		o.Verb = protocol.Append
	case "prepend":
		o.Verb = protocol.Prepend
	case "delete":
		o.Verb = protocol.Delete
	case "incr":
		o.Verb, o.Delta = protocol.Incr, 1
	case "decr":
		o.Verb, o.Delta = protocol.Decr, 1
	default:
		return record{}, fmt.Errorf("no operation %q", fields[3])
	}
	o.Kind = kindOf(o.Verb)
	if o.Verb.IsStorage() {
		offset := int(mix64(uint64(t.line)) % blockSpare)
		o.Value = t.block[offset : offset+min(size, maxTraceValue)]
		o.Exptime = int32(min(max(ttl, 0), maxRelative))
	}
	return r, nil
}

// maxRelative is the longest ttl in seconds that memcached does not take for a date.
const maxRelative = 30 * 24 * 3600
