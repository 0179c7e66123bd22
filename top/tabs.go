package top

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"mcproxy/admin"
	"mcproxy/internal/termtext"
	"mcproxy/proxy"
)

// A tab is one of the tables.
type tab int

// The tabs.
const (
	tabPools tab = iota
	tabBackends
	tabKeys
	tabClients
	tabEvents
	numTabs
)

// String is its name on the screen, and, in small letters, for --tab.
func (t tab) String() string { return [...]string{"Pools", "Backends", "Keys", "Clients", "Events"}[t] }

// Tabs are the names for --tab.
func Tabs() []string {
	var names []string
	for t := range numTabs {
		names = append(names, strings.ToLower(t.String()))
	}
	return names
}

// tableOf makes a tab's table. all: also of keys that are neither hot nor oversized.
func tableOf(t tab, d *Data, all bool) *table {
	switch t {
	case tabBackends:
		return backendTable(d)
	case tabKeys:
		return keyTable(d, all)
	case tabClients:
		return clientTable(d)
	case tabEvents:
		return eventTable(d)
	}
	return poolTable(d)
}

func poolTable(d *Data) *table {
	t := &table{none: "there is no pool", columns: []column{
		{title: "POOL", grow: true},
		{title: "SKEW", right: true},
		{title: "BUSIEST", minor: 1},
		{title: "REQUESTS/S", right: true, minor: 2},
		{title: "BYTES/S", right: true, minor: 3},
		{title: "HITS", right: true, minor: 2},
		{title: "P50", right: true, minor: 7},
		{title: "P99", right: true, minor: 4},
		{title: "P99.9", right: true, minor: 6},
		{title: "FAILED/S", right: true, minor: 5},
		{title: "HOT", right: true, minor: 8},
		{title: "LARGE", right: true, minor: 8},
		{title: "UP", right: true},
	}}
	for i := range d.Status.Pools {
		p := &d.Status.Pools[i]
		skew := figureCell(p.Skew.Bytes, times)
		busiest := termtext.Printable(p.Skew.Busiest)
		if isUneven(p) {
			skew.text, busiest = red(skew.text), red(busiest)
		}
		var bytes admin.Figure
		up := 0
		for j := range p.Backends {
			bytes += p.Backends[j].Sent + p.Backends[j].Received
			if p.Backends[j].State == "up" {
				up++
			}
		}
		upCell := cell{text: fmt.Sprintf("%d/%d", up, len(p.Backends)), number: float64(up)}
		if up < len(p.Backends) {
			upCell.text = red(upCell.text)
		}
		var all admin.Latency
		all.P50, all.P99, all.P999 = admin.None(), admin.None(), admin.None()
		if len(p.Latency) > 0 {
			all = p.Latency[0]
		}
		t.add(textCell(termtext.Printable(p.Pool)), skew, textCell(busiest), figureCell(p.Ops, termtext.Rate), figureCell(bytes, termtext.Bytes),
			figureCell(p.HitRatio, percent), figureCell(all.P50, seconds), figureCell(all.P99, seconds), figureCell(all.P999, seconds),
			badCell(p.Failures, termtext.Rate), countCell(p.HotKeys), countCell(p.Oversized), upCell)
	}
	return t
}

// barWidth is that of a backend's bar, in characters.
const barWidth = 20

// bar draws a backend's bytes, with a notch where the mean is: an even load ends there.
func bar(value, mean, most float64) string {
	scale := max(most, 1.02*mean)
	if scale <= 0 {
		return faint(strings.Repeat("·", barWidth))
	}
	end := int(math.Round(value / scale * barWidth))
	notch := min(int(mean/scale*barWidth), barWidth-1)
	var b strings.Builder
	for i := range barWidth {
		full := i < end
		switch {
		case i == notch && full:
			b.WriteString(sgr("7", "│"))
		case i == notch:
			b.WriteString("│")
		case full && i > notch && value >= uneven*mean:
			b.WriteString(sgr("31", "█"))
		case full:
			b.WriteString("█")
		default:
			b.WriteString(faint("·"))
		}
	}
	return b.String()
}

