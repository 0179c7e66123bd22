package keystone_test

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"mcproxy/keystone"
)

const pickled = 1 // the flags of a pickle

func deflated(text string) string {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	if err != nil {
		panic(err) // there is such a level
	}
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// hostile are values that are made to do harm, or broken, with what is said of them.
func hostile() map[string]struct {
	value string
	want  string
} {
	return map[string]struct{ value, want string }{
		"13 bytes that announce 2^63":    {"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f0.", "the pickle is cut off"},
		"13 bytes that announce 4 GiB":   {"\x80\x02X\xff\xff\xff\xffabcde.", "the pickle is cut off"},
		"an integer of 2 GiB":            {"\x80\x02\x8b\xff\xff\xff\x7f1234.", "the pickle is cut off"},
		"a long integer":                 {"\x80\x02\x8b\x00\x10\x00\x00" + strings.Repeat("x", 4096) + ".", "has an integer of more than"},
		"a long decimal":                 {"L" + strings.Repeat("9", 5000) + "L\n.", "has an integer of more than"},
		"cut off zlib":                   {deflated(strings.Repeat("abc", 1000))[:20], "the value's zlib data: is cut off"},
		"deep lists":                     {strings.Repeat("(", 100_000) + strings.Repeat("l", 100_000) + ".", "nested more than 100 deep"},
		"deep tuples":                    {")" + strings.Repeat("\x85", 300_000) + ".", "nested more than 100 deep"},
		"a list that contains itself":    {"\x80\x02]q\x00h\x00a.", "contains itself"},
		"lists that contain each other":  {"\x80\x02]q\x00]q\x01h\x00ah\x01h\x01h\x01h\x01h\x01(h\x01h\x01e00000.", "the pickle"},
		"a list with itself many times":  {"\x80\x02]q\x00(" + strings.Repeat("h\x00", 1000) + "e.", "contains itself"},
		"2^30 references":                {"\x80\x02]q\x00" + doubling(30) + ".", "holds the same things so often"},
		"a text in a text, many times":   {"\x80\x02X\x00\x00\x10\x00" + strings.Repeat("x", 1<<20) + "q\x000(" + strings.Repeat("h\x00", 1000) + "l.", "holds the same things so often"},
		"many values":                    {"(" + strings.Repeat("N", 2_000_000) + "l.", "holds more values than are read"},
		"many marks":                     {strings.Repeat("(", 3_000_000) + ".", "holds more values than are read"},
		"much in the memo":               {"N" + strings.Repeat("\x94", 2_000_000) + ".", "holds more values than are read"},
		"many opcodes":                   {"N" + strings.Repeat("20", 4_000_000) + ".", "the pickle"},
		"a memo place of 2^31":           {"Nr\xff\xff\xff\x7fj\xfe\xff\xff\x7f.", "reads place 2147483646 of its memo"},
		"truncated":                      {"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00]\x94(K\x01K\x02", "the pickle is cut off"},
		"no end":                         {"\x80\x02K\x01", "the pickle is cut off"},
		"nothing on the stack":           {"\x80\x02.", "does not end with one value"},
		"two values":                     {"\x80\x02K\x01K\x02.", "does not end with one value"},
		"more behind its end":            {"\x80\x02K\x01.K\x02.", "ends at byte 5 of 8"},
		"no opcode":                      {"\x80\x02\xff.", `is no pickle: there is no such opcode (opcode 'ÿ' at byte 2)`},
		"protocol 9":                     {"\x80\x09K\x01.", "is of protocol 9"},
		"takes what is not there":        {"\x80\x02a.", "takes values that it never gave"},
		"takes what is below a mark":     {"\x80\x02]K\x01(a.", "takes values that it never gave"},
		"appends to a number":            {"\x80\x02K\x01K\x02a.", "appends to what is no list"},
		"appends to a tuple":             {"\x80\x02)K\x02a.", "appends to what is no list"},
		"a persistent id":                {"Pid\n.", "refers to what is not in it"},
		"an extension":                   {"\x80\x02\x82\x01.", "refers to what is not in it"},
		"calls with no tuple":            {"cos\nsystem\nK\x01R.", "calls with what is no tuple"},
		"calls a number":                 {"K\x01)R.", "makes an object of what is no class"},
		"reconstructs without end":       {"ccopyreg\n_reconstructor\n(ccopyreg\n_reconstructor\nNtp0\n(g0\nccopyreg\n_reconstructor\nNtR.", "the pickle"},
		"odd pairs":                      {"\x80\x02}(K\x01u.", "sets a key without a value"},
		"a broken string":                {"S'abc\n.", "has the string"},
		"a broken number":                {"Fx\n.", `has the number "x"`},
		"an empty value that is pickled": {"", "the pickle is cut off"},
	}
}

// doubling makes n lists, each with the one before twice.
func doubling(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "0](h%ch%ceq%c", i, i, i+1)
	}
	return b.String()
}

