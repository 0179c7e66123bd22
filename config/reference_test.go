package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcproxy/config"
)

// row finds a key of the reference with its default.
var row = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (?:`(.*?)`|–) \\|")

func TestReferenceIsInDocs(t *testing.T) {
	const file, mark = "../docs/config.md", "<!-- generated: go test ./config -update -->\n"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, got, found := strings.Cut(string(doc), mark)
	if !found {
		t.Fatalf("%s has no line %q", file, mark)
	}
	want := "\n" + strings.TrimSuffix(config.Reference(), "\n")
	if *update {
		if err := os.WriteFile(file, []byte(head+mark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is out of date; run go test ./config -update (-want +got):\n%s", file, diff)
	}
}

// TestDocsLoad parses the files that are shown in the docs.
func TestDocsLoad(t *testing.T) {
	block := regexp.MustCompile("(?s)```toml\n(.*?)```")
	for _, name := range []string{"../README.md", "../docs/config.md", "../docs/hot-keys.md", "../docs/security.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			t.Errorf("%s shows no file", name)
		}
		for _, b := range blocks {
			if f := parse(t, b[1]); len(f.Warnings) > 0 {
				t.Errorf("%s shows a file with warnings %v:\n%s", name, f.Warnings, b[1])
			}
		}
	}
}

func TestExampleHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("../proxy.toml")
	if err != nil {
		t.Fatal(err)
	}
	rows := row.FindAllStringSubmatch(config.Reference(), -1)
	if len(rows) < 30 {
		t.Fatalf("the reference has %d keys", len(rows))
	}
	for _, r := range rows {
		key, def := r[1], r[2]
		want := `(?m)^#?` + key + ` = `
		switch key {
		case "listeners", "routes":
			want = `(?m)^#?\[\[` + key + `\]\]`
		case "proxy", "limits", "log", "admin":
			want = `(?m)^\[` + key + `\]`
		case "pools":
			want = `(?m)^\[pools\.`
		case "coalesce", "hotkeys", "split", "replicas", "tls":
			want = `(?m)^#?\[pools\.[a-z]+\.` + key + `\]`
		case "name", "weight": // in an inline table
			want = `[{ ,]` + key + ` = `
		}
		if def != "" {
			want += regexp.QuoteMeta(def)
		}
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("proxy.toml has no %s = %s", key, def)
		}
	}
}

func TestExampleLoads(t *testing.T) {
	text, err := os.ReadFile("../proxy.toml")
	if err != nil {
		t.Fatal(err)
	}
	f := parse(t, string(text))
	if len(f.Warnings) > 0 {
		t.Errorf("proxy.toml has warnings: %v", f.Warnings)
	}
}

// TestExampleLoadsWithAllKeys takes the "#" away from each commented key.
func TestExampleLoadsWithAllKeys(t *testing.T) {
	text, err := os.ReadFile("../proxy.toml")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^#([a-z_]+ = |\[)`).ReplaceAllString(string(text), "$1")
	all = strings.ReplaceAll(all, "  # {", "  {")
	f := parse(t, all)
	if len(f.Proxy.Pools) != 5 || len(f.Proxy.Listeners) != 2 || len(f.Proxy.Routes) != 1 || len(f.Proxy.Pools[0].Backends) != 2 {
		t.Errorf("with all keys proxy.toml gives %+v", f.Proxy)
	}
	// The defaults that it writes are those of package backend.
	if got, want := f.Proxy.Pools[0].Backend.WithDefaults(), parse(t, minimal).Proxy.Pools[0].Backend.WithDefaults(); got != want {
		t.Errorf("proxy.toml's defaults are %+v, want %+v", got, want)
	}
}
