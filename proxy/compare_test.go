package proxy_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"mcproxy/pool"
	"mcproxy/proxy"
)

func poolOfAddresses(name string, addresses ...string) pool.Config {
	p := pool.Config{Name: name}
	for _, a := range addresses {
		p.Backends = append(p.Backends, pool.BackendConfig{Network: "tcp", Address: a})
	}
	return p
}

func TestCompare(t *testing.T) {
	three := []string{"10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211"}
	four := append(three[:3:3], "10.0.0.4:11211")
	before := proxy.Config{Pools: []pool.Config{poolOfAddresses("main", three...), poolOfAddresses("x", "10.0.0.9:11211")}, DefaultPool: "main"}
	before.Routes = []proxy.Route{{Prefix: "x/", Pool: "x"}}

	split := before
	split.Pools = []pool.Config{poolOfAddresses("main", three...), before.Pools[1]}
	split.Pools[0].Split.Enabled = true
	for _, tt := range []struct {
		name          string
		before, after proxy.Config
		moves         map[string]float64 // by prefix
		warnings      []string           // parts of them
	}{
		{"nothing", before, before, map[string]float64{"": 0, "x/": 0}, nil},
		{
			"a fourth server", before,
			proxy.Config{Pools: []pool.Config{poolOfAddresses("main", four...), before.Pools[1]}, DefaultPool: "main", Routes: before.Routes},
			map[string]float64{"": 0.25, "x/": 0},
			[]string{"flush servers"},
		},
		{
			"another route", before,
			proxy.Config{Pools: before.Pools, DefaultPool: "main", Routes: []proxy.Route{{Prefix: "y/", Pool: "x"}}},
			map[string]float64{"": 0, "x/": 1, "y/": 1},
			[]string{"flush servers"},
		},
		{"a pool's name", before, proxy.Config{Pools: []pool.Config{poolOfAddresses("new", three...), before.Pools[1]}, DefaultPool: "new", Routes: before.Routes}, map[string]float64{"": 0, "x/": 0}, nil},
		{"no more chunks", split, before, map[string]float64{"": 0, "x/": 0}, []string{"not split any more"}},
		{
			"chunks elsewhere", split,
			proxy.Config{
				Pools:       []pool.Config{{Name: "main", Backends: poolOfAddresses("", four...).Backends, Split: split.Pools[0].Split}, before.Pools[1]},
				DefaultPool: "main", Routes: before.Routes,
			},
			map[string]float64{"": 0.25, "x/": 0},
			[]string{"flush servers", "in chunks are misses"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := proxy.Compare(tt.before, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Moves) != len(tt.moves) {
				t.Errorf("got %v", c.Moves)
			}
			for _, m := range c.Moves {
				if want, ok := tt.moves[m.Prefix]; !ok || math.Abs(m.Share-want) > 0.06 {
					t.Errorf("%v; want %.2f", m, want)
				}
				if !strings.Contains(m.String(), fmt.Sprintf("%.1f %%", 100*m.Share)) {
					t.Errorf("%q does not say %.3f", m, m.Share)
				}
			}
			if len(c.Warnings) != len(tt.warnings) {
				t.Fatalf("warnings are %q", c.Warnings)
			}
			for i, w := range c.Warnings {
				if !strings.Contains(w, tt.warnings[i]) {
					t.Errorf("warning %q says nothing of %q", w, tt.warnings[i])
				}
			}
		})
	}
}
