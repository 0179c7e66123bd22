package chaos

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"mcproxy/internal/history"
)

// splitThreshold is the proxies': a longer value is split, into chunks of splitChunk bytes.
const (
	splitThreshold = 600
	splitChunk     = 1000
)

// commands are what clients send, and how often.
func commands() []weighted {
	return []weighted{
		{26, func(c *client) *request { return c.get("get", c.key()) }},
		{10, func(c *client) *request { return c.get("gets", c.key()) }},
		{16, (*client).several},
		{4, func(c *client) *request { return c.get("gat 3600", c.key()) }},
		{2, func(c *client) *request { return c.get("gats 3600", c.key()) }},
		{12, func(c *client) *request { return c.one("mg %s c v", history.Read) }},
		{12, func(c *client) *request { return c.store("set", history.Write) }},
		{3, func(c *client) *request { return c.store("add", history.Write) }},
		{2, func(c *client) *request { return c.store("replace", history.Write) }},
		{3, func(c *client) *request { return c.store("append", history.Append) }},
		{2, func(c *client) *request { return c.metaStore("", history.Write) }},
		{1, func(c *client) *request { return c.metaStore(" ME", history.Write) }},
		{1, func(c *client) *request { return c.metaStore(" MR", history.Write) }},
		{1, func(c *client) *request { return c.metaStore(" MA", history.Append) }},
		{9, (*client).swap},
		{1, func(c *client) *request { return c.one("delete %s", history.Delete) }},
		{1, func(c *client) *request { return c.one("md %s", history.Delete) }},
		{2, func(c *client) *request { return c.one("touch %s 3600", history.Read) }},
	}
}

type weighted struct {
	weight int
	make   func(c *client) *request
}

func (c *client) command() *request {
	list := c.run.commands
	n := c.rng.IntN(c.run.weight)
	for i := range list {
		if n -= list[i].weight; n < 0 {
			return list[i].make(c)
		}
	}
	panic("the weights of the commands are not what they were")
}

// key picks one that the next command is for: a few are asked for much more than others.
func (c *client) key() string {
	if n := len(c.many.missed); n > 0 && c.rng.IntN(2) == 0 { // somebody should write it
		key := c.many.missed[n-1].name
		c.many.missed = c.many.missed[:n-1]
		return key
	}
	switch n := c.rng.IntN(100); {
	case n < 8:
		return c.round.short(c.run.now(), c.rng.IntN(shortKeys))
	case n < 14:
		return alwaysKey(c.rng.IntN(alwaysKeys))
	}
	return c.round.key(int(math.Pow(c.rng.Float64(), c.run.variant.skew) * float64(c.run.variant.keys())))
}

// length of a value. A key's last digit tells what most of its values are like; all keys change between split and not.
func (c *client) length(key string) int {
	if c.compact(key) {
		return history.MinPiece + c.rng.IntN(40)
	}
	n := c.rng.IntN(100)
	switch digit := key[len(key)-1]; {
	case n < 20:
		n = c.rng.IntN(10)
	case digit < '6':
		n = 0
	case digit < '9':
		n = 6
	default:
		n = 9
	}
	switch {
	case n < 6:
		return history.MinPiece + c.rng.IntN(splitThreshold-history.MinPiece)
	case n < 9:
		return splitThreshold + c.rng.IntN(4*splitChunk)
	}
	return 4*splitChunk + c.rng.IntN(c.run.longest)
}

func (c *client) op(key, verb string, kind history.Kind) *history.Op {
	op := &history.Op{Client: c.number, Key: key, Verb: fmt.Sprintf("%d:%s", c.proxy, verb), Kind: kind}
	if kind != history.Read && kind != history.Delete {
		c.seq++
		op.ID = history.ID(c.number+1)<<40 | history.ID(c.seq)
	}
	return op
}

// one is a command that is a line with a key in it.
func (c *client) one(format string, kind history.Kind) *request {
	key := c.key()
	verb, _, _ := strings.Cut(format, " ")
	return &request{
		text: fmt.Appendf(nil, format+"\r\n", key), ops: []*history.Op{c.op(key, verb, kind)},
		meta: verb == "mg" || verb == "md", bare: verb == "touch",
	}
}

func (c *client) get(verb string, keys ...string) *request {
	r := &request{text: []byte(verb)}
	verb, _, _ = strings.Cut(verb, " ")
	for _, key := range keys {
		r.text = append(append(r.text, ' '), key...)
		r.ops = append(r.ops, c.op(key, verb, history.Read))
	}
	r.text = append(r.text, "\r\n"...)
	return r
}

func (c *client) several() *request {
	var keys []string
	for range 2 + c.rng.IntN(24) {
		if key := c.key(); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	verb := "get"
	if c.rng.IntN(4) == 0 {
		verb = "gets"
	}
	return c.get(verb, keys...)
}

func (c *client) exptime() int {
	if c.rng.IntN(10) == 0 {
		return 1 + c.rng.IntN(3)
	}
	return 0
}

// flagsOf are the client flags of a value that began with the write id.
func flagsOf(id history.ID) uint32 { return uint32(id) & 0xffff }

func (c *client) store(verb string, kind history.Kind) *request {
	op := c.op(c.key(), verb, kind)
	needsValue(op, verb)
	return c.withValue(op, "%s %s %d %d LENGTH", verb, op.Key, flagsOf(op.ID), c.exptime())
}

func needsValue(op *history.Op, verb string) {
	switch {
	case op.Kind == history.Append, verb == "replace", verb == " MR":
		op.Needs = history.Presence
	case verb == "add", verb == " ME":
		op.Needs = history.Absence
	}
}

func (c *client) metaStore(mode string, kind history.Kind) *request {
	op := c.op(c.key(), "ms"+mode, kind)
	needsValue(op, mode)
	r := c.withValue(op, "ms %s LENGTH F%d T%d%s", op.Key, flagsOf(op.ID), c.exptime(), mode)
	r.meta = true
	return r
}

// withValue is a command with a value; LENGTH in format is its length.
func (c *client) withValue(op *history.Op, format string, args ...any) *request {
	n := c.length(op.Key)
	if op.Kind == history.Append {
		n = history.MinPiece + c.rng.IntN(300)
	}
	text := append(fmt.Appendf(nil, strings.Replace(format, "LENGTH", strconv.Itoa(n), 1), args...), "\r\n"...)
	text = history.AppendPiece(text, op.Key, op.ID, n)
	return &request{text: append(text, "\r\n"...), ops: []*history.Op{op}}
}

// swap is a cas or a ms with a cas number, for the item that was read last; without one, the read of one.
func (c *client) swap() *request {
	t := c.token
	if t == nil {
		return c.get("gets", c.key())
	}
	c.token = nil
	var r *request
	if c.rng.IntN(3) == 0 {
		op := c.op(t.key, "ms C", history.Swap)
		r = c.withValue(op, "ms %s LENGTH F%d C%d", t.key, flagsOf(op.ID), t.cas)
		r.meta = true
	} else {
		op := c.op(t.key, "cas", history.Swap)
		r = c.withValue(op, "cas %s %d 0 LENGTH %d", t.key, flagsOf(op.ID), t.cas)
	}
	r.ops[0].Expect, r.ops[0].CAS, r.restarts = t.id, t.cas, t.restarts
	return r
}
