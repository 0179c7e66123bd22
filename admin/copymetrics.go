package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"mcproxy/proxy"
)

// copyFamilies tell of the copies of hot keys.
func copyFamilies() []family {
	// pools makes a family of pools whose keys may have copies.
	pools := func(name string, kind prometheus.ValueType, help string, labels []string, read func(c *proxy.CopySummary, emit emit, pool string)) family {
		return family{name, kind, help, append([]string{"pool"}, labels...), func(f *figures, emit emit) {
			for i := range f.Pools {
				if c := f.Pools[i].Copies; c != nil {
					read(c, emit, f.Pools[i].Name)
				}
			}
		}}
	}
	// count makes a family of one counter a pool.
	count := func(name, help string, read func(c *proxy.CopySummary) uint64) family {
		return pools(name, prometheus.CounterValue, help, nil, func(c *proxy.CopySummary, emit emit, pool string) {
			emit(float64(read(c)), pool)
		})
	}
	// guards makes a family of one figure a backend.
	guards := func(name, help string, read func(g *proxy.CopyGuard) float64) family {
		return pools(name, prometheus.GaugeValue, help, []string{"backend"}, func(c *proxy.CopySummary, emit emit, pool string) {
			for i := range c.Guards {
				emit(read(&c.Guards[i]), pool, c.Guards[i].Backend)
			}
		})
	}
	return []family{
		pools("mcproxy_replica_keys", prometheus.GaugeValue,
			"Keys that backends' guards name, by phase: prep (about to get copies), active (read from copies), drain (about to lose them).",
			[]string{"phase"}, func(c *proxy.CopySummary, emit emit, pool string) {
				emit(float64(c.Prep), pool, "prep")
				emit(float64(c.Active), pool, "active")
				emit(float64(c.Drain), pool, "drain")
			}),
		pools("mcproxy_replica_reads_total", prometheus.CounterValue,
			"Reads that looked for a copy, by outcome: copy (it was there); home (there was none that may be read, and the key's own backend was asked); "+
				"lost (the same, because the copy's backend did not answer).",
			[]string{"outcome"}, func(c *proxy.CopySummary, emit emit, pool string) {
				emit(float64(c.Read), pool, "copy")
				emit(float64(c.Missed-c.Lost), pool, "home")
				emit(float64(c.Lost), pool, "lost")
			}),
		count("mcproxy_replica_fills_total", "Copies that were written.", func(c *proxy.CopySummary) uint64 { return c.Fills }),
		count("mcproxy_replica_clears_total", "Copies that were cleared for a write, or found to be.", func(c *proxy.CopySummary) uint64 { return c.Clears }),
		pools("mcproxy_replica_writes_total", prometheus.CounterValue,
			"Writes that took more than their own backend's answer, by outcome: settled (acknowledged, when copies were cleared or the guard had been asked); "+
				"refused (not acknowledged, because a copy could be neither cleared nor locked).",
			[]string{"outcome"}, func(c *proxy.CopySummary, emit emit, pool string) {
				emit(float64(c.Settled), pool, "settled")
				emit(float64(c.Refused), pool, "refused")
			}),
		count("mcproxy_replica_guards_asked_total", "Guards that a write asked for itself, because what was known was too old.", func(c *proxy.CopySummary) uint64 { return c.Asked }),
		count("mcproxy_replica_locks_total", "Copies that were locked for a write, in strict mode.", func(c *proxy.CopySummary) uint64 { return c.Locks }),
		pools("mcproxy_replica_polls_total", prometheus.CounterValue, "Polls of guards, by outcome: answered, failed.",
			[]string{"outcome"}, func(c *proxy.CopySummary, emit emit, pool string) {
				emit(float64(c.Polls-min(c.Polls, c.Unheard)), pool, "answered")
				emit(float64(c.Unheard), pool, "failed")
			}),
		guards("mcproxy_replica_guard_age_seconds", "How old what is known of a backend's guard is; -1 if it was never asked.", func(g *proxy.CopyGuard) float64 { return g.Age }),
		guards("mcproxy_replica_guard_trusted",
			"1 if it is known which keys of a backend have copies; 0 if not: then each write of its keys clears all that could have one.",
			func(g *proxy.CopyGuard) float64 { return flag(g.Trusted) }),
		guards("mcproxy_replica_ring_mismatch", "1 if proxies with another ring, or another mode of replicas, use the backend: then no key of it gets copies.",
			func(g *proxy.CopyGuard) float64 { return flag(g.Foreign) }),
		count("mcproxy_replica_promotions_total", "Keys that got copies by a step of this process.", func(c *proxy.CopySummary) uint64 { return c.Promoted }),
		pools("mcproxy_replica_demotions_total", prometheus.CounterValue,
			"Keys that lost their copies by a step of this process, by reason: cooled, write_hot (written too often), unreachable (a copy's backend), disowned (no proxy "+
				"has said for a while that it is hot), mismatched (rings differ), outgrown (it is to get more), switched_off, crowded (more locks than writes, in strict mode).",
			[]string{"reason"}, func(c *proxy.CopySummary, emit emit, pool string) {
				for reason, n := range c.Demotions() {
					emit(float64(n), pool, reason)
				}
			}),
		count("mcproxy_replica_checks_total", "Copies that the canary compared with the items that they are made of.", func(c *proxy.CopySummary) uint64 { return c.Checked }),
		count("mcproxy_stale_detected_total", "Copies of which the canary found that they were older than they may be. Each is an alarm.",
			func(c *proxy.CopySummary) uint64 { return c.Stale }),
	}
}
