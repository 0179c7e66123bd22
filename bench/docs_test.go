package bench_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"mcproxy/bench"
	"mcproxy/bench/workload"
)

// fields gives the names of all JSON fields of a type, and of what it holds.
func fields(of reflect.Type, names map[string]bool) {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		fields(of.Elem(), names)
	case reflect.Struct:
		if of.Implements(reflect.TypeFor[json.Marshaler]()) {
			return // the options, whose names are the flags'
		}
		for field := range of.Fields() {
			if !field.IsExported() {
				continue
			}
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "" {
				names[name] = true
			}
			fields(field.Type, names)
		}
	}
}

// TestJSONIsDocumented: docs/bench.md names every field, and every workload.
func TestJSONIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/bench.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, of := range []reflect.Type{reflect.TypeFor[bench.Result](), reflect.TypeFor[bench.Comparison](), reflect.TypeFor[bench.Search]()} {
		fields(of, names)
	}
	for _, name := range workload.Names() {
		names[name] = true
	}
	if len(names) < 70 {
		t.Fatalf("only %d names were found", len(names))
	}
	for name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/bench.md does not speak of `%s`", name)
		}
	}
}
