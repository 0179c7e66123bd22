package admin

import (
	"context"
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
func registry(source Source, opts Options) *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "mcproxy_build_info",
		Help:        "Which program this is. Always 1.",
		ConstLabels: prometheus.Labels{"version": opts.Build.Version, "goversion": opts.Build.GoVersion},
	})
	info.Set(1)
	if opts.Log != nil {
		r.MustRegister(newLogCollector(opts.Log))
	}
	r.MustRegister(
		newCollector(source, opts.NativeHistograms),
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
	native   bool // histograms have native buckets too
	families []family
	descs    []*prometheus.Desc // of families

	histograms     []histogram
	histogramDescs []*prometheus.Desc
}

func newCollector(source Source, native bool) *collector {
	c := &collector{source: source, native: native}
	c.families = slices.Concat(processFamilies(), reloadFamilies(), upgradeFamilies(), clientFamilies(), securityFamilies(), addressFamilies(), poolFamilies(), ringFamilies(), valueFamilies(),
		hotKeyFamilies(), splitFamilies(), copyFamilies(), backendFamilies(), serverFamilies())
	c.histograms = histograms()
	for _, h := range c.histograms {
		c.histogramDescs = append(c.histogramDescs, prometheus.NewDesc(h.name, h.help, h.labels, nil))
	}
	for _, f := range c.families {
		c.descs = append(c.descs, prometheus.NewDesc(f.name, f.help, f.labels, nil))
	}
	return c
}

