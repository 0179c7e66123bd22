package workload

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	with := func(text string, change func(*Options)) (*mix, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		opts := Default()
		opts.KeyFile = file
		change(&opts)
		return newMix(&opts)
	}
	m, err := with("one\ntwo\r\nthree", func(o *Options) { o.IncrRatio = 0.1 })
	if err != nil || m.opts.Keys != 3 {
		t.Fatalf("newMix: %v, %d keys, want 3", err, m.opts.Keys)
	}
	seen := map[string]bool{}
	p := m.prefill(0, 1)
	for o := (Op{}); p.Next(&o, 0) != Ended; o.Reset() {
		seen[string(o.Key)] = true
	}
	for _, key := range []string{"one", "two", "three", "mcb:n00000000000"} {
		if !seen[key] {
			t.Errorf("the prefill has not set %q but %v", key, seen)
		}
	}
	for text, want := range map[string]string{
		"": "no keys", "a\n\nb\n": `:2: "": want a key`, "a\nb c\n": `:2: "b c": want a key`, "a\nb\na\n": `:3: "a" stands there twice`,
		strings.Repeat("x", 251): ":1: ", "a\nb\nc\n": "swap-keys 2: want 1 to half of the 3 keys",
	} {
		_, err := with(text, func(o *Options) { o.KeyDist, o.SwapKeys = "hot-swap", 2 })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want an error with %q", text, err, want)
		}
	}
	opts := Default()
	opts.KeyFile = filepath.Join(t.TempDir(), "none")
	if _, err := newMix(&opts); err == nil {
		t.Error("a file that is not there: no error")
	}
	opts.Workload = KeystoneTokens
	if err := opts.Check(); err == nil || !strings.Contains(err.Error(), "key-file: not with the workload keystone-tokens") {
		t.Errorf("with tokens: %v", err)
	}
}
