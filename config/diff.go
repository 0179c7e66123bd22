package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Diff tells what two files say otherwise, a line for each key, as the file writes it: `pools.main.timeout: "250ms" → "1s"`. A key
// that a file leaves out has its default. It is empty if they say the same.
func Diff(before, after *File) []string {
	d := differ{defaults: make(map[string]string)}
	for _, s := range sections() {
		for _, o := range s.options {
			d.defaults[s.title+o.name] = o.def
		}
	}
	d.tables(place{section: "top of the file"}, before.data, after.data)
	return d.lines
}

// A differ walks through two files at once.
type differ struct {
	defaults map[string]string // by section and key
	lines    []string
}

// A place is a table of a file.
type place struct {
	path    string // "pools.main"; "" is the whole file
	section string // of the reference: "[pools.NAME]"
}

// inner gives the place of a table in p.
func (p place) inner(name string) place {
	in := place{path: join(p.path, name)}
	switch {
	case p.path == "":
		in.section = "[" + name + "]"
	case p.path == "pools":
		in.section = "[pools.NAME]"
	default:
		in.section = strings.TrimSuffix(p.section, "]") + "." + name + "]"
	}
	return in
}

func (d *differ) say(path, format string, args ...any) {
	d.lines = append(d.lines, path+": "+fmt.Sprintf(format, args...))
}

// tables compares two tables.
func (d *differ) tables(at place, before, after map[string]any) {
	names := maps.Clone(before)
	if names == nil {
		names = make(map[string]any)
	}
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, inA := before[name]
		b, inB := after[name]
		ta, isA := a.(map[string]any)
		tb, isB := b.(map[string]any)
		switch {
		case at.path == "pools" && !(inA && inB):
			d.entry(join(at.path, name), inB)
		case (isA || !inA) && (isB || !inB):
			d.tables(at.inner(name), ta, tb)
		case isList(a) || isList(b):
			d.lists(join(at.path, name), a, b)
		default:
			def := d.defaults[at.section+name]
			if x, y := textIn(a, inA, def), textIn(b, inB, def); x != y {
				d.say(join(at.path, name), "%s → %s", x, y)
			}
		}
	}
}

// entry tells of something that is in one file alone.
func (d *differ) entry(path string, added bool) {
	if added {
		d.say(path, "added")
	} else {
		d.say(path, "taken out")
	}
}

// lists compares two lists of tables, whose entries are known by an address, a name or a prefix, or of plain values.
func (d *differ) lists(path string, before, after any) {
	idsA, entriesA, plainA := entriesOf(before)
	idsB, entriesB, plainB := entriesOf(after)
	if plainA || plainB {
		if x, y := inline(before), inline(after); x != y {
			d.say(path, "%s → %s", x, y)
		}
		return
	}
	var bothA, bothB []string
	for _, id := range idsA {
		if _, stays := entriesB[id]; stays {
			bothA = append(bothA, id)
		} else {
			d.say(fmt.Sprintf("%s[%s]", path, strconv.Quote(id)), "taken out")
		}
	}
	for _, id := range idsB {
		at := fmt.Sprintf("%s[%s]", path, strconv.Quote(id))
		was, there := entriesA[id]
		if !there {
			d.say(at, "added")
			continue
		}
		bothB = append(bothB, id)
		d.tables(place{path: at, section: entrySection(path)}, was, entriesB[id])
	}
	if !slices.Equal(bothA, bothB) {
		d.say(path, "in another order")
	}
}

// entrySection is where the reference has the keys of a list's entries.
func entrySection(path string) string {
	if strings.HasSuffix(path, ".backends") {
		return "an entry of backends"
	}
	return "[[" + path + "]]"
}

// entriesOf gives the entries of a list by what they are known by. A backend may be written as its address alone. plain: they are no
// such entries.
func entriesOf(list any) (ids []string, entries map[string]map[string]any, plain bool) {
	entries = make(map[string]map[string]any)
	var items []any
	switch l := list.(type) {
	case []map[string]any:
		for _, t := range l {
			items = append(items, t)
		}
	case []any:
		items = l
	}
	for _, item := range items {
		var t map[string]any
		switch i := item.(type) {
		case map[string]any:
			t = i
		case string:
			t = map[string]any{"address": i}
		default:
			return nil, nil, true
		}
		id := ""
		for _, key := range []string{"name", "prefix", "address"} {
			if text, ok := t[key].(string); ok && id == "" {
				id = text
			}
		}
		if id == "" {
			return nil, nil, true
		}
		for n := 2; entries[id] != nil; n++ { // several listeners on any port
			id = fmt.Sprintf("%s (%d)", strings.TrimSuffix(id, fmt.Sprintf(" (%d)", n-1)), n)
		}
		ids = append(ids, id)
		entries[id] = t
	}
	return ids, entries, false
}

func isList(v any) bool {
	switch v.(type) {
	case []any, []map[string]any:
		return true
	}
	return false
}

// textIn gives a value as TOML, or the default of a key that is not there.
func textIn(v any, there bool, def string) string {
	switch {
	case there:
		return inline(v)
	case def != "":
		return def
	}
	return "none"
}

// inline gives a value as TOML on one line.
func inline(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case string:
		return strconv.Quote(v)
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, inline(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	default:
		return fmt.Sprint(v)
	}
}
