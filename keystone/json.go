package keystone

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Bounds of what WriteJSON writes. What a pickle refers to twice is written twice, so few bytes can stand for many.
const (
	maxDepth   = 100
	maxWritten = 32 << 20 // bytes, about
)

var (
	errDeep = fmt.Errorf("the value is nested more than %d deep, or contains itself", maxDepth)
	errLong = fmt.Errorf("the value holds the same things so often that it would fill more than %d MiB", maxWritten>>20)
)

// WriteJSON writes what a value holds, indented. Bytes that are no text are {"base64": …}, classes {"class": …}, and dictionaries whose
// keys are not all texts {"dict": [[key, value], …]}. With masked it writes the value's shape alone: lengths and counts in place of contents, and
// of long lists the first items. Nothing is written if the value is nested too deeply, contains itself, or would be too long.
func (v Value) WriteJSON(out io.Writer, masked bool) error {
	w := &jsonWriter{masked: masked}
	if err := w.value(v.Data, 0); err != nil { // measures
		return err
	}
	w = &jsonWriter{masked: masked, out: bufio.NewWriter(out)}
	if err := w.value(v.Data, 0); err != nil {
		return err
	}
	w.text("\n")
	return w.out.Flush()
}

// A jsonWriter writes, or without out measures.
type jsonWriter struct {
	out     *bufio.Writer
	masked  bool
	written int
}

func (w *jsonWriter) text(s string) {
	w.written += len(s)
	if w.out != nil {
		_, _ = w.out.WriteString(s) // Flush tells of errors
	}
}

// string writes s as JSON does, and escapes what could move a terminal's cursor.
func (w *jsonWriter) string(s string) {
	if w.out == nil {
		w.written += len(s) + 2
		return
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always can be
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if r < ' ' || r >= 0x7f && r <= 0x9f {
			w.text(fmt.Sprintf(`\u%04x`, r))
		} else {
			w.written += utf8.RuneLen(r)
			_, _ = w.out.WriteRune(r) // Flush tells of errors
		}
	}
}

func (w *jsonWriter) newLine(depth int) {
	if w.out == nil {
		w.written += 1 + 2*depth
		return
	}
	w.text("\n" + strings.Repeat("  ", depth))
}

func (w *jsonWriter) value(v any, depth int) error {
	switch {
	case depth > maxDepth:
		return errDeep
	case w.written > maxWritten:
		return errLong
	}
	switch v := v.(type) {
	case nil:
		w.text("null")
	case *List:
		return w.list(v.Items, depth)
	case *Dict:
		return w.dict(v.Pairs, depth)
	case *CachedValue:
		return w.fields(depth, field{"payload", v.Payload}, field{"metadata", v.Metadata})
	case *Object:
		return w.objectValue(v, depth)
	case Class:
		return w.fields(depth, field{"class", name(v.String())})
	case name:
		w.string(string(v))
	default:
		if w.masked {
			w.string(shape(v))
		} else {
			w.scalar(v)
		}
	}
	return nil
}

// A name is a text of our own, or of a class: it is never masked.
type name string

// shape says what a scalar is, and not which.
func shape(v any) string {
	switch v := v.(type) {
	case Text:
		return fmt.Sprintf("<text, %d bytes>", len(v))
	case Bytes:
		return fmt.Sprintf("<bytes, %d>", len(v))
	case bool:
		return "<truth>"
	case float64:
		return "<number>"
	}
	return "<integer>"
}

func (w *jsonWriter) scalar(v any) {
	switch v := v.(type) {
	case bool:
		w.text(fmt.Sprint(v))
	case int64:
		w.text(fmt.Sprint(v))
	case Number:
		w.text(string(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			w.string(fmt.Sprint(v))
			return
		}
		text, _ := json.Marshal(v) // a finite number always can be
		w.text(string(text))
	case Text:
		w.string(string(v))
	case Bytes:
		if utf8.ValidString(string(v)) {
			w.string(string(v))
			return
		}
		w.text(`{"base64": "` + base64.StdEncoding.EncodeToString([]byte(v)) + `"}`)
	}
}

// masks shows so many items of a list or dictionary.
const maskedItems = 3

// items writes n items between brackets, each with a function.
func (w *jsonWriter) items(brackets string, n, depth int, each func(i int) error) error {
	w.text(brackets[:1])
	shown := n
	if w.masked && n > maskedItems+1 {
		shown = maskedItems
	}
	for i := range shown {
		if i > 0 {
			w.text(",")
		}
		w.newLine(depth + 1)
		if err := each(i); err != nil {
			return err
		}
	}
	if shown < n {
		w.text(",")
		w.newLine(depth + 1)
		if brackets == "{}" {
			w.text(`"…": `)
		}
		w.string(fmt.Sprintf("<and %d more>", n-shown))
	}
	if n > 0 {
		w.newLine(depth)
	}
	w.text(brackets[1:])
	return nil
}

func (w *jsonWriter) list(items []any, depth int) error {
	return w.items("[]", len(items), depth, func(i int) error { return w.value(items[i], depth+1) })
}

func (w *jsonWriter) dict(pairs []Pair, depth int) error {
	w.written += len(pairs) // that they are looked at is work, also if they are not shown
	for i := range pairs {
		if _, ok := textOf(pairs[i].Key); !ok {
			return w.fields(depth, field{"dict", pairList(pairs)})
		}
	}
	return w.items("{}", len(pairs), depth, func(i int) error {
		key, _ := textOf(pairs[i].Key)
		if w.masked && !isWord(key) {
			key = fmt.Sprintf("<text %d, %d bytes>", i+1, len(key))
		}
		w.string(strings.ToValidUTF8(key, "\ufffd"))
		w.text(": ")
		return w.value(pairs[i].Value, depth+1)
	})
}

// pairList gives pairs as a list of lists.
func pairList(pairs []Pair) *List {
	out := &List{}
	for _, p := range pairs {
		out.Items = append(out.Items, &List{Items: []any{p.Key, p.Value}})
	}
	return out
}

// isWord reports whether a dictionary's key is a field's name, which says nothing of the contents, rather than a part of them.
func isWord(key string) bool {
	const longest = 40
	if key == "" || len(key) > longest {
		return false
	}
	digits := 0
	for _, b := range []byte(key) {
		switch {
		case b >= '0' && b <= '9':
			digits++
		case b != '_' && b != ':' && b != '-' && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z'):
			return false
		}
	}
	return digits <= 2
}

// A field is a member of an object that we make.
type field struct {
	name  string
	value any
}

func (w *jsonWriter) fields(depth int, fields ...field) error {
	w.text("{")
	for i, f := range fields {
		if i > 0 {
			w.text(",")
		}
		w.newLine(depth + 1)
		w.string(f.name)
		w.text(": ")
		if err := w.value(f.value, depth+1); err != nil {
			return err
		}
	}
	w.newLine(depth)
	w.text("}")
	return nil
}

func (w *jsonWriter) objectValue(o *Object, depth int) error {
	fields := []field{{"class", name(o.Class.String())}}
	if len(o.Args) > 0 {
		fields = append(fields, field{"args", &List{Items: o.Args}})
	}
	if o.State != nil {
		fields = append(fields, field{"state", o.State})
	}
	if len(o.Items) > 0 {
		fields = append(fields, field{"items", &List{Items: o.Items}})
	}
	if len(o.Pairs) > 0 {
		fields = append(fields, field{"pairs", pairList(o.Pairs)})
	}
	return w.fields(depth, fields...)
}
