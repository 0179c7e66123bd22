package e2e

import (
	"testing"

	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
)

// TestDifferentialSplit is TestDifferentialFourBackends with values split from 100 bytes on, and with every get sharing its
// fetch: every command meets split values.
func TestDifferentialSplit(t *testing.T) {
	if throughMemcached(t) {
		t.Log("values are split by the proxy only: nothing to check")
		return
	}
	var servers []*memcachedtest.Server
	for range 4 {
		servers = append(servers, startMemcached(t))
	}
	p := poolOf(servers...)
	p.Coalesce = pool.CoalesceAll
	p.Split = pool.SplitConfig{Enabled: true, Threshold: 100, Chunk: 4000}
	s := startProxy(t, p)
	s.servers = servers
	d := &differential{name: "TestDifferentialSplit", seed: seed(t), service: s, direct: startMemcached(t, "-I", "8m"), perKey: true, splits: true}
	alone := *commandsFlag / 5
	t.Run("one client", func(t *testing.T) { d.run(t, 1, alone) })
	t.Run("clients", func(t *testing.T) { d.run(t, *clientsFlag, *commandsFlag-alone) })
}
