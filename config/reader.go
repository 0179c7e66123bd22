package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A value is one value of the file with its place.
type value struct {
	at   *node
	data any // as package toml decodes into any
}

// A reader gathers what is wrong.
type reader struct {
	file     string
	problems Problems
	warnings []Problem
}

// An option is one key of a table.
type option struct {
	name string
	kind kind
	def  string // the default, as TOML; "" if there is none
	doc  string // one sentence for docs/config.md
}

// A kind is what an option takes.
type kind struct {
	allowed string // completes "write …"
	read    func(r *reader, v value)
}

func (r *reader) fail(v value, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.file, v.at.line, v.at.path(), fmt.Sprintf(format, args...)})
}

func (r *reader) warn(v value, format string, args ...any) {
	r.warnings = append(r.warnings, Problem{r.file, v.at.line, v.at.path(), fmt.Sprintf(format, args...)})
}

// wrongType reports a value of another type than the key takes.
func (r *reader) wrongType(v value, allowed string) {
	r.fail(v, "%s; write %s", describe(v.data), allowed)
}

// keys gives the keys of a table in the order of the file.
func (v value) keys() []string {
	table, _ := v.data.(map[string]any)
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := v.key(a).at.line - v.key(b).at.line; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}

// key gives the value of a key of a table. For a key that is not there it has the place of the table, and no data.
func (v value) key(name string) value {
	table, _ := v.data.(map[string]any)
	c := value{at: v.at.table[name], data: table[name]}
	if c.at == nil {
		c.at = &node{in: v.at, name: name, line: v.at.line}
	}
	return c
}

// has says whether a table has the key.
func (v value) has(name string) bool {
	table, _ := v.data.(map[string]any)
	_, ok := table[name]
	return ok
}

// items gives the items of a list; ok is false if v is none.
func (v value) items() (items []value, ok bool) {
	var data []any
	switch list := v.data.(type) {
	case []any:
		data = list
	case []map[string]any:
		for _, table := range list {
			data = append(data, table)
		}
	default:
		return nil, false
	}
	for i, d := range data {
		item := value{at: &node{in: v.at, item: i + 1, line: v.at.line}, data: d}
		if i < len(v.at.list) {
			item.at = v.at.list[i]
		}
		items = append(items, item)
	}
	return items, true
}

// table reads a table whose keys are the options. It says whether v is a table.
func (r *reader) table(v value, allowed string, options []option) bool {
	if _, ok := v.data.(map[string]any); !ok {
		r.wrongType(v, allowed)
		return false
	}
	for _, name := range v.keys() {
		i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
		if i < 0 {
			r.fail(v.key(name), "unknown key%s", suggest(name, v.at.path(), options))
			continue
		}
		options[i].kind.read(r, v.key(name))
	}
	return true
}

// tables reads a list of tables: each is called for every item.
func (r *reader) tables(v value, allowed string, each func(item value)) {
	items, ok := v.items()
	if !ok {
		r.wrongType(v, allowed)
		return
	}
	for _, item := range items {
		each(item)
	}
}

// suggest completes "unknown key" for a name that a table does not know: the nearest key of that table, or the other tables
// that know the name, or all that is allowed.
func suggest(name, path string, options []option) string {
	if near := nearest(name, options); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	var homes []string
	for _, s := range sections() {
		if slices.ContainsFunc(s.options, func(o option) bool { return o.name == name }) {
			homes = append(homes, s.where)
		}
	}
	if len(homes) > 0 {
		return "; it belongs " + strings.Join(homes, ", or ")
	}
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = o.name
	}
	place := "here"
	if path == "" {
		place = "at the top of the file"
	}
	return fmt.Sprintf("; allowed %s: %s", place, strings.Join(names, ", "))
}

// nearest gives the option that differs from name by the fewest letters, and by at most a third of them; "" if none does.
func nearest(name string, options []option) string {
	best, bestDistance := "", max(1, len(name)/3)+1
	for _, o := range options {
		if d := distance(name, o.name); d < bestDistance {
			best, bestDistance = o.name, d
		}
	}
	return best
}

// distance counts the bytes to put in, take out, change or swap with the next, to come from a to b.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := func() []int { return make([]int, len(b)+1) }
	before, last, this := row(), row(), row()
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		this[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			this[j] = min(last[j]+1, this[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				this[j] = min(this[j], before[j-2]+1)
			}
		}
		before, last, this = last, this, before
	}
	return last[len(b)]
}

// join adds a key to a path, in quotes if TOML would want them.
func join(path, name string) string {
	if bare, _ := regexp.MatchString(`^[A-Za-z0-9_-]+$`, name); !bare {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// describe says what a value is.
func describe(data any) string {
	switch d := data.(type) {
	case string:
		return fmt.Sprintf("%s is a string", quote(d))
	case int64:
		return fmt.Sprintf("%d is a whole number", d)
	case float64:
		return fmt.Sprintf("%v is a fraction", d)
	case bool:
		return fmt.Sprintf("%v is a boolean", d)
	case time.Time:
		return "this is a date or time"
	case map[string]any:
		return "this is a table"
	default:
		return "this is a list"
	}
}

// quote gives s in quotes, cut where it is too long to read.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}
