package pool_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/split"
)

// An effect is what a request does to its key.
type effect uint8

const (
	reads effect = iota
	touches
	sets
	adds
	replaces
	appends
	swaps // cas
	deletes
)

func (e effect) String() string {
	return [...]string{"read", "touch", "set", "add", "replace", "append", "cas", "delete"}[e]
}

// An outcome is what the client was told.
type outcome uint8

const (
	unknown outcome = iota // nothing, a failure, or what may be one
	wasThere
	wasGone // also NOT_FOUND
	done    // STORED, DELETED, TOUCHED, HD
	refused // NOT_STORED: nothing was changed
	exists
	senseless // no answer to such a request
)

// A pairOp is one client's request as it concerns one key.
type pairOp struct {
	effect  effect
	outcome outcome
	failed  bool // the client was told so: the answer is an error, or NOT_STORED to a set
	key     byte
	proc    *process
	client  int

	token  string // what a write puts there, or adds
	flags  uint32 // of a write or a value that was read
	value  string // that was read
	unique uint64 // that a cas compares with, or that was told; 0: none
	expect string // of a cas: what was read with that number
	ttl    int32  // seconds; 0: none, or not touched

	start, end   int // ticks; end 0: no answer
	began, ended int64
	line, answer string
}

// A sighting is a value with its cas number.
type sighting struct {
	unique uint64
	value  string
}

// A pairClient issues one request after the other, to one proxy until that crashes.
type pairClient struct {
	w       *pair
	id      int
	proc    int
	worker  int
	left    int
	waiting bool
	uniques map[byte]sighting
}

// A pairRequest is one request of a client, under way. One whose process has crashed is never answered.
type pairRequest struct {
	c    *pairClient
	proc *process
	x    pool.Exchange
	req  protocol.Request
	ops  []*pairOp
}

// later issues the next request after a while.
func (c *pairClient) later() {
	if c.left--; c.left < 0 {
		c.w.busy--
		return
	}
	c.w.net.After(time.Duration(c.w.net.Rand.Int64N(int64(c.w.plan.scale))), func() { c.post(c.choose) })
}

func (c *pairClient) post(choose func() (line []byte, ops []*pairOp)) {
	c.waiting = true
	p := c.w.procs[c.proc]
	wk := p.workers[c.worker%len(p.workers)]
	wk.loop.Post(func() {
		line, ops := choose()
		r := &pairRequest{c: c, proc: p, ops: ops}
		for _, o := range ops {
			o.proc, o.client, o.line = p, c.id, string(line)
			o.start, o.began = c.w.tick(), c.w.net.Now()
		}
		c.w.history = append(c.w.history, ops...)
		r.send(wk, line)
	})
}

func (r *pairRequest) send(wk simWorker, line []byte) {
	n, err := protocol.ParseRequest(line, &r.req)
	if err != nil || n == 0 || r.req.Verb == protocol.Refused {
		panic("no request: " + string(line))
	}
	if r.req.ValueLen >= 0 {
		r.req.TakeValue(line[n:])
	}
	r.x.To = r
	if r.req.NumKeys > 1 {
		g := wk.gatherer.Begin(&r.x, &r.req)
		for _, o := range r.ops {
			g.Add(wk.pool, []byte{o.key})
		}
		g.Send(uint32(r.c.id))
		return
	}
	wk.pool.Do(&r.x, &r.req, uint32(r.c.id))
}

// readAll reads every key, and is done.
func (c *pairClient) readAll() {
	c.post(func() ([]byte, []*pairOp) {
		line := []byte("gets")
		var ops []*pairOp
		for i := range c.w.plan.keys {
			line = append(line, ' ', keyName(i))
			ops = append(ops, &pairOp{key: keyName(i)})
		}
		return append(line, "\r\n"...), ops
	})
}

