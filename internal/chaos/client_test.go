package chaos

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"mcproxy/internal/history"
)

// client sends one batch of commands after the other, through one proxy or another.
type client struct {
	run    *run
	number int
	rng    *rand.Rand

	conn  *conn // nil: none
	proxy int   // index
	seq   uint64
	round *round
	log   []history.Op // of round

	token *token // the last one that a read brought
	many  bulk
}

// token is an item's cas number, and what it stood for.
type token struct {
	key      string
	cas      uint64
	id       history.ID
	restarts int64 // of memcacheds, when it was asked for
}

const longBatch = 16 // commands at once, at most

// work goes on until the run is over.
func (c *client) work() {
	for {
		last := c.round
		if c.round = c.run.rounds.enter(last, c.whole); c.round != last {
			c.log, c.token = nil, nil
		}
		if c.round == nil {
			c.hangUp()
			return
		}
		if c.conn == nil || c.rng.IntN(300) == 0 {
			c.dial()
		}
		switch {
		case c.conn == nil:
		case c.run.variant.bulk && c.rng.IntN(100) < bulkShare:
			c.bulk()
		default:
			c.batch()
		}
	}
}

// whole is the log of a round that is left.
func (c *client) whole() []history.Op {
	c.tellAll()
	return c.log
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// dial goes to any proxy. One that is away is not waited for.
func (c *client) dial() {
	c.hangUp()
	c.proxy = c.rng.IntN(len(c.run.proxies))
	conn, err := dial(c.run.proxies[c.proxy].address, time.Second)
	if err != nil {
		time.Sleep(5 * time.Millisecond) // not to spin; nothing depends on how long
		return
	}
	c.conn = conn
}

// batch sends some commands and takes their answers.
func (c *client) batch() {
	n := 1
	if c.run.variant.bulk || c.rng.IntN(2) == 0 {
		n += c.rng.IntN(longBatch)
	}
	var requests []*request
	var text []byte
	restarts := c.run.restarts.Load()
	for range n {
		r := c.command()
		requests = append(requests, r)
		text = append(text, r.text...)
	}
	c.begin(requests)
	// Longer than a proxy ever takes, but not always than one is stopped: then the answer is lost, and the write comes late.
	deadline := time.Now().Add(time.Duration(700+c.rng.IntN(1800)) * time.Millisecond)
	_ = c.conn.SetDeadline(deadline)
	_, err := c.conn.Write(text)
	for i, r := range requests {
		var torn error
		if err == nil {
			torn, err = r.finish(c.conn, c.run.errorsTold)
		}
		if err != nil {
			if errors.Is(err, errOutOfStep) {
				c.violation(r.ops[0], "answer: "+err.Error())
			}
			c.lose(requests[i:])
			c.hangUp()
			return
		}
		if torn != nil {
			c.violation(r.ops[0], "value: "+torn.Error())
		}
		c.end(r, restarts)
	}
}

// begin sets the time of the call, and tells the stream.
func (c *client) begin(requests []*request) {
	now := c.run.now()
	for _, r := range requests {
		for _, op := range r.ops {
			op.Call = now
			c.watch(op).begin(op)
		}
	}
}

// watch is what sees all operations on op's key.
func (c *client) watch(op *history.Op) *watch {
	if strings.HasPrefix(op.Key, alwaysName) {
		return &c.run.always
	}
	return &c.round.watch
}

// violation reports what is wrong with op: at once, or when the round is judged and all that was going on is known.
func (c *client) violation(op *history.Op, what string) {
	v := history.Violation{Key: op.Key, What: what, Ops: []history.Op{*op}}
	if c.watch(op) == &c.run.always {
		c.run.report.violation(v)
		return
	}
	c.round.mu.Lock()
	defer c.round.mu.Unlock()
	c.round.violations = append(c.round.violations, v)
}

func (c *client) record(op *history.Op) {
	if !strings.HasPrefix(op.Key, alwaysName) {
		c.log = append(c.log, *op)
	}
}

// end notes an answer.
func (c *client) end(r *request, restarts int64) {
	now := c.run.now()
	if r.restarts != c.run.restarts.Load() {
		r.ops[0].Expect = 0 // of a server that may be another by now
	}
	for _, op := range r.ops {
		op.Return = now
		if what := c.watch(op).end(op); what != "" {
			c.violation(op, "stream: "+what)
		}
		if op.Kind != history.Read || len(op.Pieces) > 0 {
			c.record(op)
		}
		if op.Kind == history.Read && op.CAS != 0 && len(op.Pieces) > 0 {
			c.token = &token{op.Key, op.CAS, op.Pieces[len(op.Pieces)-1], restarts}
		}
	}
	c.count(r)
}

// count adds an answer to the figures.
func (c *client) count(r *request) {
	c.run.report.add(func(f *figures) {
		op := r.ops[0]
		switch {
		case r.failed:
			f.failures++
		case op.Kind == history.Read:
			f.reads += uint64(len(r.ops))
			f.hits += uint64(r.hits)
			f.split += uint64(r.splitHits)
			return
		case op.Outcome == history.Failed:
			f.failures++
		}
		if op.Kind == history.Read {
			return
		}
		f.writes++
		if op.Outcome == history.Done {
			f.writesDone++
			switch op.Kind {
			case history.Swap:
				f.swaps++
			case history.Append:
				f.appends++
			}
		}
	})
}

// lose notes writes whose answers do not come any more. Reads are no loss.
func (c *client) lose(requests []*request) {
	now := c.run.now()
	for _, r := range requests {
		if op := r.ops[0]; op.Kind != history.Read {
			op.Return, op.Outcome = now, history.Lost
			c.watch(op).end(op)
			c.record(op)
			c.run.report.add(func(f *figures) { f.lost++ })
		}
	}
}
