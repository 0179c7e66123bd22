package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func TestIndex(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"keys", "a = 1\n\n# b = 2\nc = 'x' # d = 3\n", []string{"1 a", "4 c"}},
		{"table", "\n[t]\na = 1\n[u]\n", []string{"2 t", "3 t.a", "4 u"}},
		{"implied table", "[a.b]\nx = 1\n[a]\ny = 2\n", []string{"3 a", "1 a.b", "2 a.b.x", "4 a.y"}},
		{"dotted", "a.b . c = 1\na.d = 2\n", []string{"1 a", "1 a.b", "1 a.b.c", "2 a.d"}},
		{"quoted", "\"a b\".'c.d' = 1\n\"\\u00e9\" = 2\n'' = 3\n", []string{`3 ""`, `1 "a b"`, `1 "a b"."c.d"`, `2 "é"`}},
		{
			"array of tables", "[[l]]\na = 1\n[[l]]\n[l.sub]\nb = 2\n",
			[]string{"1 l", "1 l[0]", "2 l[0].a", "3 l[1]", "4 l[1].sub", "5 l[1].sub.b"},
		},
		{
			"lists", "l = [\n 'a', # ], 'x'\n 'b',\n [ 1,\n 2 ],\n]\nm = 1",
			[]string{"1 l", "2 l[0]", "3 l[1]", "4 l[2]", "4 l[2][0]", "5 l[2][1]", "7 m"},
		},
		{
			"inline tables", "l = [\n { a = 1, b = { c = '}' } },\n { a.b = 2,\n c = 3 } ]\n",
			[]string{"1 l", "2 l[0]", "2 l[0].a", "2 l[0].b", "2 l[0].b.c", "3 l[1]", "3 l[1].a", "3 l[1].a.b", "4 l[1].c"},
		},
		{
			"strings of many lines", "a = \"\"\"\nx = 1\n\\\"\"\"\n\"\"\"\"\"\nb = '''\ny = 2\n\\'''\nc = 3\n",
			[]string{"1 a", "5 b", "8 c"},
		},
		{"escapes", `a = "\\" # "` + "\n" + `b = "\"" # '` + "\n" + `c = '\'` + "\nd = 1\n", []string{"1 a", "2 b", "3 c", "4 d"}},
		{"line ends", "a = 1\r\nb = 2\r\n", []string{"1 a", "2 b"}},
		{"byte order mark", "\xef\xbb\xbfa = 1\n", []string{"1 a"}},
		{"dates", "a = 1979-05-27 07:32:00Z\nb = 1\n", []string{"1 a", "2 b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := make(map[string]any)
			if _, err := toml.Decode(tt.text, &data); err != nil {
				t.Fatal(err)
			}
			root, again := index(tt.text)
			if len(again) > 0 {
				t.Errorf("keys are said to be there twice: %+v", again)
			}
			got := places(value{at: root, data: data})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines of\n%s\n(-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

// places gives "line path" of every key and item, in the order of their paths.
func places(v value) []string {
	var found []string
	each := func(c value) {
		found = append(found, fmt.Sprintf("%d %s", c.at.line, c.at.path()))
		found = append(found, places(c)...)
	}
	names := v.keys()
	slices.Sort(names)
	for _, name := range names {
		each(v.key(name))
	}
	items, _ := v.items()
	for _, item := range items {
		each(item)
	}
	return found
}

// TestKeyTwice reads what the library takes although a key is there twice: it would drop one of the values.
func TestKeyTwice(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"n = [1]\nn.x = 2\n", "2: n: is already on line 1"},
		{"n = [{ a = 1 }]\nn.x = 2\n", "2: n: is already on line 1"},
		{"n.x = 1\n\nn = [1]\n", "3: n: is already on line 1"},
		{"n.x = 1\nn = 2\n", "2: n: is already on line 1"},
		{"n = { x = 1 }\nn.y.z = 2\n", "2: n: is already on line 1"},
		{"[t]\nn.x.y = 1\nn.x = 2\n", "3: t.n.x: is already on line 2"},
		{"[t.n.x]\n[t]\nn = 1\n", "3: t.n: is already on line 1"},
		{"a = [{ n.x = 1, n = 2 }]\n", "1: a[0].n: is already on line 1"},
	} {
		if err := toml.Unmarshal([]byte(tt.text), new(map[string]any)); err != nil {
			t.Errorf("%q: the library says it itself: %v", tt.text, err)
		}
		_, err := Parse("f", tt.text)
		if want := "f:" + tt.want + "; write it once"; err == nil || !slices.Contains(strings.Split(err.Error(), "\n"), want) {
			t.Errorf("%q: %v, want %s", tt.text, err, want)
		}
	}
}

// FuzzIndex checks, for all that the library takes as TOML, that every value has a place, that there are no other places, and
// that a key's line has the key on it.
func FuzzIndex(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.toml", "../proxy.toml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Add("a.b = { c = [ [1, {d = '''x'''}], 2 ], \"\\u0041\" = 1 }\n[[x.y]]\n[x.y.z]\n[[x.y]]\nq=1979-05-27 07:32:00\n")
	f.Fuzz(func(t *testing.T, text string) {
		root, again := index(text)
		data := make(map[string]any)
		if _, err := toml.Decode(text, &data); err != nil {
			return
		}
		if len(again) > 0 {
			return // Parse refuses it
		}
		sameShape(t, value{at: root, data: data}, strings.Split(text, "\n"))
	})
}

func sameShape(t *testing.T, v value, lines []string) {
	if v.at == nil || v.at.line < 1 || v.at.line > len(lines) {
		t.Fatalf("%s has no line: %+v", v.at.path(), v.at)
	}
	table, _ := v.data.(map[string]any)
	if len(table) != len(v.at.table) {
		t.Fatalf("%s has %d keys and %d places", v.at.path(), len(table), len(v.at.table))
	}
	for name := range table {
		at := v.at.table[name]
		if at == nil {
			t.Fatalf("%s has no place for %q", v.at.path(), name)
		}
		if line := lines[at.line-1]; !strings.Contains(line, name) && !strings.Contains(line, `\`) {
			t.Fatalf("%s: %q is not on line %d: %q", v.at.path(), name, at.line, line)
		}
		sameShape(t, v.key(name), lines)
	}
	items, _ := v.items()
	if len(items) != len(v.at.list) {
		t.Fatalf("%s has %d items and %d places", v.at.path(), len(items), len(v.at.list))
	}
	for _, item := range items {
		sameShape(t, item, lines)
	}
}
