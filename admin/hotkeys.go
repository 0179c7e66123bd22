package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"mcproxy/proxy"
)

// A HotKeyReport is what GET /api/hotkeys answers, as JSON.
type HotKeyReport struct {
	Pools []HotKeyPool `json:"pools"` // in the order of the configuration
}

// A HotKeyPool is one pool of a HotKeyReport.
type HotKeyPool struct {
	Pool     string    `json:"pool"`
	Watched  bool      `json:"watched"`     // false: its configuration says that no key is watched
	Hidden   bool      `json:"hide_keys"`   // keys are told by their hashes alone
	At       time.Time `json:"at,omitzero"` // the end of the window that the keys are from; zero before the first
	Promoted uint64    `json:"promotions"`
	Demoted  uint64    `json:"demotions"`
	Fetches  uint64    `json:"coalesced_fetches"` // gets sent that others could join
	Joined   uint64    `json:"coalesced_reads"`   // gets that joined one
	Keys     []HotKey  `json:"keys"`              // the heaviest first, hot or not

	Oversized []OversizedKey `json:"oversized"` // the largest first
}

// An OversizedKey is a key of a HotKeyPool with a value longer than its split threshold.
type OversizedKey struct {
	Key        string  `json:"key,omitempty"` // as HotKey's
	Hash       string  `json:"hash"`
	ValueBytes int     `json:"value_bytes"` // of the last value seen
	Ops        float64 `json:"operations_per_second"`
	Age        float64 `json:"seen_seconds_ago"` // since it was last written or read
	Backend    string  `json:"backend"`
	Chunks     int     `json:"chunks"` // that it stands in; 0: it is not split
	Action     string  `json:"action"` // what is done about it

	Clients []KeyClient `json:"clients"` // who ask for it most
}

// A KeyClient is one of the clients that ask for a key.
type KeyClient struct {
	Address string `json:"address"`
	Share   Figure `json:"share"` // of the key's requests, 0..1
}

// A HotKey is one key of a HotKeyPool. Figures a second are means over about the last second.
type HotKey struct {
	Key        string    `json:"key,omitempty"` // as proxy.EscapeKey writes it; "" if it is hidden, or not known
	Hash       string    `json:"hash"`          // its 64-bit hash, 16 hex digits
	Kind       string    `json:"kind"`          // "read-hot", "write-hot" or "byte-hot": of a key that is not hot, what it would be
	Hot        bool      `json:"hot"`
	Since      time.Time `json:"since,omitzero"` // when it became hot; zero if it is not
	Ops        float64   `json:"operations_per_second"`
	Reads      float64   `json:"reads_per_second"`
	Writes     float64   `json:"writes_per_second"`
	Bytes      float64   `json:"bytes_per_second"` // of values, both ways
	ValueBytes uint32    `json:"value_bytes"`      // of the largest value seen lately; 0 if none was
	Share      float64   `json:"share"`            // of the pool's cost, 0..1
	ShareError float64   `json:"share_error"`      // the true share is at most so much more, sampling aside
	Load       float64   `json:"load"`             // its cost over the mean backend's
	Backend    string    `json:"backend,omitempty"`
	Action     string    `json:"action"` // what is done about it: "coalesced", or "" for nothing

	Clients []KeyClient `json:"clients"` // who ask for it most
}

// hotKeys answers GET /api/hotkeys.
func (s *Server) hotKeys(w http.ResponseWriter, req *http.Request) {
	f, err := figuresOf(req.Context(), s.source)
	if err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	report := hotKeyReport(f)
	if query := req.URL.Query(); query.Has("pool") {
		name := query.Get("pool")
		report.Pools = slices.DeleteFunc(report.Pools, func(p HotKeyPool) bool { return p.Pool != name })
		if len(report.Pools) == 0 {
			say(w, http.StatusNotFound, noPool(&f.Snapshot, name))
			return
		}
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil { // a figure that is no number
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the client is gone, and nobody else wants to know
}

// hotKeyReport tells of every pool.
func hotKeyReport(f *figures) HotKeyReport {
	report := HotKeyReport{Pools: []HotKeyPool{}}
	for i := range f.Pools {
		p := &f.Pools[i]
		out := HotKeyPool{
			Pool: p.Name, Promoted: p.Promoted, Demoted: p.Demoted, Fetches: p.Fetches, Joined: p.Joined, Keys: []HotKey{},
			Oversized: []OversizedKey{},
		}
		for j := range p.Oversized {
			k := &p.Oversized[j]
			out.Oversized = append(out.Oversized, OversizedKey{
				Key: proxy.EscapeKey(k.Key), Hash: fmt.Sprintf("%016x", k.Hash), ValueBytes: k.ValueBytes, Ops: k.Ops, Age: k.Age.Seconds(),
				Backend: k.Backend, Chunks: k.Chunks, Action: k.Action, Clients: clientsOf(p, k.Hash),
			})
		}
		if seen := f.watched(p.Name); seen != nil {
			out.Watched, out.At, out.Hidden = true, seen.At.UTC(), seen.Hidden
			for j := range seen.Keys {
				out.Keys = append(out.Keys, reportKey(&seen.Keys[j], clientsOf(p, seen.Keys[j].Hash)))
			}
		}
		report.Pools = append(report.Pools, out)
	}
	return report
}

func clientsOf(p *proxy.PoolFigures, hash uint64) []KeyClient {
	list := []KeyClient{}
	for _, c := range p.Callers[hash] {
		list = append(list, KeyClient{c.Address, Figure(c.Share)})
	}
	return list
}

func reportKey(k *proxy.HotKey, clients []KeyClient) HotKey {
	out := HotKey{
		Key: proxy.EscapeKey(k.Key), Hash: fmt.Sprintf("%016x", k.Hash), Kind: k.Kind, Hot: k.Hot, Ops: k.Ops, Reads: k.Reads, Writes: k.Writes,
		Bytes: k.Bytes, ValueBytes: k.ValueBytes, Share: k.Share, ShareError: k.Err, Load: k.Load, Backend: k.Backend, Action: k.Action,
		Clients: clients,
	}
	if k.Hot {
		out.Since = k.Since.UTC()
	}
	return out
}

// noPool says which pools there are instead.
func noPool(s *proxy.Snapshot, name string) string {
	var names []string
	for i := range s.Pools {
		names = append(names, s.Pools[i].Name)
	}
	return fmt.Sprintf("there is no pool %q; this proxy has %s", name, strings.Join(names, ", "))
}