// TestHostile: each gets a clear error, without much memory.
func TestHostile(t *testing.T) {
	all := hostile()
	long := strings.Repeat("a", 64<<20)
	all["64 MiB"] = struct{ value, want string }{long, "has 67108864 bytes; at most 8388608 are read"}
	all["64 MiB, compressed"] = struct{ value, want string }{deflated(long), "is more than 8388608 bytes when inflated"}
	for name, tt := range all {
		flags := uint32(pickled)
		if strings.Contains(name, "MiB, compressed") || strings.Contains(name, "zlib") {
			flags |= 8
		}
		value := []byte(tt.value)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v, err := keystone.Decode(value, flags)
		if err == nil {
			for _, masked := range []bool{true, false} {
				if e := v.WriteJSON(new(bytes.Buffer), masked); err == nil {
					err = e
				}
			}
		}
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 64<<20 {
			t.Errorf("%s: %d MiB were allocated", name, spent>>20)
		}
	}
}

// TestNothingRuns: a pickle that would run a command is a list of names.
func TestNothingRuns(t *testing.T) {
	v, err := keystone.Decode([]byte("cos\nsystem\n(S'touch /tmp/owned'\ntR."), pickled)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := written(t, v, false)
	if want := `map[args:[touch /tmp/owned] class:os.system]`; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		value string
		flags uint32
		want  string // the form, and compact JSON
	}{
		{"(lp0\nI1\naI00\naL5L\naF0.5\naS'a\\n\\'\\\\\\xff'\naS\"it's\"\naVcaf\\u00e9\\n\na.", 1, `pickle [1,false,5,0.5,{"base64":"YQonXP8="},"it's","café\\n"]`},
		{"(dp0\nS'a'\nI1\ns.", 1, `pickle {"a":1}`},
		{"(dp0\nI1\nI2\ns.", 1, `pickle {"dict":[[1,2]]}`},
		{"(iold\nStyle\np0\n(dp1\nS'x'\nI1\nsb.", 1, `pickle {"class":"old.Style","state":{"x":1}}`},
		{"ccopy_reg\n_reconstructor\n(ca\nB\nc__builtin__\nobject\nNtR.", 1, `pickle {"class":"a.B"}`},
		{"c__builtin__\nset\n((lI1\natR.", 1, `pickle [1]`},
		{"\x80\x02cdogpile.cache.api\nCachedValue\n]}\x86\x81.", 1, `pickle {"payload":[],"metadata":{}}`},
		{"\x80\x02G\x7f\xf8\x00\x00\x00\x00\x00\x00.", 1, `pickle "NaN"`},
		{"\x80\x02\x8a\x01\xff.", 1, `pickle -1`},
		{"\x80\x02J\xff\xff\xff\xff.", 1, `pickle -1`},
		{"\x80\x02K\x05.", 0, `pickle 5`},
		{"It was so.", 0, `text "It was so."`},
		{"a\x1b[2J\u009b\x7fé", 16, `text "a\u001b[2J\u009b\u007fé"`},
		{"a < b & c", 16, `text "a < b & c"`},
		{"", 0, `text ""`},
		{"x", 8 | 16, "error the value's zlib data: is cut off"},
		{"12", 2, `integer 12`},
		{"twelve", 2, `error the value has the integer "twelve"`},
		{`{"a":[1,2.5,"x",null,true],"b":{}}`, 0, `JSON {"a":[1,2.5,"x",null,true],"b":{}}`},
		{`{"a":`, 0, `text "{\"a\":"`},
	} {
		v, err := keystone.Decode([]byte(tt.value), tt.flags)
		got := ""
		if err != nil {
			got = "error " + err.Error()
		} else {
			var out, compact bytes.Buffer
			if err := v.WriteJSON(&out, false); err != nil {
				t.Fatal(err)
			}
			if err := json.Compact(&compact, bytes.TrimSpace(out.Bytes())); err != nil {
				t.Fatalf("%q: %v: %s", tt.value, err, &out)
			}
			got = v.Form + " " + compact.String()
		}
		if got != tt.want {
			t.Errorf("Decode(%q, %d):\n got %s\nwant %s", tt.value, tt.flags, got, tt.want)
		}
	}
}