// choose makes up a request.
func (c *pairClient) choose() (line []byte, ops []*pairOp) {
	rnd := c.w.net.Rand
	key := keyName(rnd.IntN(c.w.plan.keys))
	o := &pairOp{key: key}
	ops = []*pairOp{o}
	if c.w.plan.expiring && rnd.IntN(2) == 0 {
		o.ttl = 1 + rnd.Int32N(3)
	}
	n := rnd.IntN(32)
	if c.w.plan.viral && rnd.IntN(2) == 0 {
		n = 31
	}
	if c.w.plan.copy != nil && rnd.IntN(c.w.plan.copy.calm) > 0 {
		n = []int{0, 3, 31, 31, 31, 31}[rnd.IntN(6)]
	}
	if c.w.plan.rough && rnd.IntN(2) == 0 {
		n = 10 + rnd.IntN(6)
	}
	switch n {
	case 0, 1:
		line = fmt.Appendf(line, "gets %c\r\n", key)
	case 2, 3, 4:
		o.ttl = 0
		if c.w.plan.keys == 1 {
			return fmt.Appendf(line, "mg %c v f c\r\n", key), ops
		}
		line = append(line, [...]string{"get", "gets"}[n%2]...)
		ops = ops[:0]
		for i := range c.w.plan.keys {
			line = append(line, ' ', keyName(i))
			ops = append(ops, &pairOp{key: keyName(i)})
		}
		return append(line, "\r\n"...), ops
	case 5, 6:
		line = fmt.Appendf(line, "mg %c v f c\r\n", key)
	case 7:
		o.effect = touches
		line = fmt.Appendf(line, "%s %c %d\r\n", "touch", key, o.ttl)
		return line, ops
	case 8:
		o.effect = touches
		return fmt.Appendf(line, "gats %d %c\r\n", o.ttl, key), ops
	case 9:
		o.effect = touches
		return fmt.Appendf(line, "mg %c f v T%d s\r\n", key, o.ttl), ops
	case 10, 11:
		o.effect = deletes
		line = fmt.Appendf(line, "%s %c\r\n", [...]string{"delete", "md"}[n%2], key)
	case 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25:
		return c.write(o, n), ops
	default:
		line = fmt.Appendf(line, "get %c\r\n", key)
	}
	o.ttl = 0
	return line, ops
}

// write makes up a storage command. Its value is like no other.
func (c *pairClient) write(o *pairOp, n int) (line []byte) {
	rnd := c.w.net.Rand
	if c.w.net.Rand.IntN(4) > 0 {
		o.flags = rnd.Uint32N(100)
	} else if rnd.IntN(2) == 0 {
		o.flags = split.ReservedFlags
	}
	o.token = fmt.Sprintf("<%c%d%s>", o.key, c.w.tick(), "..............."[:rnd.IntN(16)])
	seen, known := c.uniques[o.key]
	verb := ""
	switch n {
	case 12, 13, 14, 15:
		o.effect, verb = sets, "set"
	case 16:
		o.effect, verb = replaces, "replace"
	case 17, 18:
		o.effect, verb = adds, "add"
	case 19:
		o.effect, verb = appends, "append"
	case 20, 21:
		if known {
			o.effect, o.unique, o.expect = swaps, seen.unique, seen.value
			line = fmt.Appendf(line, "cas %c %d %d %d %d\r\n%s\r\n", o.key, o.flags, o.ttl, len(o.token), o.unique, o.token)
			return line
		}
		o.effect, verb = sets, "set"
	case 22:
		o.effect = sets
		return fmt.Appendf(line, "ms %c %d F%d T%d c\r\n%s\r\n", o.key, len(o.token), o.flags, o.ttl, o.token)
	case 23:
		o.effect = adds
		return fmt.Appendf(line, "ms %c %d ME F%d T%d c\r\n%s\r\n", o.key, len(o.token), o.flags, o.ttl, o.token)
	case 24:
		o.effect, o.ttl = appends, 0
		return fmt.Appendf(line, "ms %c %d MA\r\n%s\r\n", o.key, len(o.token), o.token)
	case 25:
		if known {
			o.effect, o.unique, o.expect = swaps, seen.unique, seen.value
			return fmt.Appendf(line, "ms %c %d C%d F%d T%d\r\n%s\r\n", o.key, len(o.token), o.unique, o.flags, o.ttl, o.token)
		}
		o.effect, verb = sets, "set"
	}
	if o.effect == appends {
		o.ttl = 0
	}
	return fmt.Appendf(line, "%s %c %d %d %d\r\n%s\r\n", verb, o.key, o.flags, o.ttl, len(o.token), o.token)
}

