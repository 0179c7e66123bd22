package config

import (
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// A node is the place of one value: the line of its key, or for a list's item the line on which the item begins. A table has
// its keys, a list its items. Lines count from 1.
type node struct {
	in    *node  // the table or list that it is in; nil for the whole file
	name  string // its key
	item  int    // or its place in the list, from 1; 0: it has a key
	line  int
	whole bool // a value was written for it: no key can add to it
	table map[string]*node
	list  []*node
}

// path is such as "pools.main.backends[1]"; "" for the whole file.
func (n *node) path() string {
	switch {
	case n.in == nil:
		return ""
	case n.item > 0:
		return fmt.Sprintf("%s[%d]", n.in.path(), n.item-1)
	default:
		return join(n.in.path(), n.name)
	}
}

// child gives the node of a key, and makes it if it is new.
func (n *node) child(key string, line int) *node {
	if c, ok := n.table[key]; ok {
		return c
	}
	if n.table == nil {
		n.table = make(map[string]*node)
	}
	c := &node{in: n, name: key, line: line}
	n.table[key] = c
	return c
}

// add adds an item to a list.
func (n *node) add(line int) *node {
	c := &node{in: n, item: len(n.list) + 1, line: line}
	n.list = append(n.list, c)
	return c
}

// open is the table that a dotted key goes on from: the last item, if n is a list of tables.
func (n *node) open() *node {
	if len(n.list) > 0 {
		return n.list[len(n.list)-1]
	}
	return n
}

// index finds the line of every key and list item in text, which toml.Decode has accepted: of the grammar it knows only what
// is needed to tell keys, strings, comments and brackets apart. Other text gives a tree of no use, but no panic.
//
// again are the keys that are written twice. The library lets some of them pass, and takes only one of the two:
// "a = [1]" with "a.b = 2", "a.b = 1" with "a = 2".
func index(text string) (root *node, again []repetition) {
	// The library reads over one byte order mark, UTF-16's too.
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "\xef\xbb\xbf"} {
		if after, found := strings.CutPrefix(text, mark); found {
			text = after
			break
		}
	}
	s := scanner{text: text, line: 1}
	root = &node{line: 1}
	table := root
	for {
		s.blanks()
		switch c := s.peek(); {
		case c == 0:
			return root, s.again
		case c == '[' && s.peekAt(1) == '[':
			s.pos += 2
			line := s.line
			parent, last := s.descend(root)
			list := parent.child(last, line)
			s.once(list, !list.whole, line)
			table = list.add(line)
			s.take(']')
			s.take(']')
		case c == '[':
			s.pos++
			line := s.line
			parent, last := s.descend(root)
			table = parent.child(last, line)
			s.once(table, !table.whole, line)
			table.line = line // until now it had the line of the key that implied it
			s.take(']')
		default:
			s.pair(table)
		}
	}
}

// A scanner is a place in text. Its methods move forward, and stop at the end.
type scanner struct {
	text string
	pos  int
	line int // of pos

	again []repetition
}

// A repetition is a key that is written a second time.
type repetition struct {
	first *node
	line  int
}

// once notes a repetition of first on that line, unless it is the first time.
func (s *scanner) once(first *node, isFirst bool, line int) {
	if !isFirst {
		s.again = append(s.again, repetition{first, line})
	}
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte { return s.peekAt(0) }

func (s *scanner) peekAt(n int) byte {
	if s.pos+n >= len(s.text) {
		return 0
	}
	return s.text[s.pos+n]
}

// skip moves over n bytes and counts their lines.
func (s *scanner) skip(n int) {
	n = min(n, len(s.text)-s.pos)
	s.line += strings.Count(s.text[s.pos:s.pos+n], "\n")
	s.pos += n
}

// take moves over c, if it is next, and the spaces before it.
func (s *scanner) take(c byte) bool {
	s.spaces()
	if s.peek() != c || c == 0 {
		return false
	}
	s.skip(1)
	return true
}

func (s *scanner) spaces() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.pos++
	}
}

