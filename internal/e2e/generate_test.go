package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// command is one thing that a client sends: a line, with the data block that belongs to it, and for some broken ones
// with what follows it and is taken as a command of its own.
type command struct {
	text   []byte
	casKey string // not "": casMark in text stands for the cas number that the side last gave for this key
	closes bool   // the server closes the conn, without an answer; sent alone, because 1.6.18 drops answers still pending

	// memcached changes a number in place, keeping its length, unless an answer not yet sent still needs the old one. So
	// what a number that gets shorter looks like depends on timing, if the key was read just before.
	reads   []string // keys whose items the answer may hold
	changes string   // not "": the key whose number changes
}

// batch is a list of commands that are sent at once.
type batch struct {
	list  []command
	reads map[string]bool
}

// add adds c, or says false if c must wait for the answers of the batch.
func (b *batch) add(c command) bool {
	if len(b.list) > 0 && (c.closes || b.list[0].closes || c.changes != "" && b.reads[c.changes]) {
		return false
	}
	b.list = append(b.list, c)
	for _, key := range c.reads {
		if b.reads == nil {
			b.reads = map[string]bool{}
		}
		b.reads[key] = true
	}
	return true
}

const casMark = "<cas>"

// generator makes a random stream of commands. What it makes depends on its seed alone, and not on answers, so that any
// part of a stream can be sent again.
type generator struct {
	rng   *rand.Rand
	keys  []string
	flush bool // flush_all may appear: nobody else uses the servers
	crowd bool // others get the keys too, numbers aside: no command asks whether anybody has, or when

	// numbers are those keys that arithmetic is done on. Their values never are white space alone, and never numbers of
	// 2^63 and more: 1.6.18 reads on in its memory behind such a value, and its answer depends on what lies there.
	numbers []string

	choices []choice
	total   int
}

type choice struct {
	weight int
	make   func() command
}

// newGenerator makes the stream of one client; name is in all its keys, so that clients do not meet.
func newGenerator(seed uint64, name string, flush bool) *generator {
	g := &generator{rng: rand.New(rand.NewPCG(seed, uint64(len(name)))), flush: flush}
	g.keys = streamKeys(name)
	g.numbers = g.keys[len(g.keys)-20:]
	g.choices = []choice{
		{220, g.retrieval},
		{40, g.retrievalTouch},
		{250, g.storage},
		{60, g.cas},
		{50, g.delete},
		{70, g.arithmetic},
		{30, g.touch},
		{140, g.metaGet},
		{110, g.metaSet},
		{50, g.metaDelete},
		{60, g.metaArithmetic},
		{10, g.metaDebug},
		{20, g.noop},
		{12, g.connection},
		{110, g.broken},
		{40, g.brokenMeta},
		{25, g.badChunk},
		{1, g.closing},
	}
	for _, c := range g.choices {
		g.total += c.weight
	}
	return g
}

// streamKeys are few, so that commands meet, and odd: every byte that a key may hold is in one of them.
func streamKeys(name string) []string {
	keys := []string{
		name + "\tb", name + "\rb", name + "\x01\x0b\x7f", name + "\xc3\xa9\xe2\x98\x83\xff\x80", name + "{tag}x", name + ":END",
		name + "%s%n", name + "'\"\\", "noreply" + name, "0" + name, "-" + name, name + strings.Repeat("k", 250-len(name)),
		name + strings.Repeat("j", 249-len(name)), name,
	}
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("%s-%d", name, i))
	}
	return keys
}

func (g *generator) next() command {
	n := g.rng.IntN(g.total)
	for _, c := range g.choices {
		if n -= c.weight; n < 0 {
			return c.make()
		}
	}
	panic("no choice")
}

func (g *generator) chance(percent int) bool { return g.rng.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.rng.IntN(len(list))] }

func (g *generator) key() string { return g.keys[g.rng.IntN(len(g.keys))] }

func (g *generator) number() string { return g.numbers[g.rng.IntN(len(g.numbers))] }

