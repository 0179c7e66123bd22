package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// chaos is checked traffic through an endpoint whose servers hang, die and come back. It knows what a read may say: the
// version of a key only rises, and once a write was answered, with success or without, no older version may be seen.
//
// Each key has one writer, so that its versions have an order; every client reads every key.
type chaos struct {
	endpoint endpoint
	limit    time.Duration // for an answer
	patience time.Duration // after which an answer counts as lost
	refusals bool          // SERVER_ERROR is an answer too
	keys     []*versioned

	stop    atomic.Bool
	clients sync.WaitGroup

	mu       sync.Mutex // guards what follows
	problems []string
	count    int
	slowest  time.Duration
	tally    map[string]int // answers by their first word
}

// versioned is a key whose values carry a version.
type versioned struct {
	name    string
	counter bool // its value is the version itself, so that incr makes the next

	mu    sync.Mutex
	last  int // the newest version that was sent; only the writer changes it
	floor int // the oldest version that a read which begins now may see
}

func (v *versioned) value(version int) string {
	if v.counter {
		return strconv.Itoa(version)
	}
	return fmt.Sprintf("%s:%d:%s", v.name, version, strings.Repeat("x", version%300))
}

// version reads a value back.
func (v *versioned) version(value string) (int, bool) {
	text := value
	if !v.counter {
		parts := strings.Split(value, ":")
		if len(parts) != 3 || parts[0] != v.name {
			return 0, false
		}
		text = parts[1]
	}
	n, err := strconv.Atoi(strings.TrimRight(text, " "))
	return n, err == nil && strings.TrimRight(value, " ") == v.value(n)
}

func (v *versioned) lowest() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.floor
}

func (v *versioned) next() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last++
	return v.last
}

// raise says that no version below n may be seen any more.
func (v *versioned) raise(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.floor = max(v.floor, n)
}

// chaosOp is one command and what its answer may be.
type chaosOp struct {
	text    string
	keys    []*versioned
	minimum []int  // by key: the oldest version that may be seen
	write   string // "", or what the answer says of success: "STORED", "DELETED", "HD", "" and number for incr
	verb    string
	version int // of a write
}

const (
	chaosKeys     = 40 // of each client
	chaosCounters = 5
)

// chaosRuns numbers the runs, so that each has keys of its own.
var chaosRuns atomic.Int64

func newChaos(ep endpoint, limit time.Duration, refusals bool) *chaos {
	return &chaos{endpoint: ep, limit: limit, patience: answerTimeout, refusals: refusals, tally: map[string]int{}}
}

// start starts so many clients.
func (c *chaos) start(seed uint64, clients int) {
	run := chaosRuns.Add(1)
	owned := make([][]*versioned, clients)
	for i := range clients {
		for j := range chaosKeys {
			owned[i] = append(owned[i], &versioned{name: fmt.Sprintf("chaos%d-%d-%d", run, i, j), counter: j < chaosCounters})
		}
		c.keys = append(c.keys, owned[i]...)
	}
	for i := range clients {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		c.clients.Go(func() { c.client(i, rng, owned[i]) })
	}
}

// finish ends the traffic and reads every key once more on conns of their own.
func (c *chaos) finish() {
	c.stop.Store(true)
	c.clients.Wait()
	for range 4 { // conns on either worker
		conn, err := c.endpoint.connect()
		if err != nil {
			c.problem("connect: %v", err)
			return
		}
		for at := 0; at < len(c.keys); at += 20 {
			var ops []*chaosOp
			for _, v := range c.keys[at:min(len(c.keys), at+20)] {
				ops = append(ops, c.read("get", v))
			}
			if !c.exchange("last look", conn, ops) {
				break
			}
		}
		conn.Close()
	}
}

