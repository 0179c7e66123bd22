package admin

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"mcproxy/proxy"
)

// backendFamilies tell what the proxy did with each backend.
func backendFamilies() []family {
	gauge := func(name, help string, read func(b *proxy.BackendFigures) int) family {
		return byBackend(name, prometheus.GaugeValue, help, nil, func(b *proxy.BackendFigures, emit emit) { emit(float64(read(b))) })
	}
	counter := func(name, help string, read func(b *proxy.BackendFigures) uint64) family {
		return byBackend(name, prometheus.CounterValue, help, nil, func(b *proxy.BackendFigures, emit emit) { emit(float64(read(b))) })
	}
	// by makes a family of counters with one label more.
	by := func(name, help, label string, read func(b *proxy.BackendFigures) map[string]uint64) family {
		return byBackend(name, prometheus.CounterValue, help, []string{label}, func(b *proxy.BackendFigures, emit emit) {
			m := read(b)
			for _, value := range slices.Sorted(maps.Keys(m)) {
				emit(float64(m[value]), value)
			}
		})
	}
	return []family{
		byBackend("mcproxy_backend_info", prometheus.GaugeValue, "The backend's address, and its version (empty while unknown). Always 1.",
			[]string{"address", "version"}, func(b *proxy.BackendFigures, emit emit) {
				emit(1, b.Address, strings.ToValidUTF8(b.Version, "?")) // it is what the backend says, and Prometheus takes UTF-8 alone
			}),
		byBackend("mcproxy_backend_state", prometheus.GaugeValue,
			"1 for the state the backend is in: up; down (requests fail at once); held (an operator must release it: it missed more writes than its journal can hold, or on_return says so).",
			[]string{"state"}, func(b *proxy.BackendFigures, emit emit) {
				for _, state := range []string{"up", "down", "held"} {
					emit(flag(b.State == state), state)
				}
			}),
		byBackend("mcproxy_backend_state_changes_total", prometheus.CounterValue,
			"Changes of the backend's state, by the state it came to and the reason: timeout, connect (no connection could be opened), journal (it overflowed), returned (on_return = \"hold\"), flush (it was refused), "+
				"recovered, released (by an operator).",
			[]string{"state", "reason"}, func(b *proxy.BackendFigures, emit emit) {
				for _, c := range b.Changes {
					emit(float64(c.Count), c.State, c.Reason)
				}
			}),
		gauge("mcproxy_backend_conns", "Connections to the backend that are open.",
			func(b *proxy.BackendFigures) int { return b.Conns }),
		gauge("mcproxy_backend_pending_calls", "Calls that wait for their answer.",
			func(b *proxy.BackendFigures) int { return b.Pending }),
		by("mcproxy_backend_calls_total", "Calls that were sent, by the word on the wire.", "verb",
			func(b *proxy.BackendFigures) map[string]uint64 { return b.Requests }),
		counter("mcproxy_backend_call_timeouts_total", "Calls that were not answered within the timeout.",
			func(b *proxy.BackendFigures) uint64 { return b.Timeouts }),
		by("mcproxy_backend_call_failures_total", "Calls that failed, by kind: timeout; connect (no connection could be opened); closed (it broke); protocol (an answer that is "+
			"none); overloaded (too much was waiting); down, held (not sent, for the backend's state); away (the proxies have not agreed yet that it is used); unsettled (not sent, because of an earlier write to the key); shutdown.", "kind",
			func(b *proxy.BackendFigures) map[string]uint64 { return b.Errors }),
		counter("mcproxy_backend_slow_calls_total", "Calls that took longer than slow_call, answered or not.",
			func(b *proxy.BackendFigures) uint64 { return b.Slow }),
		counter("mcproxy_backend_call_retries_total", "Reads that were sent a second time because their connection was dead.",
			func(b *proxy.BackendFigures) uint64 { return b.Retries }),
		counter("mcproxy_backend_connects_total", "Connections that were opened.",
			func(b *proxy.BackendFigures) uint64 { return b.Connects }),
		counter("mcproxy_backend_connect_errors_total", "Connections that could not be opened.",
			func(b *proxy.BackendFigures) uint64 { return b.ConnectErrors }),
		counter("mcproxy_backend_received_bytes_total", "Bytes from the backend.",
			func(b *proxy.BackendFigures) uint64 { return b.BytesIn }),
		counter("mcproxy_backend_sent_bytes_total", "Bytes to the backend.",
			func(b *proxy.BackendFigures) uint64 { return b.BytesOut }),
		gauge("mcproxy_backend_journal_keys", "Keys in the journal of missed writes.",
			func(b *proxy.BackendFigures) int { return b.JournalKeys }),
		counter("mcproxy_backend_journal_overflows_total", "Missed writes that the journal had no room for: the backend must be flushed, or restarted and released.",
			func(b *proxy.BackendFigures) uint64 { return b.Lost }),
		gauge("mcproxy_backend_out", "1 while the backend's keys are looked for elsewhere (on_down).",
			func(b *proxy.BackendFigures) int { return int(flag(b.Out)) }),
		byBackend("mcproxy_backend_standing", prometheus.GaugeValue, "1 for where the backend's keys are looked for, as all proxies over it have agreed.", []string{"standing"},
			func(b *proxy.BackendFigures, emit emit) {
				for _, s := range []string{"home", "away", "none", "alone"} {
					emit(flag(b.Standing == s), s)
				}
			}),
		gauge("mcproxy_backend_stray_keys", "The backend's keys that were written elsewhere while it is out.",
			func(b *proxy.BackendFigures) int { return b.Strays }),
		counter("mcproxy_backend_journalled_writes_total", "Writes that went into the journal because the backend did not confirm them.",
			func(b *proxy.BackendFigures) uint64 { return b.Journalled }),
	}
}

// serverFamilies tell what each backend says of itself: its answer to `stats`, not older than stats_interval while it answers.
func serverFamilies() []family {
	each := func(name string, kind prometheus.ValueType, help string, read func(s *proxy.BackendStats) float64) family {
		return byBackend(name, kind, help, nil, func(b *proxy.BackendFigures, emit emit) {
			if b.Stats != nil {
				emit(read(b.Stats))
			}
		})
	}
	return []family{
		each("mcproxy_backend_items", prometheus.GaugeValue, "Items that the backend holds, by its own account.",
			func(s *proxy.BackendStats) float64 { return float64(s.Items) }),
		each("mcproxy_backend_stored_bytes", prometheus.GaugeValue, "Bytes that its items take, by the backend's own account.",
			func(s *proxy.BackendStats) float64 { return float64(s.Bytes) }),
		each("mcproxy_backend_limit_bytes", prometheus.GaugeValue, "Bytes that its items may take, by the backend's own account.",
			func(s *proxy.BackendStats) float64 { return float64(s.Limit) }),
		each("mcproxy_backend_evictions_total", prometheus.CounterValue, "Items that the backend has thrown out for others since it started, by its own account.",
			func(s *proxy.BackendStats) float64 { return float64(s.Evictions) }),
		each("mcproxy_backend_server_conns", prometheus.GaugeValue, "Connections that the backend has open, from whomever, by its own account.",
			func(s *proxy.BackendStats) float64 { return float64(s.Connections) }),
		each("mcproxy_backend_start_time_seconds", prometheus.GaugeValue, "When the backend started, in seconds since 1970, by its own account.",
			func(s *proxy.BackendStats) float64 { return float64(s.StartTime) }),
	}
}
