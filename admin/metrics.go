package admin

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"mcproxy/proxy"
)

// figures are what the source tells of one moment.
type figures struct {
	proxy.Snapshot
	hotKeys []proxy.HotKeys // of the pools whose keys are watched
}

// figuresOf asks the source, within snapshotTimeout.
func figuresOf(ctx context.Context, source Source) (*figures, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	s, err := source.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &figures{s, source.HotKeys()}, nil
}

// watched gives a pool's keys; nil if they are not watched.
func (f *figures) watched(pool string) *proxy.HotKeys {
	i := slices.IndexFunc(f.hotKeys, func(h proxy.HotKeys) bool { return h.Pool == pool })
	if i < 0 {
		return nil
	}
	return &f.hotKeys[i]
}

// A family is one metric: how it is read out of the figures.
type family struct {
	name   string
	kind   prometheus.ValueType
	help   string
	labels []string
	read   func(f *figures, emit emit)
}

// An emit takes one value and its labels' values, in the order of the family's labels.
type emit func(value float64, labels ...string)

// registry gives all that /metrics shows.
func registry(source Source, build Build) *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "mcproxy_build_info",
		Help:        "Which program this is. Always 1.",
		ConstLabels: prometheus.Labels{"version": build.Version, "goversion": build.GoVersion},
	})
	info.Set(1)
	r.MustRegister(
		newCollector(source),
		info,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "mcproxy_ready",
			Help: "Whether clients are accepted: 1, or 0 before the start and while draining.",
		}, func() float64 { return flag(source.Ready()) }),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// A collector takes one snapshot for each scrape.
type collector struct {
	source   Source
	families []family
	descs    []*prometheus.Desc // of families
}

func newCollector(source Source) *collector {
	c := &collector{source: source}
	c.families = slices.Concat(processFamilies(), clientFamilies(), poolFamilies(), hotKeyFamilies(), splitFamilies(), backendFamilies())
	for _, f := range c.families {
		c.descs = append(c.descs, prometheus.NewDesc(f.name, f.help, f.labels, nil))
	}
	return c
}

// Describe gives what Collect will give.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect gives the figures of one moment. If there are none, the scrape fails: half of the figures would look like a fault
// of the backends.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	figures, err := figuresOf(context.Background(), c.source)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.descs[0], err)
		return
	}
	for i, f := range c.families {
		f.read(figures, func(value float64, labels ...string) {
			m, err := prometheus.NewConstMetric(c.descs[i], f.kind, value, labels...)
			if err != nil {
				m = prometheus.NewInvalidMetric(c.descs[i], err)
			}
			ch <- m
		})
	}
}

// flag is 1 for true.
func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func processFamilies() []family {
	return []family{
		{"mcproxy_start_time_seconds", prometheus.GaugeValue, "When the proxy started, in seconds since 1970.", nil, func(f *figures, emit emit) {
			emit(float64(f.Start.UnixNano()) / 1e9)
		}},
		{"mcproxy_workers", prometheus.GaugeValue, "Event loops.", nil, func(f *figures, emit emit) {
			emit(float64(f.Workers))
		}},
	}
}

