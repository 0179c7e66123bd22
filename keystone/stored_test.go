package keystone_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcproxy/inspect"
	"mcproxy/internal/memcachedtest"
	"mcproxy/keystone"
)

// A stored is what testdata/store.py says of a value that it stored.
type stored struct {
	Key  string `json:"key"`
	Want any    `json:"want"` // what WriteJSON must give; null: look yourself
	Form string `json:"form"`
}

// store has the real libraries store values in a real memcached, and gives what they say and a way to read it.
func store(t *testing.T) (all []stored, get func(key string) inspect.Item) {
	t.Helper()
	mc := memcachedtest.Start(t)
	cmd := exec.Command("/usr/bin/python3", "testdata/store.py", mc.Addr())
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("store.py: %v (make install-test-deps installs the libraries)\n%s", err, &errOut)
	}
	for line := range bytes.Lines(out) {
		var s stored
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	server := inspect.Server{Network: "tcp", Address: mc.Addr()}
	fetch := inspect.DefaultFetch()
	return all, func(key string) inspect.Item {
		t.Helper()
		item, err := fetch.Get(t.Context(), &server, key)
		if err != nil || !item.Found {
			t.Fatalf("%s: %v, %+v", key, err, item)
		}
		return item
	}
}

// written gives what WriteJSON makes of a value, read back.
func written(t *testing.T, v keystone.Value, masked bool) (any, string) {
	t.Helper()
	var out bytes.Buffer
	if err := v.WriteJSON(&out, masked); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&out)
	text := out.String()
	d.UseNumber()
	var got any
	if err := d.Decode(&got); err != nil {
		t.Fatalf("WriteJSON gives no JSON: %v\n%s", err, text)
	}
	return got, text
}

// TestStored reads values that the real libraries stored in a real memcached, by every protocol of pickle.
func TestStored(t *testing.T) {
	all, get := store(t)
	if len(all) < 30 {
		t.Fatalf("only %d values were stored", len(all))
	}
	lists := 0
	for _, s := range all {
		item := get(s.Key)
		v, err := keystone.Decode(item.Value, item.Flags)
		if err != nil {
			t.Errorf("%s: %v", s.Key, err)
			continue
		}
		if v.Form != s.Form {
			t.Errorf("%s: form %q, want %q", s.Key, v.Form, s.Form)
		}
		got, _ := written(t, v, false)
		if s.Want != nil {
			if diff := cmp.Diff(s.Want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", s.Key, diff)
			}
		} else if _, ok := v.Data.(*keystone.CachedValue); !ok {
			t.Errorf("%s is no cached value but %#v", s.Key, v.Data)
		}
		if _, text := written(t, v, true); strings.Contains(text, "café") || strings.Contains(text, "2015-06-01") || strings.Contains(text, "hello") {
			t.Errorf("%s: the shape shows contents:\n%s", s.Key, text)
		}
		if !strings.HasPrefix(s.Key, "list-") {
			continue
		}
		lists++
		tokens, err := v.TokenList()
		if err != nil || len(tokens) != 300 || tokens[299].ID != fmt.Sprintf("%032x", 299) || tokens[299].Expires.Format("15:04:05.000") != "12:04:59.123" {
			t.Errorf("%s: %d tokens, %v", s.Key, len(tokens), err)
		}
	}
	if lists != 6 {
		t.Errorf("%d token lists, want one for each protocol", lists)
	}
	for protocol := range 6 {
		item := get(fmt.Sprintf("custom-%d", protocol))
		v, err := keystone.Decode(item.Value, item.Flags)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := written(t, v, false)
		want := map[string]any{
			"class": "__main__.Custom", "state": map[string]any{"issued": "2015-06-01T12:00:00.000005", "id": "custom"},
		}
		if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == `["args"]` }, cmp.Ignore())); diff != "" {
			t.Errorf("an object by protocol %d (-want +got):\n%s", protocol, diff)
		}
	}
}
