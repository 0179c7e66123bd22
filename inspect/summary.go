package inspect

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"mcproxy/internal/webpage"
)

// maxShown is how many prefixes people are shown.
const maxShown = 15

// table writes rows in columns.
func table(b *strings.Builder, rows [][]string) {
	w := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // to memory
}

// WriteSummary writes the report for people.
func (r *Report) WriteSummary(out io.Writer) error {
	var b strings.Builder
	for _, t := range r.tables() {
		if len(t.Rows) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n\n", t.Title)
		table(&b, append([][]string{t.Head}, t.Rows...))
	}
	for i, line := range append(r.notes(), r.alarms()...) {
		if i == 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// tables are what the summary and the page have in common.
func (r *Report) tables() []webpage.Table {
	return []webpage.Table{r.serverTable(), r.prefixTable(), r.keyTable(), r.lifetimeTable(), r.poolTable()}
}

func bytesText(n int64) string { return webpage.Bytes(float64(n)) }

func (r *Report) serverTable() webpage.Table {
	t := webpage.Table{Title: "Servers", Head: []string{"SERVER", "VERSION", "KEYS", "BYTES", "OF", "NEVER EXPIRE", "FAR", "PAST", "EVICTED", "LARGEST KEY"}}
	for i := range r.Servers {
		s := &r.Servers[i]
		key := "-"
		if len(s.Largest) > 0 {
			key = fmt.Sprintf("%s (%s)", shortKey(s.Largest[0].Key), bytesText(s.Largest[0].Bytes))
		}
		t.Rows = append(t.Rows, []string{
			s.Server, cmp.Or(s.Version, "-"), fmt.Sprint(s.Keys), bytesText(s.Bytes), bytesText(s.LimitBytes), fmt.Sprint(s.Lifetimes.None.Keys),
			fmt.Sprint(s.Lifetimes.Far.Keys), fmt.Sprint(s.Lifetimes.Past.Keys), fmt.Sprint(s.Evictions), key,
		})
	}
	return t
}

func (r *Report) prefixTable() webpage.Table {
	t := webpage.Table{Title: "Prefixes", Head: []string{"PREFIX", "KEYS", "BYTES", "SHARE", "MEAN", "LARGEST", "NEVER EXPIRE", "FAR", "PAST"}}
	shown := r.Prefixes
	if len(shown) > maxShown+1 {
		var others Prefix
		for i := range shown[maxShown:] {
			others.merge(&shown[maxShown+i])
		}
		others.Prefix, others.AtLeast = otherPrefixes, false
		shown = append(shown[:maxShown:maxShown], others)
	}
	for i := range shown {
		p := &shown[i]
		least := ""
		if p.AtLeast {
			least = ">= "
		}
		t.Rows = append(t.Rows, []string{
			p.Prefix, least + fmt.Sprint(p.Keys), bytesText(p.Bytes), fmt.Sprintf("%.1f %%", 100*float64(p.Bytes)/float64(max(r.Bytes, 1))),
			bytesText(p.Bytes / max(p.Keys, 1)), bytesText(p.Largest), fmt.Sprint(p.Times.None.Keys), fmt.Sprint(p.Times.Far.Keys), fmt.Sprint(p.Times.Past.Keys),
		})
	}
	return t
}

func (r *Report) keyTable() webpage.Table {
	t := webpage.Table{Title: "Largest keys", Head: []string{"KEY", "BYTES", "SHARE", "EXPIRES", "LAST USED", "SERVER"}}
	owned := false
	for i := range r.Largest {
		owned = owned || r.Largest[i].Owner != ""
	}
	if owned {
		t.Head = append(t.Head, "OWNER")
	}
	for i := range r.Largest {
		k := &r.Largest[i]
		row := []string{
			shortKey(k.Key), bytesText(k.Bytes), fmt.Sprintf("%.1f %%", 100*float64(k.Bytes)/float64(max(r.Bytes, 1))),
			r.timeText(k.Expires, "never"), r.usedText(k.Accessed), k.Server,
		}
		if owned {
			row = append(row, cmp.Or(k.Owner, "-"))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (r *Report) lifetimeTable() webpage.Table {
	t := webpage.Table{Title: "Lifetimes", Head: []string{"EXPIRE", "KEYS", "BYTES"}}
	for i, c := range r.Lifetimes.all() {
		t.Rows = append(t.Rows, []string{lifetimeNames()[i], fmt.Sprint(c.Keys), bytesText(c.Bytes)})
	}
	return t
}

func (r *Report) poolTable() webpage.Table {
	t := webpage.Table{
		Title: "Evenness", Head: []string{"POOL", "SERVERS", "BUSIEST", "BYTES, BUSIEST/MEAN", "KEYS, MOST/MEAN", "LARGEST KEYS HOLD", "ON THE BUSIEST", "BUSIEST/MEAN WITHOUT THEM"},
	}
	for i := range r.Pools {
		p := &r.Pools[i]
		if p.Servers-p.Failed < 2 {
			continue
		}
		t.Rows = append(t.Rows, []string{
			cmp.Or(p.Pool, "-"), fmt.Sprint(p.Servers - p.Failed), p.Busiest, fmt.Sprintf("%.3f", p.BytesMaxMean), fmt.Sprintf("%.3f", p.KeysMaxMean),
			fmt.Sprintf("%s (%.1f %%)", bytesText(p.TopBytes), 100*float64(p.TopBytes)/float64(max(p.Bytes, 1))), bytesText(p.TopBytesBusy),
			fmt.Sprintf("%.3f", p.WithoutMaxMean),
		})
	}
	return t
}

// notes are worth knowing, alarms must not be missed.
func (r *Report) notes() []string {
	var lines []string
	for i := range r.Servers {
		if note := r.Servers[i].Note; note != "" {
			lines = append(lines, r.Servers[i].Server+" "+note)
		}
	}
	return lines
}

func (r *Report) alarms() []string {
	var lines []string
	for i := range r.Servers {
		if text := r.Servers[i].Error; text != "" {
			lines = append(lines, fmt.Sprintf("%s failed: %s", r.Servers[i].Server, text))
		}
	}
	return lines
}

// shortKey leaves out the middle of a long key.
func shortKey(key string) string {
	const most, head, tail = 60, 40, 19
	if r := []rune(key); len(r) > most {
		return string(r[:head]) + "…" + string(r[len(r)-tail:])
	}
	return key
}

// timeText says how far a time, in unix seconds, is from the report's.
func (r *Report) timeText(at int64, none string) string {
	if at == 0 {
		return none
	}
	d := time.Unix(at, 0).Sub(r.At)
	if d < 0 {
		return ageText(-d) + " ago"
	}
	return "in " + ageText(d)
}

// usedText says how long ago a key was used. Servers count in coarse seconds of their own, which may be ahead.
func (r *Report) usedText(at int64) string {
	if at == 0 {
		return "-"
	}
	return ageText(max(0, r.At.Sub(time.Unix(at, 0)))) + " ago"
}

// ageText gives a time in one unit.
func ageText(d time.Duration) string {
	switch s := int64(d / time.Second); {
	case s < 2*minute:
		return fmt.Sprintf("%d s", s)
	case s < 2*hour:
		return fmt.Sprintf("%d min", s/minute)
	case s < 2*day:
		return fmt.Sprintf("%d h", s/hour)
	default:
		return fmt.Sprintf("%d d", s/day)
	}
}