func clientFamilies() []family {
	// one makes a family of one value without labels.
	one := func(name string, kind prometheus.ValueType, help string, read func(c *proxy.ClientFigures) float64) family {
		return family{name, kind, help, nil, func(f *figures, emit emit) { emit(read(&f.Clients)) }}
	}
	return []family{
		one("mcproxy_client_conns", prometheus.GaugeValue, "Client connections that are open.",
			func(c *proxy.ClientFigures) float64 { return float64(c.Conns) }),
		one("mcproxy_client_conns_accepted_total", prometheus.CounterValue, "Client connections that were accepted.",
			func(c *proxy.ClientFigures) float64 { return float64(c.Accepted) }),
		one("mcproxy_client_conns_rejected_total", prometheus.CounterValue, "Client connections that were refused because max_connections were open.",
			func(c *proxy.ClientFigures) float64 { return float64(c.Rejected) }),
		one("mcproxy_client_conns_binary_total", prometheus.CounterValue, "Client connections that were closed because they spoke memcached's binary protocol.",
			func(c *proxy.ClientFigures) float64 { return float64(c.Binary) }),
		one("mcproxy_client_conns_stalled_total", prometheus.CounterValue,
			"Client connections that were closed because they held a large value and moved no byte for 15 s while others waited for the budget.",
			func(c *proxy.ClientFigures) float64 { return float64(c.Stalled) }),
		one("mcproxy_client_conns_closed_total", prometheus.CounterValue, "Client connections that were closed, by either side.",
			func(c *proxy.ClientFigures) float64 { return float64(c.Closed) }),
		one("mcproxy_client_received_bytes_total", prometheus.CounterValue, "Bytes from clients.",
			func(c *proxy.ClientFigures) float64 { return float64(c.BytesIn) }),
		one("mcproxy_client_sent_bytes_total", prometheus.CounterValue, "Bytes to clients.",
			func(c *proxy.ClientFigures) float64 { return float64(c.BytesOut) }),
		one("mcproxy_client_refused_lines_total", prometheus.CounterValue, "Lines of clients that the proxy itself answered with an error.",
			func(c *proxy.ClientFigures) float64 { return float64(c.Refused) }),
	}
}

func poolFamilies() []family {
	// each makes a family of one value a pool.
	each := func(name, help string, read func(p *proxy.PoolFigures) uint64) family {
		return family{name, prometheus.CounterValue, help, []string{"pool"}, func(f *figures, emit emit) {
			for i := range f.Pools {
				emit(float64(read(&f.Pools[i])), f.Pools[i].Name)
			}
		}}
	}
	return []family{
		{
			"mcproxy_pool_requests_total", prometheus.CounterValue, "Requests to the pool, by the word on the wire (get, set, mg, …).",
			[]string{"pool", "verb"},
			func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for _, verb := range slices.Sorted(maps.Keys(p.Requests)) {
						emit(float64(p.Requests[verb]), p.Name, verb)
					}
				}
			},
		},
		each("mcproxy_pool_hits_total", "Keys that were read and found.",
			func(p *proxy.PoolFigures) uint64 { return p.Hits }),
		each("mcproxy_pool_misses_total", "Keys that were read and not found, those of backends that did not answer included.",
			func(p *proxy.PoolFigures) uint64 { return p.Misses }),
		each("mcproxy_pool_failures_total", "Requests, or parts of multi-key requests, whose backend did not answer.",
			func(p *proxy.PoolFigures) uint64 { return p.Failures }),
	}
}

func backendFamilies() []family {
	// each makes a family of one value a backend.
	each := func(name string, kind prometheus.ValueType, help string, read func(b *proxy.BackendFigures) float64) family {
		return family{name, kind, help, []string{"pool", "backend"}, func(f *figures, emit emit) {
			for _, p := range f.Pools {
				for i := range p.Backends {
					emit(read(&p.Backends[i]), p.Name, p.Backends[i].Name)
				}
			}
		}}
	}
	gauge := func(name, help string, read func(b *proxy.BackendFigures) int) family {
		return each(name, prometheus.GaugeValue, help, func(b *proxy.BackendFigures) float64 { return float64(read(b)) })
	}
	counter := func(name, help string, read func(b *proxy.BackendFigures) uint64) family {
		return each(name, prometheus.CounterValue, help, func(b *proxy.BackendFigures) float64 { return float64(read(b)) })
	}
	return []family{
		{
			"mcproxy_backend_info", prometheus.GaugeValue, "The backend's address, and its version (empty while unknown). Always 1.",
			[]string{"pool", "backend", "address", "version"},
			func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for _, b := range p.Backends {
						// The version is what the backend says, and Prometheus takes UTF-8 alone.
						emit(1, p.Name, b.Name, b.Address, strings.ToValidUTF8(b.Version, "?"))
					}
				}
			},
		},
		{
			"mcproxy_backend_state", prometheus.GaugeValue,
			"1 for the state the backend is in: up; down (requests fail at once); held (missed more writes than its journal can hold).",
			[]string{"pool", "backend", "state"},
			func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for _, b := range p.Backends {
						for _, state := range []string{"up", "down", "held"} {
							emit(flag(b.State == state), p.Name, b.Name, state)
						}
					}
				}
			},
		},
		gauge("mcproxy_backend_conns", "Connections to the backend that are open.",
			func(b *proxy.BackendFigures) int { return b.Conns }),
		gauge("mcproxy_backend_pending_calls", "Calls that wait for their answer.",
			func(b *proxy.BackendFigures) int { return b.Pending }),
		counter("mcproxy_backend_calls_total", "Calls that were sent.",
			func(b *proxy.BackendFigures) uint64 { return b.Calls }),
		counter("mcproxy_backend_call_timeouts_total", "Calls that were not answered within the timeout.",
			func(b *proxy.BackendFigures) uint64 { return b.Timeouts }),
		counter("mcproxy_backend_call_failures_total", "Calls that failed for any reason, timeouts included.",
			func(b *proxy.BackendFigures) uint64 { return b.Failures }),
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
		counter("mcproxy_backend_journalled_writes_total", "Writes that went into the journal because the backend did not confirm them.",
			func(b *proxy.BackendFigures) uint64 { return b.Journalled }),
	}
}