// value is one that key may get; joined says that it may be appended or prepended.
func (g *generator) value(key string, joined bool) []byte {
	value := g.anyValue()
	if !slices.Contains(g.numbers, key) {
		return value
	}
	text := bytes.Trim(value, "\t\n\v\f\r ")
	_, err := strconv.ParseUint(string(text), 10, 64)
	switch {
	case len(text) == 0:
		return []byte("0")
	case joined && text[0] <= '9':
		return append([]byte("x"), value...)
	case err == nil && len(text) > 18:
		return []byte("1234567890")
	}
	return value
}

// anyValue is mostly small, sometimes a number, and rarely near or over the limit of an item.
func (g *generator) anyValue() []byte {
	switch n := g.rng.IntN(4000); {
	case n < 1:
		return g.bytes(pick(g, 1048000, 1048300, 1048400, 1048577, 1100000))
	case n < 4:
		return g.bytes(g.rng.IntN(300_000))
	case n < 80:
		return g.bytes(g.rng.IntN(20_000))
	case n < 400:
		return nil
	case n < 1200:
		return fmt.Append(nil, pick(g, 0, 1, 9, 99, 1<<63, g.rng.Uint64N(1000), 1<<64-1, 1<<64-2))
	case n < 1400:
		return []byte(pick(g, "\r\n", "END\r\n", "a\r\nget k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n", " 5", "5 ", "-1", "5x", "00012", "18446744073709551616"))
	default:
		return g.bytes(g.rng.IntN(120))
	}
}

// bytes are random: any byte value, and so CR, LF and NUL.
func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		x := g.rng.Uint64()
		for j := i; j < min(i+8, n); j++ {
			b[j] = byte(x)
			x >>= 8
		}
	}
	return b
}

// exptime never lets an item expire while a test runs, unless at once.
func (g *generator) exptime() string {
	return pick(g, "0", "0", "0", "0", "1000", "100000", "2592000", "-1", "-100", "4000000000", "2147483647", "+2000")
}

func (g *generator) clientFlags() string {
	return pick(g, "0", "0", "0", "1", "2", "16", "24", "65536", "2147483648", "4294967295", "007")
}

// gap is the blank between two tokens, sometimes several.
func (g *generator) gap() string {
	if g.chance(3) {
		return strings.Repeat(" ", 2+g.rng.IntN(3))
	}
	return " "
}

// line joins tokens and ends the line, now and then with a blank before the end, or with LF alone.
func (g *generator) line(tokens ...string) []byte {
	var b []byte
	for i, token := range tokens {
		if token == "" {
			continue
		}
		if i > 0 {
			b = append(b, g.gap()...)
		}
		b = append(b, token...)
	}
	if g.chance(5) {
		b = append(b, ' ')
	}
	if g.chance(4) {
		return append(b, '\n')
	}
	return append(b, '\r', '\n')
}

func (g *generator) noreply() string {
	if g.chance(15) {
		return "noreply"
	}
	return ""
}

func (g *generator) retrieval() command {
	n := 1
	switch g.rng.IntN(10) {
	case 0, 1, 2:
		n = 2 + g.rng.IntN(10)
	case 3:
		n = g.rng.IntN(100) + 1
		if g.chance(2) {
			n = 2000 // a line far over the limit of other commands
		}
	}
	keys := g.someKeys(n)
	return command{text: g.line(append([]string{pick(g, "get", "get", "gets")}, keys...)...), reads: keys}
}

func (g *generator) retrievalTouch() command {
	keys := g.someKeys(pick(g, 1, 1, 1, 2, 5))
	return command{text: g.line(append([]string{pick(g, "gat", "gats"), g.exptime()}, keys...)...), reads: keys}
}

func (g *generator) someKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = g.key()
	}
	return keys
}

func (g *generator) storage() command {
	verb := pick(g, "set", "set", "set", "set", "add", "replace", "append", "prepend")
	key := g.key()
	value := g.value(key, verb == "append" || verb == "prepend")
	extra := g.noreply()
	if g.chance(1) {
		extra = pick(g, "junk", "NOREPLY", "noreply2", "0")
	}
	text := g.line(verb, key, g.clientFlags(), g.exptime(), fmt.Sprint(len(value)), extra)
	return command{text: block(text, value)}
}

