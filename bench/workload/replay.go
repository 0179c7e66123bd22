package workload

import (
	"bufio"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"sync"
	"time"

	"mcproxy/protocol"
)

// ReplayFigures is what a replayed file held.
type ReplayFigures struct {
	Commands     int64  `json:"commands"` // read and handed to the conns
	Skipped      int64  `json:"skipped"`  // lines that are no command, or none that can be replayed
	FirstSkipped string `json:"first_skipped,omitempty"`
}

// A record is one command of a file.
type record struct {
	op   Op
	at   time.Duration // since the file's first, as recorded
	conn int           // that is to send it
}

// errSkipped is wrapped by what a reader says of a line that it leaves out.
var errSkipped = errors.New("skipped")

// A recordReader reads a file: io.EOF is its end, errSkipped a line that was left out, and the next call goes on behind it.
type recordReader interface {
	read() (record, error)
}

// A replay hands the commands of a file to conns, in the file's order. Those of one key, or of one recorded client, are all
// one conn's, so that they cannot overtake each other.
type replay struct {
	opts *Options
	file io.Closer

	mu      sync.Mutex
	reader  recordReader // guarded by mu, as all below
	queues  []queue      // by conn
	done    bool
	first   time.Duration // of the first record
	figures ReplayFigures
	err     error // the file could not be read on
}

// A queue is what a conn is to send and has not yet.
type queue struct {
	records []record
	head    int
}

const (
	maxQueued  = 4096                   // records read for one conn while another has none
	queuePause = 200 * time.Microsecond // until a conn without a record asks again
)

// newReplay opens the file; "-" is the standard input.
func newReplay(opts *Options) (*replay, error) {
	file := os.Stdin
	if opts.File != "-" {
		var err error
		if file, err = os.Open(opts.File); err != nil {
			return nil, err
		}
	}
	p := &replay{opts: opts, file: file, queues: make([]queue, opts.Conns), first: -1}
	in := bufio.NewReaderSize(file, 1<<20)
	if opts.Workload == Trace {
		p.reader = newTraceReader(in, opts)
	} else {
		p.reader = &commandReader{in: in, conns: opts.Conns, client: -1}
	}
	return p, nil
}

// A replayStream is one conn's part of a replay.
type replayStream struct {
	*replay
	conn int
}

func (s replayStream) Next(o *Op, at time.Duration) Step {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.queues[s.conn]
	for q.empty() && !s.done {
		if full := s.advance(); full {
			o.At = at + queuePause
			return Later
		}
	}
	if q.empty() {
		return Ended
	}
	r := &q.records[q.head]
	due := time.Duration(0)
	if s.opts.Speed > 0 {
		// Never 0, which is for an operation without a time of its own.
		due = max(time.Duration(float64(r.at-s.first)/s.opts.Speed), 1)
		if due > at {
			o.At = due
			return Later
		}
	}
	*o = r.op
	o.At = due
	q.pop()
	return Ready
}

// advance reads one record and queues it; full says that its queue has no room for another. The caller holds mu.
func (p *replay) advance() (full bool) {
	r, err := p.reader.read()
	switch {
	case errors.Is(err, errSkipped):
		if p.figures.Skipped++; p.figures.Skipped == 1 {
			p.figures.FirstSkipped = err.Error()
		}
		return false
	case err != nil:
		if !errors.Is(err, io.EOF) {
			p.err = err
		}
		p.done = true
		return false
	}
	p.figures.Commands++
	if p.first < 0 {
		p.first = r.at
	}
	q := &p.queues[r.conn]
	q.records = append(q.records, r)
	return len(q.records)-q.head >= maxQueued
}

func (q *queue) empty() bool { return q.head == len(q.records) }

func (q *queue) pop() {
	q.records[q.head] = record{}
	q.head++
	if q.empty() {
		q.records, q.head = q.records[:0], 0
	}
}

// report closes the file and says what it held.
func (p *replay) report() (*ReplayFigures, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.file.Close() // nothing was written
	if p.err != nil {
		return nil, fmt.Errorf("%s: %w", p.opts.File, p.err)
	}
	if p.figures.Commands == 0 {
		if p.figures.Skipped > 0 {
			return nil, fmt.Errorf("%s: no line is a command; %s", p.opts.File, p.figures.FirstSkipped)
		}
		return nil, fmt.Errorf("%s: empty", p.opts.File)
	}
	return &p.figures, nil
}

// connOf gives the conn of all commands of a key.
func connOf(key []byte, conns int) int {
	h := fnv.New64a()
	_, _ = h.Write(key) // never fails
	return int(mix64(h.Sum64()) % uint64(conns))
}

// kindOf is what a replayed verb's latency is counted under.
func kindOf(v protocol.Verb) Kind {
	switch {
	case v.IsRetrieval() || v == protocol.MetaGet:
		return KindGet
	case v.IsStorage():
		return KindSet
	case v == protocol.Delete || v == protocol.MetaDelete:
		return KindDelete
	case v == protocol.Touch:
		return KindTouch
	case v == protocol.Incr || v == protocol.Decr || v == protocol.MetaArithmetic:
		return KindIncr
	}
	return KindOther
}