// maxKeyLabels is the most keys of a pool that are labels at once.
const maxKeyLabels = 20

func hotKeyFamilies() []family {
	// each makes a family of one value a pool.
	each := func(name string, kind prometheus.ValueType, help string, read func(p *proxy.PoolFigures) float64) family {
		return family{name, kind, help, []string{"pool"}, func(f *figures, emit emit) {
			for i := range f.Pools {
				emit(read(&f.Pools[i]), f.Pools[i].Name)
			}
		}}
	}
	// hottest makes a family of one value for each of the hot keys that are labels, with their kind as one more if more names it.
	hottest := func(name, help string, read func(k *proxy.HotKey) float64, more ...string) family {
		return family{name, prometheus.GaugeValue, help, append([]string{"pool", "key"}, more...), func(f *figures, emit emit) {
			for i := range f.hotKeys {
				left := maxKeyLabels
				for j := range f.hotKeys[i].Keys {
					if k := &f.hotKeys[i].Keys[j]; k.Hot && left > 0 {
						emit(read(k), []string{f.hotKeys[i].Pool, k.Name(), k.Kind}[:2+len(more)]...)
						left--
					}
				}
			}
		}}
	}
	return []family{
		{
			"mcproxy_hot_keys", prometheus.GaugeValue, "Keys that are hot now, by kind (read-hot, write-hot, byte-hot).",
			[]string{"pool", "kind"},
			func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for _, kind := range []string{"read-hot", "write-hot", "byte-hot"} {
						emit(float64(p.HotKeys[kind]), p.Name, kind)
					}
				}
			},
		},
		each("mcproxy_hot_key_share_max", prometheus.GaugeValue, "The share of the pool's cost that the heaviest hot key has, 0 to 1.",
			func(p *proxy.PoolFigures) float64 { return p.HotShare }),
		each("mcproxy_hot_key_promotions_total", prometheus.CounterValue, "Keys that became hot.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Promoted) }),
		each("mcproxy_hot_key_demotions_total", prometheus.CounterValue, "Keys that ceased to be hot.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Demoted) }),
		hottest("mcproxy_hot_key_operations_per_second", "Requests a second for each of the hottest keys, at most 20 of a pool.",
			func(k *proxy.HotKey) float64 { return k.Ops }),
		hottest("mcproxy_hot_key_bytes_per_second", "Bytes of values a second, both ways, for each of the hottest keys, at most 20 of a pool.",
			func(k *proxy.HotKey) float64 { return k.Bytes }),
		hottest("mcproxy_hot_key_share", "The share of the pool's cost, 0 to 1, that each of the hottest keys has, at most 20 of a pool.",
			func(k *proxy.HotKey) float64 { return k.Share }, "kind"),
		each("mcproxy_coalesced_reads_total", prometheus.CounterValue, "Gets that joined another get's fetch, so that no backend was asked.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Joined) }),
		each("mcproxy_coalesced_fetches_total", prometheus.CounterValue, "Gets that were sent to a backend and that other gets could join.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Fetches) }),
	}
}