// Finish notes what the client was told.
func (r *pairRequest) Finish(_ *pool.Exchange, answer []byte) {
	if r.proc.dead {
		return
	}
	c := r.c
	text := string(answer)
	rest := answer
	for _, o := range r.ops {
		o.end, o.ended, o.answer = c.w.tick(), c.w.net.Now(), text
		rest = o.understand(rest, len(r.ops) > 1, c.w.plan.faults > 0 && c.w.plan.configs[0].OnError == pool.OnErrorMiss)
		if o.outcome == wasThere && o.unique != 0 {
			c.uniques[o.key] = sighting{o.unique, o.value}
		}
	}
	if len(r.ops) > 1 && r.ops[0].outcome != unknown && string(rest) != protocol.End {
		r.ops[0].outcome = senseless
	}
	c.waiting = false
	c.later()
	if c.w.plan.copy != nil {
		for _, o := range r.ops {
			c.w.plan.copy.watch(o)
		}
	}
}

// understand reads one key's part of an answer and gives what follows it. lenient: what says that nothing was there or done may
// hide a failure.
func (o *pairOp) understand(answer []byte, several, lenient bool) (rest []byte) {
	word, after, _ := bytes.Cut(answer, []byte("\r\n"))
	fields := strings.Fields(string(word))
	if len(fields) == 0 {
		o.outcome = senseless
		return nil
	}
	switch fields[0] {
	case "VALUE", "VA":
		return o.understandValue(fields, after, answer, several)
	case "END", "EN":
		o.outcome = wasGone
		return answer
	case "NOT_FOUND", "NF":
		o.outcome = wasGone
	case "STORED", "DELETED", "TOUCHED", "HD":
		o.outcome = done
		if len(fields) == 2 && fields[1][0] == 'c' {
			o.unique, _ = strconv.ParseUint(fields[1][1:], 10, 64)
		}
	case "NOT_STORED", "NS":
		o.outcome = refused
		o.failed = o.effect == sets
	case "EXISTS", "EX":
		o.outcome = exists
	case "SERVER_ERROR":
		o.failed = true
		return answer
	default:
		o.outcome = senseless
	}
	if o.failed || lenient && (o.outcome == wasGone || o.outcome == refused) {
		o.outcome = unknown
	}
	return answer
}

// understandValue reads a value, if it is the key's.
func (o *pairOp) understandValue(fields []string, after, answer []byte, several bool) (rest []byte) {
	size := -1
	if fields[0] == "VA" {
		size, _ = strconv.Atoi(fields[1])
		for _, f := range fields[2:] {
			n, _ := strconv.ParseUint(f[1:], 10, 64)
			switch f[0] {
			case 'f':
				o.flags = uint32(n)
			case 'c':
				o.unique = n
			case 's':
				if int(n) != size {
					o.outcome = senseless
					return nil
				}
			}
		}
	} else {
		if fields[1] != string(o.key) {
			o.outcome = senseless
			if several {
				o.outcome = wasGone // the next key's, or nobody's
			}
			return answer
		}
		n, _ := strconv.ParseUint(fields[2], 10, 32)
		o.flags = uint32(n)
		size, _ = strconv.Atoi(fields[3])
		if len(fields) > 4 {
			o.unique, _ = strconv.ParseUint(fields[4], 10, 64)
		}
	}
	o.outcome = senseless
	if size < 0 || len(after) < size+2 || string(after[size:size+2]) != "\r\n" {
		return nil
	}
	o.outcome, o.value = wasThere, string(after[:size])
	rest = after[size+2:]
	if !several && fields[0] == "VALUE" && string(rest) != protocol.End || fields[0] == "VA" && len(rest) > 0 {
		o.outcome = senseless
	}
	return rest
}
