package admin_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A dashboard is what the test looks at of Grafana's JSON.
type dashboard struct {
	Title, UID string
	Panels     []panel
	Templating struct {
		List []struct {
			Name, Type, Definition string
		}
	}
	Annotations struct {
		List []struct{ Expr string }
	}
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ H, W, X, Y int }
	Datasource  struct{ UID string }
	Targets     []struct {
		RefID, Expr, LegendFormat string
		Datasource                struct{ UID string }
	}
	FieldConfig struct {
		Defaults struct{ Unit string }
	}
}

// TestDashboard has promtool parse every expression of the dashboard for Grafana, and looks whether there is such a metric, such a
// variable, and a place for each panel.
func TestDashboard(t *testing.T) {
	const file = "../deploy/grafana/mcproxy.json"
	text := read(t, file)
	var d dashboard
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	var exprs, rows, ids []string
	for i := range d.Panels {
		p := &d.Panels[i]
		ids = append(ids, fmt.Sprint(p.ID))
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Title == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" || p.Type == "timeseries" && p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("panel %d %q lacks a title, a target, the data source or a unit", p.ID, p.Title)
		}
		for j := range p.Targets {
			target := &p.Targets[j]
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("panel %q: a target has another data source", p.Title)
			}
			exprs = append(exprs, target.Expr)
		}
		for j := range d.Panels[:i] {
			if overlap(p, &d.Panels[j]) {
				t.Errorf("panels %q and %q overlap", p.Title, d.Panels[j].Title)
			}
		}
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W < 1 || p.GridPos.H < 1 {
			t.Errorf("panel %q stands at %+v", p.Title, p.GridPos)
		}
	}
	want := []string{"Overview", "Backends", "Hot keys", "What is done about them", "Values and times to live", "Clients"}
	if !slices.Equal(rows, want) {
		t.Errorf("the rows are %q, want %q", rows, want)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != len(d.Panels) || len(exprs) < 50 {
		t.Errorf("%d panels have %d ids and %d expressions", len(d.Panels), len(slices.Compact(ids)), len(exprs))
	}
	for _, a := range d.Annotations.List {
		exprs = append(exprs, a.Expr)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*", "$pool", ".*")
	for _, v := range d.Templating.List {
		if v.Type != "datasource" && v.Definition == "" {
			t.Errorf("variable %s has no query", v.Name)
		}
	}
	parseAll(t, exprs, variables)
	known := append(metricNames(t), recordNames(read(t, rulesDir+"/mcproxy.rules.yml"))...)
	unknownMetrics(t, text, known)
}

func overlap(a, b *panel) bool {
	g, h := a.GridPos, b.GridPos
	return g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H
}

// parseAll has promtool parse expressions, as rules.
func parseAll(t *testing.T, exprs []string, variables *strings.Replacer) {
	t.Helper()
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: expressions\n    rules:\n")
	for i, expr := range exprs {
		e := variables.Replace(expr)
		if strings.Contains(e, "$") {
			t.Errorf("an unknown variable: %s", expr)
		}
		quoted, err := json.Marshal(e) // YAML takes it
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&rules, "      - {record: \"expression_%d\", expr: %s}\n", i, quoted)
	}
	file := filepath.Join(t.TempDir(), "expressions.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := promtool(t, "check", "rules", file); !strings.Contains(out, fmt.Sprintf("%d rules found", len(exprs))) {
		t.Errorf("promtool has parsed something else than %d expressions:\n%s", len(exprs), out)
	}
}
