package admin_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const rulesDir = "../deploy/prometheus"

// planned are metrics that rules name before there are any.
var planned []string

// promtool runs Prometheus's own checker, in rulesDir.
func promtool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Dir = rulesDir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("promtool %s: %v (make install-test-deps installs it)\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestAlerts has promtool check the rules and play their examples, and looks whether each alert has examples of both kinds.
func TestAlerts(t *testing.T) {
	promtool(t, "check", "rules", "mcproxy.rules.yml")
	promtool(t, "test", "rules", "mcproxy_test.yml", "mcproxy_hours_test.yml")

	rules, doc := read(t, rulesDir+"/mcproxy.rules.yml"), read(t, "../docs/alerts.md")
	examples := read(t, rulesDir+"/mcproxy_test.yml") + read(t, rulesDir+"/mcproxy_hours_test.yml")
	fires, silent := make(map[string]bool), make(map[string]bool)
	for _, m := range regexp.MustCompile(`alertname: (\w+)\n\s+exp_alerts:( \[\])?`).FindAllStringSubmatch(examples, -1) {
		if m[2] == "" {
			fires[m[1]] = true
		} else {
			silent[m[1]] = true
		}
	}
	alerts := slices.Compact(slices.Sorted(alertNames(rules)))
	for _, alert := range alerts {
		if !fires[alert] || !silent[alert] {
			t.Errorf("%s: an example fires: %v; one does not: %v", alert, fires[alert], silent[alert])
		}
		if !strings.Contains(doc, "\n## "+alert+"\n") {
			t.Errorf("docs/alerts.md has no %s", alert)
		}
		if link := "runbook: docs/alerts.md#" + strings.ToLower(alert); !strings.Contains(rules, link) {
			t.Errorf("%s has no %s", alert, link)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(doc, -1) {
		if !slices.Contains(alerts, m[1]) {
			t.Errorf("docs/alerts.md tells of %s, which is no alert", m[1])
		}
	}
	if n := strings.Count(rules, "- alert:"); n != strings.Count(rules, "runbook:") || n < 20 {
		t.Errorf("%d alerts with %d runbooks", n, strings.Count(rules, "runbook:"))
	}
	known := metricNames(t)
	for _, file := range []string{rules, examples, doc} {
		unknownMetrics(t, file, append(known, recordNames(rules)...))
	}
}

func alertNames(rules string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
			if !yield(m[1]) {
				return
			}
		}
	}
}

func recordNames(rules string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`- record: (\S+)`).FindAllStringSubmatch(rules, -1) {
		names = append(names, m[1])
	}
	return names
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// metricNames are all series that /metrics has.
func metricNames(t *testing.T) []string {
	t.Helper()
	text := body(t, ask(&source{ready: true, snapshot: figures(), hotKeys: hotKeys()}, "GET", "/metrics", "localhost"))
	var names []string
	for line := range strings.Lines(text) {
		if name := regexp.MustCompile(`^[a-z_]+`).FindString(line); name != "" {
			names = append(names, name)
		}
	}
	names = slices.Compact(names)
	if len(names) < 100 {
		t.Fatalf("found %d metrics", len(names))
	}
	for _, name := range planned {
		if slices.Contains(names, name) {
			t.Errorf("%s is there: it is not planned any more", name)
		}
	}
	return append(names, planned...)
}

// unknownMetrics finds names of metrics in a text that are none.
func unknownMetrics(t *testing.T, text string, known []string) {
	t.Helper()
	for _, name := range regexp.MustCompile(`\b(mcproxy_[a-z0-9_]+|mcproxy:[a-z0-9_:]+|process_[a-z_]+|go_[a-z_]+)`).FindAllString(text, -1) {
		if name != "mcproxy_test" && name != "mcproxy_hours_test" && !slices.Contains(known, name) {
			t.Errorf("there is no metric %s", name)
		}
	}
}