// Describe gives what Collect will give.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range slices.Concat(c.descs, c.histogramDescs) {
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
	for i, h := range c.histograms {
		h.read(figures, func(counts *proxy.Histogram, labels ...string) {
			ch <- h.metric(c.histogramDescs[i], counts, c.native, labels)
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

// scalar makes a family of one value without labels.
func scalar(name string, kind prometheus.ValueType, help string, read func(f *figures) float64) family {
	return family{name: name, kind: kind, help: help, read: func(f *figures, emit emit) { emit(read(f)) }}
}

// byPool makes a family of one value a pool.
func byPool(name string, kind prometheus.ValueType, help string, read func(p *proxy.PoolFigures) float64) family {
	return family{name: name, kind: kind, help: help, labels: []string{"pool"}, read: func(f *figures, emit emit) {
		for i := range f.Pools {
			emit(read(&f.Pools[i]), f.Pools[i].Name)
		}
	}}
}

// byBackend makes a family of values for each backend.
func byBackend(name string, kind prometheus.ValueType, help string, labels []string, read func(b *proxy.BackendFigures, emit emit)) family {
	return family{name: name, kind: kind, help: help, labels: append([]string{"pool", "backend"}, labels...), read: func(f *figures, out emit) {
		for _, p := range f.Pools {
			for i := range p.Backends {
				b := &p.Backends[i]
				read(b, func(value float64, more ...string) { out(value, append([]string{p.Name, b.Name}, more...)...) })
			}
		}
	}}
}

func processFamilies() []family {
	return []family{
		scalar("mcproxy_draining", prometheus.GaugeValue, "Whether the proxy is ending: it accepts no client, and answers what it was asked. 1 or 0.",
			func(f *figures) float64 { return flag(f.Draining) }),
		scalar("mcproxy_start_time_seconds", prometheus.GaugeValue, "When the proxy started, in seconds since 1970.", func(f *figures) float64 { return float64(f.Start.UnixNano()) / 1e9 }),
		scalar("mcproxy_journal_bytes", prometheus.GaugeValue, "Length of the file in which missed writes are noted; 0 if they are in memory.",
			func(f *figures) float64 { return float64(f.Journal.Bytes) }),
		scalar("mcproxy_journal_syncs_total", prometheus.CounterValue, "Writes of that file to the disk.",
			func(f *figures) float64 { return float64(f.Journal.Syncs) }),
		scalar("mcproxy_journal_errors_total", prometheus.CounterValue, "Such writes that failed: what is noted meanwhile would be forgotten if the proxy ended.",
			func(f *figures) float64 { return float64(f.Journal.Errors) }),
		scalar("mcproxy_journal_late_answers_total", prometheus.CounterValue,
			"Answers to writes that did not wait any longer for the disk, which had not taken what they depend on within 100 ms.",
			func(f *figures) float64 { return float64(f.Journal.Late) }),
		scalar("mcproxy_workers", prometheus.GaugeValue, "Event loops.", func(f *figures) float64 { return float64(f.Workers) }),
	}
}

func upgradeFamilies() []family {
	return []family{
		scalar("mcproxy_upgrade_adopted_conns", prometheus.GaugeValue, "Client connections that this process took over from the one before it.",
			func(f *figures) float64 { return float64(f.Upgrades.Adopted) }),
		scalar("mcproxy_upgrade_failures_total", prometheus.CounterValue, "Upgrades that failed: this process went on.",
			func(f *figures) float64 { return float64(f.Upgrades.Failed) }),
	}
}

func reloadFamilies() []family {
	return []family{
		{
			"mcproxy_reloads_total", prometheus.CounterValue, "New configurations, by result: done (it is in force); failed (the one before stays).",
			[]string{"result"},
			func(f *figures, emit emit) {
				emit(float64(f.Reloads.Done), "done")
				emit(float64(f.Reloads.Failed), "failed")
			},
		},
		scalar("mcproxy_last_reload_successful", prometheus.GaugeValue, "Whether the last new configuration is in force: 1 or 0; 1 before the first.",
			func(f *figures) float64 { return flag(f.Reloads.OK) }),
		scalar("mcproxy_last_reload_time_seconds", prometheus.GaugeValue, "When it came, in seconds since 1970; the time of the start before the first.",
			func(f *figures) float64 { return float64(f.Reloads.At.UnixNano()) / 1e9 }),
		scalar("mcproxy_last_reload_success_time_seconds", prometheus.GaugeValue,
			"When the last one came that is in force, in seconds since 1970; 0 before the first.",
			func(f *figures) float64 {
				if f.Reloads.Success.IsZero() {
					return 0
				}
				return float64(f.Reloads.Success.UnixNano()) / 1e9
			}),
		{
			"mcproxy_reload_moved_keys_ratio", prometheus.GaugeValue,
			"Which part of the keys that one moved to other servers, 0 to 1, by the prefix of their route (empty: those without one). Absent before the first.",
			[]string{"prefix"},
			func(f *figures, emit emit) {
				for _, m := range f.Reloads.Moves {
					emit(m.Share, strings.ToValidUTF8(m.Prefix, "?"))
				}
			},
		},
	}
}

// maxKeyLabels is the most keys of a pool that are labels at once.
const maxKeyLabels = 20

func hotKeyFamilies() []family {
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
		byPool("mcproxy_hot_key_share_max", prometheus.GaugeValue, "The share of the pool's cost that the heaviest hot key has, 0 to 1.",
			func(p *proxy.PoolFigures) float64 { return p.HotShare }),
		byPool("mcproxy_hot_key_promotions_total", prometheus.CounterValue, "Keys that became hot.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Promoted) }),
		byPool("mcproxy_hot_key_demotions_total", prometheus.CounterValue, "Keys that ceased to be hot.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Demoted) }),
		hottest("mcproxy_hot_key_operations_per_second", "Requests a second for each of the hottest keys, at most 20 of a pool.",
			func(k *proxy.HotKey) float64 { return k.Ops }),
		hottest("mcproxy_hot_key_bytes_per_second", "Bytes of values a second, both ways, for each of the hottest keys, at most 20 of a pool.",
			func(k *proxy.HotKey) float64 { return k.Bytes }),
		hottest("mcproxy_hot_key_share", "The share of the pool's cost, 0 to 1, that each of the hottest keys has, at most 20 of a pool.",
			func(k *proxy.HotKey) float64 { return k.Share }, "kind"),
		byPool("mcproxy_coalesced_reads_total", prometheus.CounterValue, "Gets that joined another get's fetch, so that no backend was asked.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Joined) }),
		byPool("mcproxy_coalesced_fetches_total", prometheus.CounterValue, "Gets that were sent to a backend and that other gets could join.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Fetches) }),
	}
}
