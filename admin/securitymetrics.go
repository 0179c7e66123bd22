package admin

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"mcproxy/proxy"
)

// securityFamilies tell who was let in, and what is proved with.
func securityFamilies() []family {
	listeners := func(name string, kind prometheus.ValueType, help string, read func(l *proxy.ListenerFigures, emit emit), labels ...string) family {
		return family{name: name, kind: kind, help: help, labels: append([]string{"listener"}, labels...), read: func(f *figures, emit emit) {
			for i := range f.Clients.Listeners {
				read(&f.Clients.Listeners[i], emit)
			}
		}}
	}
	return []family{
		listeners("mcproxy_client_conns_denied_total", prometheus.CounterValue, "Client connections that were refused because they came from a network that the listener does not allow.",
			func(l *proxy.ListenerFigures, emit emit) { emit(float64(l.Denied), l.Address) }),
		listeners("mcproxy_client_handshakes_total", prometheus.CounterValue, "TLS handshakes with clients, by how they ended: done; plain (the client does not speak TLS); "+
			"timeout (handshake_timeout); certificate (the client showed none, or one that is not client_ca's); given_up (the client refused, because it does not trust the "+
			"listener's certificate for one); broken (the client went away, or sent something else).",
			func(l *proxy.ListenerFigures, emit emit) {
				for _, outcome := range slices.Sorted(maps.Keys(l.Handshakes)) {
					emit(float64(l.Handshakes[outcome]), l.Address, outcome)
				}
			}, "outcome"),
		listeners("mcproxy_client_handshakes_under_way", prometheus.GaugeValue, "TLS handshakes with clients that are under way; at most max_handshakes.",
			func(l *proxy.ListenerFigures, emit emit) {
				if l.TLS {
					emit(float64(l.Handshaking), l.Address)
				}
			}),
		listeners("mcproxy_listener_certificate_expires_timestamp_seconds", prometheus.GaugeValue, "When the listener's certificate expires, in seconds since 1970.",
			func(l *proxy.ListenerFigures, emit emit) {
				if l.TLS {
					emit(float64(l.Expires.Unix()), l.Address)
				}
			}),
		{
			name: "mcproxy_pool_certificate_expires_timestamp_seconds", kind: prometheus.GaugeValue, labels: []string{"pool"},
			help: "When the certificate expires that the proxy shows to the pool's backends, in seconds since 1970.",
			read: func(f *figures, emit emit) {
				for i := range f.Pools {
					if p := &f.Pools[i]; !p.Expires.IsZero() {
						emit(float64(p.Expires.Unix()), p.Name)
					}
				}
			},
		},
		scalar("mcproxy_client_logins_total", prometheus.CounterValue, "Logins of clients that were right. Those that were not are among mcproxy_client_errors_total.",
			func(f *figures) float64 { return float64(f.Clients.Logins) }),
		{
			name: "mcproxy_file_changes_total", kind: prometheus.CounterValue, labels: []string{"outcome"},
			help: "Times that certificates, keys or files of users changed while the proxy ran, by outcome: used; refused (what they held before stays in force).",
			read: func(f *figures, emit emit) {
				emit(float64(f.FilesFailed), "refused")
				emit(float64(f.FilesChanged), "used")
			},
		},
	}
}