// blanks moves over spaces, line ends and comments.
func (s *scanner) blanks() {
	for {
		switch s.peek() {
		case ' ', '\t', '\r', '\n':
			s.skip(1)
		case '#':
			if end := strings.IndexByte(s.text[s.pos:], '\n'); end >= 0 {
				s.skip(end)
			} else {
				s.pos = len(s.text)
			}
		default:
			return
		}
	}
}

// descend reads a dotted key and gives the table, under from, of its last part, and that part. The parts before it are made
// if they are new, with the line that the key stands on.
func (s *scanner) descend(from *node) (parent *node, last string) {
	parent, last = from, s.part()
	for s.take('.') {
		parent = parent.child(last, s.line)
		s.once(parent, !parent.whole, s.line)
		parent = parent.open()
		last = s.part()
	}
	return parent, last
}

// part reads one part of a key: bare, or in quotes.
func (s *scanner) part() string {
	s.spaces()
	start := s.pos
	if c := s.peek(); c == '"' || c == '\'' {
		s.quoted()
		quoted := s.text[start:s.pos]
		if c == '"' && strings.Contains(quoted, `\`) {
			return unescape(quoted)
		}
		return strings.Trim(quoted, string(c))
	}
	n := strings.IndexAny(s.text[start:], " \t\r\n.=[]{},\"'#")
	if n < 0 {
		n = len(s.text) - start
	}
	s.pos += n
	return s.text[start:s.pos]
}

// unescape lets the library read an escaped string.
func unescape(quoted string) string {
	var v struct{ Key string }
	if _, err := toml.Decode("Key = "+quoted, &v); err != nil {
		return quoted
	}
	return v.Key
}

// pair reads "key = value" into table.
func (s *scanner) pair(table *node) {
	start := s.pos
	line := s.line
	parent, last := s.descend(table)
	s.take('=')
	known := parent.table[last] != nil
	n := parent.child(last, line)
	s.once(n, !known, line)
	n.whole = true
	s.value(n)
	if s.pos == start {
		s.skip(1) // no key, no value: not TOML
	}
}

// value reads a value into n.
func (s *scanner) value(n *node) {
	s.spaces()
	switch s.peek() {
	case '"', '\'':
		s.quoted()
	case '[':
		s.skip(1)
		for {
			s.blanks()
			if c := s.peek(); c == ']' || c == 0 {
				break
			}
			before := s.pos
			s.value(n.add(s.line))
			s.separator(before)
		}
		s.skip(1)
	case '{':
		s.skip(1)
		for {
			s.blanks()
			if c := s.peek(); c == '}' || c == 0 {
				break
			}
			before := s.pos
			s.pair(n)
			s.separator(before)
		}
		s.skip(1)
	default: // a number, a date, true or false
		end := strings.IndexAny(s.text[s.pos:], ",]}#\n")
		if end < 0 {
			end = len(s.text) - s.pos
		}
		s.pos += end
	}
}

// separator moves over the comma after an item that began at before.
func (s *scanner) separator(before int) {
	s.blanks()
	if !s.take(',') && s.pos == before {
		s.skip(1) // not TOML: go on
	}
}

// quoted moves over a string of any of the four kinds. A quote is next.
func (s *scanner) quoted() {
	quote := s.text[s.pos : s.pos+1]
	escapes := quote == `"`
	if three := strings.Repeat(quote, 3); strings.HasPrefix(s.text[s.pos:], three) {
		s.skip(3)
		s.until(three, escapes)
		for i := 0; i < 2 && s.pos < len(s.text) && s.text[s.pos] == quote[0]; i++ {
			s.pos++ // of up to five quotes at the end, the last three close
		}
		return
	}
	s.skip(1)
	s.until(quote, escapes)
}

// until moves behind the next end that no backslash takes away.
func (s *scanner) until(end string, escapes bool) {
	for s.pos < len(s.text) {
		switch {
		case escapes && s.text[s.pos] == '\\':
			s.skip(2)
		case strings.HasPrefix(s.text[s.pos:], end):
			s.skip(len(end))
			return
		default:
			s.skip(1)
		}
	}
}