func backendTable(d *Data) *table {
	t := &table{none: "there is no backend", columns: []column{
		{title: "POOL", minor: 7},
		{title: "BACKEND", grow: true},
		{title: "STATE", minor: 2},
		{title: "BYTES, │ IS THE MEAN", minor: 3},
		{title: "× MEAN", right: true},
		{title: "FROM/S", right: true, minor: 4},
		{title: "TO/S", right: true, minor: 5},
		{title: "CALLS/S", right: true, minor: 6},
		{title: "FAILED/S", right: true, minor: 3},
		{title: "WAITING", right: true, minor: 9},
		{title: "CONNS", right: true, minor: 10},
		{title: "JOURNAL", right: true, minor: 8},
		{title: "VERSION", minor: 11},
	}}
	for i := range d.Status.Pools {
		p := &d.Status.Pools[i]
		var sum, most float64
		for j := range p.Backends {
			v := float64(p.Backends[j].Sent + p.Backends[j].Received)
			sum, most = sum+v, max(most, v)
		}
		mean := sum / float64(len(p.Backends))
		for j := range p.Backends {
			b := &p.Backends[j]
			bytes := float64(b.Sent + b.Received)
			load := figureCell(b.Load, times)
			if b.Load >= uneven && len(p.Backends) > 1 {
				load.text = red(load.text)
			}
			journal := countCell(b.JournalKeys)
			if b.JournalKeys > 0 {
				journal.text = red(journal.text)
			}
			t.add(textCell(termtext.Printable(p.Pool)), textCell(bold(termtext.Printable(b.Backend))), textCell(state(b.State)), cell{text: bar(bytes, mean, most), number: bytes},
				load, figureCell(b.Received, termtext.Bytes), figureCell(b.Sent, termtext.Bytes), figureCell(b.Ops, termtext.Rate),
				badCell(b.Failures, termtext.Rate), countCell(b.Pending), countCell(b.Conns), journal, textCell(faint(termtext.Printable(cmp.Or(b.Version, "-")))))
		}
	}
	return t
}

func state(s string) string {
	if s == "up" {
		return green("● up")
	}
	return red("✕ " + termtext.Printable(s))
}

// A key is a hot or oversized one, or both.
type key struct {
	admin.HotKey
	large bool
	size  int
	fate  string // of an oversized one
}

// keysOf joins a pool's two lists.
func keysOf(p *admin.HotKeyPool) []*key {
	byHash := map[string]*key{}
	var keys []*key
	for i := range p.Keys {
		k := &key{HotKey: p.Keys[i], size: int(p.Keys[i].ValueBytes)}
		byHash[k.Hash] = k
		keys = append(keys, k)
	}
	for i := range p.Oversized {
		o := &p.Oversized[i]
		k := byHash[o.Hash]
		if k == nil {
			k = &key{HotKey: admin.HotKey{
				Key: o.Key, Hash: o.Hash, Ops: o.Ops, Bytes: o.Ops * float64(o.ValueBytes), Share: math.NaN(), Backend: o.Backend, Clients: o.Clients,
			}}
			keys = append(keys, k)
		}
		k.large, k.size, k.fate = true, max(k.size, o.ValueBytes), o.Action
	}
	return keys
}

func keyTable(d *Data, all bool) *table {
	t := &table{sort: 5, none: "no key is hot, and none has an oversized value", columns: []column{
		{title: "POOL", minor: 9},
		{title: "KEY", grow: true},
		{title: "KIND", minor: 4},
		{title: "SHARE", right: true, minor: 5},
		{title: "REQUESTS/S", right: true, minor: 6},
		{title: "BYTES/S", right: true},
		{title: "VALUE", right: true, minor: 3},
		{title: "BACKEND", minor: 7},
		{title: "WHAT IS DONE", minor: 8},
		{title: "CLIENTS", minor: 2},
	}}
	for i := range d.HotKeys.Pools {
		p := &d.HotKeys.Pools[i]
		for _, k := range keysOf(p) {
			if !all && !k.Hot && !k.large {
				continue
			}
			var kinds, done, who []string
			if k.Hot {
				kinds = append(kinds, bold(termtext.Printable(k.Kind)))
			}
			if k.large {
				kinds = append(kinds, red("oversized"))
			}
			if len(kinds) == 0 {
				kinds = append(kinds, faint(termtext.Printable(cmp.Or(k.Kind, "-"))))
			}
			if k.fate != "" {
				done = append(done, termtext.Printable(k.fate))
			}
			for what := range strings.SplitSeq(k.Action, ", ") {
				// The list of large keys knows of chunks and copies, too.
				if known := strings.HasPrefix(k.fate, "split into") && (what == "split" || strings.HasSuffix(what, " copies")); what != "" && !known {
					done = append(done, termtext.Printable(what))
				}
			}
			if len(k.Clients) > 0 {
				who = append(who, fmt.Sprintf("%s %.0f%%", termtext.Printable(k.Clients[0].Address), 100*float64(k.Clients[0].Share)))
			}
			more := 0
			for _, c := range k.Clients {
				if c.Share >= .005 {
					more++
				}
			}
			if more > 1 {
				who = append(who, fmt.Sprintf("+%d", more-1))
			}
			t.add(textCell(termtext.Printable(p.Pool)), textCell(fullKey(k.Key, k.Hash)), textCell(strings.Join(kinds, " ")), figureCell(admin.Figure(k.Share), percent),
				figureCell(admin.Figure(k.Ops), termtext.Rate), figureCell(admin.Figure(k.Bytes), termtext.Bytes), figureCell(admin.Figure(k.size), termtext.Bytes),
				textCell(termtext.Printable(k.Backend)), textCell(cmp.Or(strings.Join(done, ", "), faint("nothing"))), textCell(strings.Join(who, " ")))
		}
	}
	return t
}

