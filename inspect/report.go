package inspect

import (
	"math"
	"slices"
	"time"

	"mcproxy/protocol"
)

// A Report is what a run found. docs/inspect.md describes its JSON.
type Report struct {
	Tool      string         `json:"tool"` // mcproxy inspect
	At        time.Time      `json:"at"`
	Keys      int64          `json:"keys"`
	Bytes     int64          `json:"bytes"`
	Servers   []ServerReport `json:"servers"`
	Pools     []PoolReport   `json:"pools"`
	Lifetimes Lifetimes      `json:"lifetimes"`
	Sizes     []Size         `json:"sizes"`
	Prefixes  []Prefix       `json:"prefixes"` // the largest first, and what is not told apart last
	Largest   []Key          `json:"largest"`
}

// A ServerReport is one server's part.
type ServerReport struct {
	Server     string     `json:"server"`
	Address    string     `json:"address"`
	Pools      []string   `json:"pools,omitempty"`
	Error      string     `json:"error,omitempty"` // why its figures are not all, or none
	Note       string     `json:"note,omitempty"`
	Source     dumpSource `json:"source,omitempty"` // metadump or cachedump
	Version    string     `json:"version"`
	Items      int64      `json:"items"` // as the server's stats count them
	ItemBytes  int64      `json:"item_bytes"`
	LimitBytes int64      `json:"limit_bytes"`
	Evictions  int64      `json:"evictions"`
	Keys       int64      `json:"keys"`  // read
	Bytes      int64      `json:"bytes"` // of them
	Lifetimes  Lifetimes  `json:"lifetimes"`
	Prefixes   []Prefix   `json:"prefixes"` // the largest
	Largest    []Key      `json:"largest"`
}

// A PoolReport says how evenly a pool's servers are filled, and what its largest keys have to do with it.
type PoolReport struct {
	Pool           string  `json:"pool,omitempty"` // "" without a configuration
	Servers        int     `json:"servers"`
	Failed         int     `json:"failed"` // whose figures are not in what follows
	Keys           int64   `json:"keys"`
	Bytes          int64   `json:"bytes"`
	Busiest        string  `json:"busiest"`           // the server with most bytes
	BytesMaxMean   float64 `json:"bytes_max_mean"`    // its bytes over the mean's
	KeysMaxMean    float64 `json:"keys_max_mean"`     // the most keys over the mean
	TopKeys        int     `json:"top_keys"`          // of the largest keys that are its
	TopBytes       int64   `json:"top_bytes"`         // what they hold
	TopBytesBusy   int64   `json:"top_bytes_busiest"` // of that, on the busiest server
	WithoutMaxMean float64 `json:"bytes_max_mean_without_top"`
}

// A Size counts items of more than half as many bytes as UpTo, up to UpTo.
type Size struct {
	UpTo int64 `json:"up_to"`
	Count
}

// newReport puts the readings together.
func (r *run) newReport(readings []reading) *Report {
	total := r.total
	out := &Report{
		Tool: "mcproxy inspect", At: time.Now().UTC().Truncate(time.Second), Keys: total.Keys, Bytes: total.Bytes, Lifetimes: total.times,
		Largest: total.largest.sorted(), Prefixes: total.prefixes.report(), Sizes: total.sizesReport(), Servers: []ServerReport{}, Pools: []PoolReport{},
	}
	r.name(out.Largest)
	var pools []string
	for i := range readings {
		one, t := &readings[i].report, readings[i].tally
		one.Keys, one.Bytes, one.Lifetimes = t.Keys, t.Bytes, t.times
		one.Largest, one.Prefixes = t.largest.keys, t.prefixes.report()
		r.name(one.Largest)
		out.Servers = append(out.Servers, *one)
		for _, pool := range one.Pools {
			if !slices.Contains(pools, pool) {
				pools = append(pools, pool)
			}
		}
	}
	if len(pools) == 0 {
		pools = []string{""}
	}
	for _, pool := range pools {
		out.Pools = append(out.Pools, out.poolReport(pool))
	}
	return out
}

// name tells whose keys are.
func (r *run) name(keys []Key) {
	if r.options.Owner == nil {
		return
	}
	for i := range keys {
		keys[i].Owner = r.options.Owner(keys[i].raw)
	}
}

// report gives the largest prefixes, and all others as one.
func (p *prefixes) report() []Prefix {
	out := []Prefix{}
	for _, one := range p.sorted() {
		shown := *one
		shown.Prefix = protocol.EscapeKey(one.Prefix)
		out = append(out, shown)
	}
	if p.others.Keys > 0 {
		others := p.others
		others.Prefix = otherPrefixes
		out = append(out, others)
	}
	return out
}

func (t *tally) sizesReport() []Size {
	out := []Size{}
	for i, c := range t.sizes {
		if c.Keys > 0 {
			out = append(out, Size{UpTo: 1<<i - 1, Count: c})
		}
	}
	return out
}

// poolReport compares the servers of a pool.
func (r *Report) poolReport(pool string) PoolReport {
	out := PoolReport{Pool: pool}
	bytes, without := map[string]int64{}, map[string]int64{}
	var mostKeys, mostBytes, mostWithout int64
	for i := range r.Servers {
		s := &r.Servers[i]
		if pool != "" && !slices.Contains(s.Pools, pool) {
			continue
		}
		out.Servers++
		if s.Error != "" {
			out.Failed++
			continue
		}
		bytes[s.Server], without[s.Server] = s.Bytes, s.Bytes
		out.Keys, out.Bytes = out.Keys+s.Keys, out.Bytes+s.Bytes
		mostKeys = max(mostKeys, s.Keys)
		if s.Bytes > mostBytes || out.Busiest == "" {
			out.Busiest, mostBytes = s.Server, s.Bytes
		}
	}
	for _, k := range r.Largest {
		if _, ours := bytes[k.Server]; !ours {
			continue
		}
		out.TopKeys++
		out.TopBytes += k.Bytes
		without[k.Server] -= k.Bytes
		if k.Server == out.Busiest {
			out.TopBytesBusy += k.Bytes
		}
	}
	for _, n := range without {
		mostWithout = max(mostWithout, n)
	}
	n := float64(out.Servers - out.Failed)
	out.BytesMaxMean = ratio(float64(mostBytes)*n, float64(out.Bytes))
	out.KeysMaxMean = ratio(float64(mostKeys)*n, float64(out.Keys))
	out.WithoutMaxMean = ratio(float64(mostWithout)*n, float64(out.Bytes-out.TopBytes))
	return out
}

// ratio is a/b with three decimals, and 1 for nothing over nothing.
func ratio(a, b float64) float64 {
	if b <= 0 {
		return 1
	}
	return math.Round(1000*a/b) / 1000
}

// Failed gives how many servers could not be read to the end.
func (r *Report) Failed() int {
	n := 0
	for i := range r.Servers {
		if r.Servers[i].Error != "" {
			n++
		}
	}
	return n
}
