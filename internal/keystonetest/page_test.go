//go:build keystone

package keystonetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// codeBlock is a block of a language in a page.
var codeBlock = regexp.MustCompile("(?s)```(ini|toml)\n(.*?)```")

// TestPage holds docs/keystone.md to what the other tests run with: it shows the settings of each backend, and no others, and
// configurations that mcproxy takes.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/keystone.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, o := range options() {
		want[o.section("127.0.0.1:11210", o.more...)] = false
		want[o.section(o.socket+"/run/mcproxy/mcproxy.sock", o.more...)] = false
	}
	binary, configurations := buildProxy(t), 0
	for _, block := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		switch language, body := block[1], block[2]; {
		case language == "toml":
			configurations++
			file := filepath.Join(t.TempDir(), "proxy.toml")
			if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(binary, "check", "-c", file).CombinedOutput(); err != nil {
				t.Errorf("mcproxy check: %v: %s\n%s", err, out, body)
			}
		case strings.HasPrefix(body, "[cache]\n"):
			for section := range strings.SplitSeq(strings.TrimSuffix(body, "\n"), "\n\n") {
				if _, tested := want[section+"\n"]; !tested {
					t.Errorf("the page shows what no test runs:\n%s", section)
				}
				want[section+"\n"] = true
			}
		}
	}
	if configurations == 0 {
		t.Error("the page has no proxy.toml")
	}
	var missing []string
	for section, shown := range want {
		if !shown {
			missing = append(missing, section)
		}
	}
	slices.Sort(missing)
	for _, section := range missing {
		t.Errorf("the page does not show\n%s", section)
	}
}