func fullKey(key, hash string) string {
	if key == "" {
		return faint("hash " + termtext.Printable(hash))
	}
	return termtext.Printable(key)
}

func clientTable(d *Data) *table {
	t := &table{sort: 2, none: "no client has come yet", columns: []column{
		{title: "ADDRESS", grow: true},
		{title: "CONNS", right: true, minor: 5},
		{title: "REQUESTS/S", right: true},
		{title: "STORES/S", right: true, minor: 4},
		{title: "FROM/S", right: true, minor: 2},
		{title: "TO/S", right: true, minor: 3},
		{title: "ASKS MOST FOR", minor: 1},
	}}
	asks := map[string][]string{} // the keys that an address has most of the requests for
	for i := range d.HotKeys.Pools {
		for _, k := range keysOf(&d.HotKeys.Pools[i]) {
			if len(k.Clients) > 0 && (k.Hot || k.large) {
				asks[k.Clients[0].Address] = append(asks[k.Clients[0].Address], termtext.Key(k.Key, k.Hash))
			}
		}
	}
	for i := range d.Status.Clients.Addresses {
		a := &d.Status.Clients.Addresses[i]
		if a.Conns == 0 && a.Requests == 0 && a.Sent == 0 && a.Received == 0 && a.Address == proxy.OtherAddresses {
			continue // all have names
		}
		what := ""
		if keys := asks[a.Address]; len(keys) > 0 {
			what = keys[0]
			if len(keys) > 1 {
				what += fmt.Sprintf(" and %d more", len(keys)-1)
			}
		}
		t.add(textCell(bold(termtext.Printable(a.Address))), countCell(a.Conns), figureCell(a.Requests, termtext.Rate), figureCell(a.Stores, termtext.Rate),
			figureCell(a.Received, termtext.Bytes), figureCell(a.Sent, termtext.Bytes), textCell(what))
	}
	return t
}

func eventTable(d *Data) *table {
	t := &table{none: "nothing has happened yet", columns: []column{
		{title: "TIME", minor: 1},
		{title: "POOL", minor: 3},
		{title: "BACKEND", minor: 2},
		{title: "WHAT HAS HAPPENED", grow: true},
	}}
	for i := range d.Status.Events {
		e := &d.Status.Events[i]
		text := termtext.Printable(e.Text)
		if slices.Contains([]string{proxy.EventDown, proxy.EventHeld, proxy.EventRefused}, e.Kind) {
			text = red(text)
		}
		t.add(cell{text: e.At.Local().Format("01-02 15:04:05"), number: float64(e.ID)}, textCell(termtext.Printable(e.Pool)), textCell(termtext.Printable(e.Backend)), textCell(text))
	}
	return t
}

// Texts of figures.

func countCell(n int) cell { return cell{text: fmt.Sprint(n), number: float64(n)} }

func times(v float64) string { return fmt.Sprintf("%.2f×", v) }

func percent(v float64) string {
	if v >= .9995 || v == 0 {
		return fmt.Sprintf("%.0f%%", 100*v)
	}
	return fmt.Sprintf("%.1f%%", 100*v)
}

func seconds(v float64) string {
	switch d := time.Duration(v * 1e9); {
	case d >= time.Second:
		return fmt.Sprintf("%.2fs", v)
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0fms", v*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1fms", v*1e3)
	}
	return fmt.Sprintf("%.0fµs", v*1e6)
}