func (c *chaos) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count++; c.count <= 20 {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

// client sends batches of 1 to 12 commands until the end. A conn that is closed or out of step ends it.
func (c *chaos) client(number int, rng *rand.Rand, owned []*versioned) {
	name := fmt.Sprintf("client %d", number)
	conn, err := c.endpoint.connect()
	if err != nil {
		c.problem("%s: connect: %v", name, err)
		return
	}
	defer conn.Close()
	for !c.stop.Load() {
		var ops []*chaosOp
		n := 1
		if rng.IntN(3) == 0 {
			n = 1 + rng.IntN(12)
		}
		written := map[*versioned]int{}
		for range n {
			op := c.operation(rng, owned)
			for i, v := range op.keys {
				op.minimum[i] = max(op.minimum[i], written[v])
			}
			if op.version > 0 {
				written[op.keys[0]] = op.version
			}
			ops = append(ops, op)
		}
		if !c.exchange(name, conn, ops) {
			return
		}
	}
}

func (c *chaos) operation(rng *rand.Rand, owned []*versioned) *chaosOp {
	mine, any := owned[rng.IntN(len(owned))], c.keys[rng.IntN(len(c.keys))]
	switch n := rng.IntN(100); {
	case n < 30:
		return write("set", mine)
	case n < 36:
		return write("ms", mine)
	case n < 40:
		return write("delete", mine)
	case n < 48:
		return write("incr", owned[rng.IntN(chaosCounters)])
	case n < 70:
		return c.read("get", any)
	case n < 85:
		return c.read("mg", any)
	default:
		var some []*versioned
		for range 2 + rng.IntN(15) {
			some = append(some, c.keys[rng.IntN(len(c.keys))])
		}
		return c.read("get", some...)
	}
}

func (c *chaos) read(verb string, keys ...*versioned) *chaosOp {
	op := &chaosOp{verb: verb, keys: keys, text: verb}
	for _, v := range keys {
		op.text += " " + v.name
		op.minimum = append(op.minimum, v.lowest())
	}
	if verb == "mg" {
		op.text += " k v"
	}
	op.text += "\r\n"
	return op
}

func write(verb string, v *versioned) *chaosOp {
	n := v.next()
	op := &chaosOp{verb: verb, keys: []*versioned{v}, minimum: []int{0}, version: n}
	value := v.value(n)
	switch verb {
	case "set":
		op.text, op.write = fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", v.name, len(value), value), "STORED"
	case "ms":
		op.text, op.write = fmt.Sprintf("ms %s %d\r\n%s\r\n", v.name, len(value), value), "HD"
	case "delete":
		op.text, op.write = fmt.Sprintf("delete %s\r\n", v.name), "DELETED"
	case "incr":
		op.text, op.write = fmt.Sprintf("incr %s 1\r\n", v.name), strconv.Itoa(n)
	}
	return op
}

// exchange sends a batch in one write and checks each answer. It is false when the conn is of no more use.
func (c *chaos) exchange(name string, conn *client, ops []*chaosOp) bool {
	var text []byte
	for _, op := range ops {
		text = append(text, op.text...)
	}
	start := time.Now()
	deadline := start.Add(c.patience)
	if err := conn.SetWriteDeadline(deadline); err != nil {
		c.problem("%s: %v", name, err)
		return false
	}
	if _, err := conn.Write(text); err != nil {
		c.problem("%s: the conn was closed: %v", name, err)
		return false
	}
	for i, op := range ops {
		err := c.answer(conn, op, deadline)
		took := time.Since(start)
		if err != nil {
			c.problem("%s: %q (%d of %d, after %v): %v", name, op.text, i+1, len(ops), took, err)
		}
		if errors.Is(err, errLost) {
			return false
		}
		c.mu.Lock()
		c.slowest = max(c.slowest, took)
		c.mu.Unlock()
		if took > c.limit && took > c.limit+lag.since(start) {
			c.problem("%s: %q: answered after %v", name, op.text, took)
		}
	}
	return true
}

// answer takes and checks the answer to one command. errLost in it says that the conn is of no more use.
func (c *chaos) answer(conn *client, op *chaosOp, deadline time.Time) error {
	at := 0 // the next key of op that may be in a VALUE
	for {
		u, err := conn.unit(deadline)
		if err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
		word, _, _ := strings.Cut(string(u.line()), " ")
		c.counted(word)
		switch {
		case word == "SERVER_ERROR" && c.refusals && at == 0:
			if op.version > 0 {
				op.keys[0].raise(op.version)
			}
			return nil
		case op.version > 0:
			return op.written(word, u)
		case word == "END" && op.verb == "get", word == "EN" && op.verb == "mg":
			return nil
		case word == "VALUE" && op.verb == "get", word == "VA" && op.verb == "mg":
			if at, err = op.seen(u, at); err != nil || op.verb == "mg" {
				return err
			}
		default:
			return fmt.Errorf("%w: %q is no answer to it", errLost, u)
		}
	}
}

func (c *chaos) counted(word string) {
	if word[0] <= '9' {
		word = "a number"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally[word]++
}

func (c *chaos) answers(word string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally[word]
}

// written checks the answer to a write: success, or what a failed one is told. In both cases what was there before must
// never be seen again.
func (op *chaosOp) written(word string, answer unit) error {
	op.keys[0].raise(op.version)
	failed := map[string]string{"set": "NOT_STORED", "ms": "NS", "delete": "NOT_FOUND", "incr": "NOT_FOUND"}
	if word == "SERVER_ERROR" && bytes.HasSuffix(answer, []byte(": stored, but an old copy elsewhere could not be cleared\r\n")) {
		return nil // its server was away a moment ago, and another is: see docs/operations.md
	}
	if word != op.write && word != failed[op.verb] {
		return fmt.Errorf("%w: answered %q", errLost, answer)
	}
	return nil
}

// seen checks a value that a read brought; at is the first key of op that it may belong to. It gives the next.
func (op *chaosOp) seen(u unit, at int) (int, error) {
	fields := strings.Fields(string(u.line()))
	name := fields[1]
	if op.verb == "mg" {
		name = strings.TrimPrefix(fields[2], "k")
	}
	for at < len(op.keys) && op.keys[at].name != name {
		at++
	}
	if at == len(op.keys) {
		return at, fmt.Errorf("%w: %q is of a key that was not asked for, or out of order", errLost, u)
	}
	v, low := op.keys[at], op.minimum[at]
	n, ok := v.version(string(bytes.TrimSuffix(u.data(), []byte("\r\n"))))
	if !ok {
		return at, fmt.Errorf("%w: %q is no value of that key", errLost, u)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.floor = max(v.floor, n)
	switch {
	case n < low:
		return at + 1, fmt.Errorf("STALE: version %d of %s, want %d or newer, or nothing", n, name, low)
	case n > v.last:
		return at + 1, fmt.Errorf("version %d of %s, of which %d was the newest ever sent", n, name, v.last)
	}
	return at + 1, nil
}
