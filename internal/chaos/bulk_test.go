package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"mcproxy/internal/history"
)

// Most reads of a long run are of many keys at once, some requests under way: a read costs the clients a glance then. What they find is
// judged like any other read, under one lock for all keys of a request.

const (
	bulkLeast, bulkMost = 50, 100 // keys of a request
	bulkRequests        = 8       // under way at once, at most
	bulkKeys            = 101     // of a round; prime, so that any step through them meets each
	bulkShare           = 60      // percent of a client's turns
)

// A target is a key as reads of many keys see it.
type target struct {
	name     string
	want     []byte // how the line of its value begins
	owner    uint64
	register *history.Register
	watch    *watch
	index    int // in the round's list
}

// newTargets are the keys of a round, and those that last.
func newTargets(r *round, always *watch) []*target {
	var list []*target
	add := func(name string, w *watch) {
		w.mu.Lock()
		defer w.mu.Unlock()
		list = append(list, &target{
			name: name, want: []byte("VALUE " + name + " "), owner: history.Owner(name), register: w.stream.Register(name), watch: w, index: len(list),
		})
	}
	for i := range bulkKeys - alwaysKeys {
		add(r.key(i), &r.watch)
	}
	for i := range alwaysKeys {
		add(alwaysKey(i), always)
	}
	return list
}

// A look is one key of a request of many.
type look struct {
	target *target
	floor  int64
	found  history.ID   // 0: nothing
	pieces []history.ID // if there are several
}

// A bulk is what a client needs for its reads of many keys; it is used again and again.
type bulk struct {
	text      []byte
	looks     [bulkRequests][]look
	stretches []stretch // by target
	missed    []*target // that were not found lately
}

// A stretch is what a client saw of a key as long as it saw one value: what its first read and its last say of it all in between do, too.
type stretch struct {
	first, last sighting
}

type sighting struct {
	id           history.ID
	call, answer int64
}

// ask puts together so many requests.
func (b *bulk) ask(rng *rand.Rand, targets []*target, n int) {
	b.text = b.text[:0]
	for i := range n {
		verb := "get"
		if rng.IntN(4) == 0 {
			verb = "gets"
		}
		b.text = append(b.text, verb...)
		b.looks[i] = b.looks[i][:0]
		at, step := rng.IntN(len(targets)), 1+rng.IntN(len(targets)-1)
		for range bulkLeast + rng.IntN(bulkMost-bulkLeast+1) {
			t := targets[at]
			at = (at + step) % len(targets)
			b.looks[i] = append(b.looks[i], look{target: t})
			b.text = append(append(b.text, ' '), t.name...)
		}
		b.text = append(b.text, "\r\n"...)
	}
}

// bulk reads many keys, and judges what it finds.
func (c *client) bulk() {
	b := &c.many
	if b.stretches == nil {
		b.stretches = make([]stretch, bulkKeys)
	}
	n := 1 + c.rng.IntN(bulkRequests)
	b.ask(c.rng, c.round.targets, n)
	call := c.run.now()
	c.locked(func() {
		for i := range n {
			for j := range b.looks[i] {
				l := &b.looks[i][j]
				l.floor = l.target.register.Floor()
			}
		}
	})
	_ = c.conn.SetDeadline(time.Now().Add(time.Duration(700+c.rng.IntN(1800)) * time.Millisecond))
	_, err := c.conn.Write(b.text)
	b.missed = b.missed[:0]
	for i := range n {
		if err == nil {
			err = c.looked(b.looks[i], call)
		}
	}
	if err != nil {
		if errors.Is(err, errOutOfStep) {
			c.violation(&history.Op{Client: c.number, Key: b.looks[0][0].target.name, Verb: "get", Call: call}, "answer: "+err.Error())
		}
		c.hangUp()
	}
}

// locked has what all clients share of the keys looked at or changed.
func (c *client) locked(do func()) {
	c.round.watch.mu.Lock()
	defer c.round.watch.mu.Unlock()
	c.run.always.mu.Lock()
	defer c.run.always.mu.Unlock()
	do()
}

// looked reads one answer and judges it.
func (c *client) looked(looks []look, call int64) error {
	failed, split, torn, err := c.conn.take(looks)
	for i, wrong := range torn {
		if wrong != nil {
			c.violation(&history.Op{Client: c.number, Key: looks[i].target.name, Verb: fmt.Sprint(c.proxy, ":get"), Call: call}, "value: "+wrong.Error())
		}
	}
	if err != nil {
		return err
	}
	now := c.run.now()
	hits := 0
	var wrong []int
	var what []string
	c.locked(func() {
		for i := range looks {
			l := &looks[i]
			if l.found == 0 {
				continue
			}
			hits++
			said := l.target.watch.stream.Found(l.target.register, history.Sighting{ID: l.found, Floor: l.floor, Call: call, Return: now})
			if said != "" {
				wrong, what = append(wrong, i), append(what, said)
			}
		}
	})
	for i, at := range wrong {
		c.violation(c.opOf(&looks[at], call, now), "stream: "+what[i])
	}
	for i := range looks {
		l := &looks[i]
		switch {
		case l.found == 0 && !failed:
			c.many.missed = append(c.many.missed, l.target)
		case len(l.pieces) > 0:
			c.record(c.opOf(l, call, now))
		case l.found != 0:
			c.saw(l, call, now)
		}
	}
	c.run.report.add(func(f *figures) {
		f.reads += uint64(len(looks))
		f.hits += uint64(hits)
		f.split += uint64(split)
		if failed {
			f.failures++
		}
	})
	return nil
}

