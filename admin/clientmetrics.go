package admin

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"mcproxy/proxy"
)

// clientFamilies tell of the client side.
func clientFamilies() []family {
	one := func(name string, kind prometheus.ValueType, help string, read func(c *proxy.ClientFigures) float64) family {
		return scalar(name, kind, help, func(f *figures) float64 { return read(&f.Clients) })
	}
	// by makes a family with one label.
	by := func(name, help, label string, read func(c *proxy.ClientFigures) map[string]uint64) family {
		return family{name: name, kind: prometheus.CounterValue, help: help, labels: []string{label}, read: func(f *figures, emit emit) {
			m := read(&f.Clients)
			for _, value := range slices.Sorted(maps.Keys(m)) {
				emit(float64(m[value]), value)
			}
		}}
	}
	listener := func(name string, kind prometheus.ValueType, help string, read func(l *proxy.ListenerFigures) float64) family {
		return family{name: name, kind: kind, help: help, labels: []string{"listener"}, read: func(f *figures, emit emit) {
			for i := range f.Clients.Listeners {
				l := &f.Clients.Listeners[i]
				emit(read(l), l.Address)
			}
		}}
	}
	whole := func(name, help string, read func(m *proxy.MeterFigures) int64) family {
		return scalar(name, prometheus.GaugeValue, help, func(f *figures) float64 { return float64(read(&f.Whole)) })
	}
	return []family{
		listener("mcproxy_client_conns", prometheus.GaugeValue, "Client connections that are open, by the listener's configured address.",
			func(l *proxy.ListenerFigures) float64 { return float64(l.Conns) }),
		listener("mcproxy_client_conns_accepted_total", prometheus.CounterValue, "Client connections that were accepted.",
			func(l *proxy.ListenerFigures) float64 { return float64(l.Accepted) }),
		listener("mcproxy_client_conns_rejected_total", prometheus.CounterValue, "Client connections that were refused because max_connections were open.",
			func(l *proxy.ListenerFigures) float64 { return float64(l.Rejected) }),
		by("mcproxy_client_conns_closed_total", "Client connections that were closed, by reason: client (it ended them, or they broke); quit; binary "+
			"(memcached's binary protocol); garbage (HTTP, or a line that is too long); stalled (a client held a large value, or had much unread, and moved no byte for 15 s while "+
			"others waited for the budget, or were refused); drain (the proxy is ending); tls (TLS on a listener without); guesses (logins failed too often).", "reason",
			func(c *proxy.ClientFigures) map[string]uint64 { return c.ClosedBy }),
		one("mcproxy_client_received_bytes_total", prometheus.CounterValue, "Bytes from clients.",
			func(c *proxy.ClientFigures) float64 { return float64(c.BytesIn) }),
		one("mcproxy_client_sent_bytes_total", prometheus.CounterValue, "Bytes to clients.",
			func(c *proxy.ClientFigures) float64 { return float64(c.BytesOut) }),
		one("mcproxy_client_requests_in_flight", prometheus.GaugeValue, "Requests of clients whose answers have not been sent.",
			func(c *proxy.ClientFigures) float64 { return float64(c.InFlight) }),
		by("mcproxy_client_errors_total", "Requests of clients that the proxy itself answered with an error, by kind: line (no command, or a wrong one); data_chunk "+
			"(the value does not end where it should); too_large (over max_value); out_of_memory (no room in the budget in time); stream (the connection could not go on); unauthenticated (no login yet); login (a wrong one); forbidden (the listener permits no such command or key); overloaded (a limit was reached).",
			"kind", func(c *proxy.ClientFigures) map[string]uint64 { return c.Errors }),
		by("mcproxy_client_overloaded_total", "Requests that were answered with SERVER_ERROR overloaded because of a key of [limits], by limit: values (a value of a client, "+
			"over bytes); answers (an answer that would have had to wait for its client, over bytes); requests; address (rate); prefix (rate in [[limits.prefixes]]).",
			"limit", func(c *proxy.ClientFigures) map[string]uint64 { return c.OverLimit }),
		whole("mcproxy_held_bytes", "Bytes held for values that are not split and for answers that clients have not read, as far as they are many. A worker that serves small values "+
			"alone tells of none.", func(m *proxy.MeterFigures) int64 { return m.Bytes }),
		whole("mcproxy_held_peak_bytes", "The most of them at once since the start.", func(m *proxy.MeterFigures) int64 { return m.Peak }),
		whole("mcproxy_held_limit_bytes", "The limit for them: bytes in [limits] of the configuration.", func(m *proxy.MeterFigures) int64 { return m.Limit }),
	}
}

// addressFamilies tell what clients did, by address: 50 of them, and the others as one.
func addressFamilies() []family {
	each := func(name string, kind prometheus.ValueType, help string, read func(a *proxy.AddressFigures) float64) family {
		return family{name: name, kind: kind, help: help, labels: []string{"address"}, read: func(f *figures, emit emit) {
			for i := range f.Addresses {
				emit(read(&f.Addresses[i]), f.Addresses[i].Address)
			}
		}}
	}
	return []family{
		each("mcproxy_client_address_conns", prometheus.GaugeValue, "Client connections that are open, by the client's address: 50 of the busiest, and other.",
			func(a *proxy.AddressFigures) float64 { return float64(a.Conns) }),
		each("mcproxy_client_address_requests_total", prometheus.CounterValue, "Requests by the client's address: 50 of the busiest, and other.",
			func(a *proxy.AddressFigures) float64 { return float64(a.Requests) }),
		each("mcproxy_client_address_stores_total", prometheus.CounterValue, "Requests that bring a value (set, add, …) by the client's address: 50 of the busiest, and other.",
			func(a *proxy.AddressFigures) float64 { return float64(a.Stores) }),
		each("mcproxy_client_address_received_bytes_total", prometheus.CounterValue, "Bytes from clients by their address: 50 of the busiest, and other.",
			func(a *proxy.AddressFigures) float64 { return float64(a.BytesIn) }),
		each("mcproxy_client_address_sent_bytes_total", prometheus.CounterValue, "Bytes to clients by their address: 50 of the busiest, and other.",
			func(a *proxy.AddressFigures) float64 { return float64(a.BytesOut) }),
	}
}