// block appends a data block.
func block(line, value []byte) []byte {
	return append(append(line, value...), '\r', '\n')
}

func (g *generator) cas() command {
	key := g.key()
	value := g.value(key, false)
	if g.chance(30) { // so that there is a number to compare with
		return command{text: g.line("gets", key), reads: []string{key}}
	}
	c := command{casKey: key}
	unique := casMark
	if g.chance(10) {
		c.casKey, unique = "", pick(g, "0", "18446744073709551614", "18446744073709551615")
	}
	c.text = block(g.line("cas", key, g.clientFlags(), g.exptime(), fmt.Sprint(len(value)), unique, g.noreply()), value)
	return c
}

func (g *generator) delete() command {
	zero := ""
	if g.chance(20) {
		zero = "0"
	}
	return command{text: g.line("delete", g.key(), zero, g.noreply())}
}

func (g *generator) delta() string { return pick(g, "0", "1", "1", "5", "10", "1000", "007") }

func (g *generator) arithmetic() command {
	key, verb, delta := g.number(), pick(g, "incr", "decr"), g.delta()
	if verb == "decr" && g.chance(10) {
		delta = pick(g, "18446744073709551615", "9223372036854775808")
	}
	return command{text: g.line(verb, key, delta, g.noreply()), changes: key}
}

func (g *generator) touch() command {
	return command{text: g.line("touch", g.key(), g.exptime(), g.noreply())}
}

func (g *generator) noop() command { return command{text: g.line("mn")} }

func (g *generator) connection() command {
	if g.flush && g.chance(30) {
		return command{text: g.line("flush_all", pick(g, "", "0", "-1"), g.noreply())}
	}
	return command{text: []byte(pick(g, "version\r\n", "version junk\r\n", "verbosity 0\r\n", "verbosity 0 noreply\r\n", "verbosity 1 \r\n"))}
}

// metaKey is a key as it is written, the flag that says how (base64 allows any bytes) or "", and as it is.
func (g *generator) metaKey(raw string) (key, flag, _ string) {
	if !g.chance(15) {
		return raw, "", raw
	}
	if g.chance(30) && !slices.Contains(g.numbers, raw) {
		raw = pick(g, g.keys[0]+" with blanks", g.keys[0]+"\r\nget k\r\n", g.keys[0]+"\x00nul")
	}
	if len(raw) > 180 {
		raw = raw[:180]
	}
	return base64.StdEncoding.EncodeToString([]byte(raw)), "b", raw
}