// TestShape: without contents there are only lengths and counts, and the names of fields and classes.
func TestShape(t *testing.T) {
	const secret = "3f5a9bc2d8e1"
	text := `(dp0
S'token'
S'` + secret + `'
sS'` + secret + `'
I42
sS'many'
(lI1
aI2
aI3
aI4
aI5
as.`
	v, err := keystone.Decode([]byte(text), pickled)
	if err != nil {
		t.Fatal(err)
	}
	_, got := written(t, v, true)
	want := `{
  "token": "<bytes, 12>",
  "<text 2, 12 bytes>": "<integer>",
  "many": [
    "<integer>",
    "<integer>",
    "<integer>",
    "<and 2 more>"
  ]
}
`
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// TestCut: no beginning of a pickle is one.
func TestCut(t *testing.T) {
	for _, whole := range []string{
		"\x80\x04\x95\x21\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x03abc\x94K\x01G?\xe0\x00\x00\x00\x00\x00\x00}\x94\x8c\x01k\x94Nse.",
		"(lp0\nI1\naS'abc'\np1\naVx\np2\na(dp3\ng1\nI5\nsa.",
	} {
		if _, err := keystone.Decode([]byte(whole), pickled); err != nil {
			t.Fatalf("%q: %v", whole, err)
		}
		for n := range len(whole) {
			if v, err := keystone.Decode([]byte(whole[:n]), pickled); err == nil {
				t.Errorf("%q gives %#v", whole[:n], v.Data)
			}
		}
	}
}

// FuzzDecode: whatever a value is, it is read or refused, and what is read is JSON that shows the same shape each time.
func FuzzDecode(f *testing.F) {
	for _, tt := range hostile() {
		if len(tt.value) < 1<<12 {
			f.Add([]byte(tt.value), uint32(pickled))
		}
	}
	f.Add([]byte("\x80\x04\x95\x21\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x03abc\x94K\x01e."), uint32(pickled))
	f.Add([]byte("cdatetime\ndatetime\n(S'\\x07\\xdf\\x06\\x01\\x0c\\x00\\x00\\x00\\x00\\x05'\ntR."), uint32(pickled))
	f.Add([]byte(deflated("(lp0\nI1\na.")), uint32(9))
	f.Add([]byte(`{"ct": 1, "v": 1}|{"a": 5}`), uint32(0))
	f.Fuzz(func(t *testing.T, value []byte, flags uint32) {
		v, err := keystone.Decode(value, flags)
		if err != nil {
			return
		}
		for _, masked := range []bool{false, true} {
			var out bytes.Buffer
			if err := v.WriteJSON(&out, masked); err != nil {
				if out.Len() > 0 {
					t.Fatalf("%v, and yet it wrote %q", err, &out)
				}
				continue
			}
			if !json.Valid(out.Bytes()) {
				t.Fatalf("no JSON: %q", &out)
			}
		}
		_, _ = v.TokenList() // it must not panic
	})
}