// opOf is a look as an operation.
func (c *client) opOf(l *look, call, now int64) *history.Op {
	op := &history.Op{Client: c.number, Key: l.target.name, Verb: fmt.Sprint(c.proxy, ":get"), Call: call, Return: now, Pieces: l.pieces}
	if len(op.Pieces) == 0 {
		op.Pieces = []history.ID{l.found}
	}
	return op
}

// saw notes a look in the key's stretch.
func (c *client) saw(l *look, call, now int64) {
	r := &c.many.stretches[l.target.index]
	if r.first.id != l.found {
		c.told(l.target)
		r.first = sighting{l.found, call, now}
	}
	r.last = sighting{l.found, call, now}
}

// told puts a key's stretch into the log: all that judges ask of its reads is when the first ended, and when the last began.
func (c *client) told(t *target) {
	r := &c.many.stretches[t.index]
	if r.first.id != 0 {
		verb := strconv.Itoa(c.proxy) + ":get"
		for _, s := range []sighting{r.first, r.last} {
			c.record(&history.Op{Client: c.number, Key: t.name, Verb: verb, Call: s.call, Return: s.answer, Pieces: []history.ID{s.id}})
		}
	}
	*r = stretch{}
}

// tellAll puts all stretches into the log; the round ends.
func (c *client) tellAll() {
	if c.round == nil || c.many.stretches == nil {
		return
	}
	for _, t := range c.round.targets {
		c.told(t)
	}
	c.many.missed = c.many.missed[:0]
}

// take reads the answer to one request of many keys. torn is what is wrong with values, by look; nil: with none.
func (c *conn) take(looks []look) (failed bool, split int, torn []error, err error) {
	for at := 0; ; at++ {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return false, split, torn, err
		}
		switch {
		case string(line) == "END\r\n":
			return false, split, torn, nil
		case at == 0 && bytes.HasPrefix(line, []byte("SERVER_ERROR")):
			return true, split, torn, nil
		}
		for at < len(looks) && !bytes.HasPrefix(line, looks[at].target.want) {
			at++
		}
		if at == len(looks) {
			return false, split, torn, fmt.Errorf("%w: %q was not asked for", errOutOfStep, line)
		}
		l := &looks[at]
		flags, rest, ok := number(line[len(l.target.want):])
		size, _, ok2 := number(rest)
		if !ok || !ok2 || size > 64<<20 {
			return false, split, torn, fmt.Errorf("%w: %q", errOutOfStep, line)
		}
		value, err := c.value(int(size))
		if err != nil {
			return false, split, torn, err
		}
		if len(value) > splitThreshold {
			split++
		}
		if wrong := l.take(value, uint32(flags)); wrong != nil {
			if torn == nil {
				torn = make([]error, len(looks))
			}
			torn[at] = wrong
		}
	}
}

// take keeps what a value says.
func (l *look) take(value []byte, flags uint32) error {
	id, ok := history.DecodePiece(l.target.owner, value)
	first := id
	if !ok {
		pieces, err := history.Decode(l.target.name, value)
		if err != nil {
			return err
		}
		first, id, l.pieces = pieces[0], pieces[len(pieces)-1], pieces
	}
	if flags != flagsOf(first) {
		return fmt.Errorf("finds %x with flags %d", uint64(first), flags)
	}
	l.found = id
	return nil
}

// value reads a value and the end of its line; it is valid until the next read.
func (c *conn) value(n int) ([]byte, error) {
	var block []byte
	if n+2 <= c.in.Size() {
		var err error
		if block, err = c.in.Peek(n + 2); err != nil {
			return nil, err
		}
		_, _ = c.in.Discard(n + 2)
	} else {
		if cap(c.data) < n+2 {
			c.data = make([]byte, n+2)
		}
		block = c.data[:n+2]
		if _, err := io.ReadFull(c.in, block); err != nil {
			return nil, err
		}
	}
	if string(block[n:]) != "\r\n" {
		return nil, fmt.Errorf("%w: %d bytes do not end a value", errOutOfStep, n)
	}
	return block[:n], nil
}

// number reads digits, up to what ends them and a blank.
func number(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9' && i < 18; i++ {
		n = n*10 + uint64(b[i]-'0')
	}
	return n, bytes.TrimPrefix(b[i:], []byte(" ")), i > 0
}

// compact says whether a value is to be short although the rest of its key's are not: most are, where reads are to be many.
func (c *client) compact(key string) bool {
	return c.run.variant.bulk && !(strings.HasSuffix(key, "9") && c.rng.IntN(10) == 0)
}