// metaFlags picks some of the flags, in any order.
func (g *generator) metaFlags(percent int, flags ...string) []string {
	var list []string
	for _, f := range flags {
		if g.chance(percent) {
			list = append(list, f)
		}
	}
	g.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (g *generator) opaque() string {
	return "O" + pick(g, "1", "abc", "123456789", strings.Repeat("o", 28), "q", "\xc3\xa9", "=", "k")
}

func (g *generator) metaExptime(letter string) string { return letter + g.exptime() }

func (g *generator) metaGet() command {
	key, b, raw := g.metaKey(g.key())
	flags := g.metaFlags(25, b, "c", "f", "h", "k", "l", "q", "s", "t", "u", "v", "v", g.opaque())
	if strings.Contains(raw, "\n") {
		flags = without(flags, "k") // 1.6.18 answers with the bare key of an item that was appended to, line end and all
	}
	if g.crowd {
		flags = without(without(flags, "h"), "l")
	}
	vivify := g.metaExptime("N")
	if slices.Contains(g.numbers, raw) {
		vivify = "" // it makes an empty item
	}
	flags = unique(append(flags, g.metaFlags(4, vivify, g.metaExptime("T"), pick(g, "R30", "R500", "R50000"), "Pproxy", "Lhint", "vv")...))
	return command{text: g.line(append([]string{"mg", key, b}, without(flags, b)...)...), reads: []string{raw}}
}

func (g *generator) metaSet() command {
	key, b, raw := g.metaKey(g.key())
	value := g.value(raw, true)
	flags := g.metaFlags(20, "c", "k", "q", "I", "F"+g.clientFlags(), g.metaExptime("T"), g.opaque(),
		"M"+pick(g, "E", "A", "P", "R", "S"))
	flags = append(flags, g.metaFlags(4, g.metaExptime("N"), "Pproxy", "Lhint", "s", "C"+pick(g, "0", "18446744073709551614"))...)
	c := command{}
	if b == "" && g.chance(10) {
		flags, c.casKey = unique(append([]string{"C" + casMark}, flags...)), key
	}
	c.text = block(g.line(append([]string{"ms", key, fmt.Sprint(len(value)), b}, flags...)...), value)
	return c
}

func (g *generator) metaDelete() command {
	key, b, _ := g.metaKey(g.key())
	c := command{}
	flags := g.metaFlags(20, "k", "q", "I", g.metaExptime("T"), g.opaque(), "Pproxy")
	if b == "" && g.chance(15) {
		flags, c.casKey = append(flags, "C"+casMark), key
	}
	c.text = g.line(append([]string{"md", key, b}, flags...)...)
	return c
}

func (g *generator) metaArithmetic() command {
	key, b, raw := g.metaKey(g.number())
	c := command{changes: raw}
	flags := g.metaFlags(25, "k", "q", "v", "t", "c", g.metaExptime("T"), g.metaExptime("N"), "J"+g.delta(), "D"+g.delta(), g.opaque(),
		"M"+pick(g, "I", "D", "+", "-"))
	if b == "" && g.chance(5) {
		flags, c.casKey = append(flags, "C"+casMark), key
	}
	c.text = g.line(append([]string{"ma", key, b}, flags...)...)
	return c
}

func (g *generator) metaDebug() command {
	key, b, raw := g.metaKey(g.key())
	if g.crowd {
		return g.noop()
	}
	if strings.Contains(raw, "\n") {
		key, b = raw[:1], "" // 1.6.18 answers with the bare key
	}
	return command{text: g.line("me", key, b)}
}

// unique drops flags whose letter appeared before.
func unique(flags []string) []string {
	var seen [256]bool
	kept := flags[:0]
	for _, f := range flags {
		if f != "" && !seen[f[0]] {
			seen[f[0]] = true
			kept = append(kept, f)
		}
	}
	return kept
}

func without(list []string, s string) []string {
	var kept []string
	for _, x := range list {
		if x != s || s == "" {
			kept = append(kept, x)
		}
	}
	return kept
}

// fill makes a command from a template: %K is a key, one for the whole command, %N one for numbers, and %L one of 251
// bytes.
func (g *generator) fill(template string) command {
	key := g.key()
	if strings.Contains(template, "%N") {
		key = g.number()
	}
	text := strings.NewReplacer("%K", key, "%N", key, "%L", strings.Repeat("L", 251)).Replace(template)
	return command{text: []byte(text), reads: []string{key}, changes: key}
}

// badChunk is a data block that is longer than announced; what follows announced+2 bytes is the next command.
func (g *generator) badChunk() command {
	value := g.bytes(g.rng.IntN(50))
	size := fmt.Sprint(len(value))
	line := g.line(pick(g, "set", "add", "append"), g.key(), "0", "0", size, g.noreply())
	if g.chance(30) {
		line = g.line("ms", g.key(), size, pick(g, "", "q", "k"))
	}
	end := pick(g, "xy", "\n\r", "\r\r", "\nx", "x\r", "\x00\n")
	follow := g.fill(pick(g, "get %K\r\n", "mn\r\n", "delete %K noreply\r\n", "junk\r\n"))
	follow.text = bytes.Join([][]byte{line, value, []byte(end), follow.text}, nil)
	return follow
}

func (g *generator) closing() command {
	c := g.fill(pick(g, "quit\r\n", "quit\r\n", "quit junk\r\n", "GET / HTTP/1.0\r\n\r\n", "POST /%K HTTP/1.1\r\n\r\n",
		strings.Repeat("x", 3000), "set "+strings.Repeat("x", 3000), "mg "+strings.Repeat("x ", 1500)))
	c.closes = true
	return c
}

func (g *generator) broken() command { return g.fill(pick(g, brokenLines...)) }

func (g *generator) brokenMeta() command { return g.fill(pick(g, brokenMetaLines...)) }
