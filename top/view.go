package top

import (
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"mcproxy/admin"
	"mcproxy/internal/termtext"
)

// View gives the screen.
func (m *Model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen = true
	v.WindowTitle = "mcproxy top"
	return v
}

// The lines around a table.
const (
	linesAbove = 5 // two of heads, the tabs, a blank one, the columns
	linesBelow = 2 // a blank one and the keys
)

// room is how many rows of a table there is room for.
func (m *Model) room() int { return max(1, m.height-linesAbove-linesBelow) }

// screen gives the lines, none wider and not more than the terminal.
func (m *Model) screen() string {
	var lines []string
	switch {
	case m.help:
		lines = append(m.head(), helpLines()...)
	case m.data == nil:
		lines = append(m.head(), "", "asking "+termtext.Printable(m.from)+" …")
	default:
		lines = append(append(m.head(), m.tabs(), ""), m.rows()...)
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines[:max(0, min(len(lines), m.height-1))], m.foot())
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], m.width, "…")
	}
	return strings.Join(lines, "\n")
}

// head says which proxy it is and how it is, and of the pool with the greatest skew.
func (m *Model) head() []string {
	state := green("● live")
	if m.paused {
		state = sgr("7", " paused ")
	}
	if m.err != nil {
		return []string{bold("mcproxy") + "  " + termtext.Printable(m.from), red(termtext.Printable(m.err.Error()))}
	}
	if m.data == nil {
		return []string{bold("mcproxy"), ""}
	}
	s := m.data.Status
	words := []string{
		bold("mcproxy") + " " + termtext.Printable(s.Version), "up " + termtext.Age(s.At.Sub(s.Start)), plural(s.Workers, "worker"),
		plural(s.Clients.Conns, "client"), s.At.Local().Format(time.TimeOnly), state,
	}
	if !s.Ready {
		words = append(words, red("accepts no clients"))
	}
	return []string{strings.Join(words, faint("  ·  ")), skewLine(s)}
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// skewLine tells of the pool whose load is most uneven.
func skewLine(s *admin.Status) string {
	var worst *admin.PoolStatus
	for i := range s.Pools {
		p := &s.Pools[i]
		if p.Skew.Bytes.Known() && len(p.Backends) > 1 && (worst == nil || p.Skew.Bytes > worst.Skew.Bytes) {
			worst = p
		}
	}
	if worst == nil {
		return faint("no load to compare backends by")
	}
	n := float64(len(worst.Backends))
	where := ""
	if len(s.Pools) > 1 {
		where = " of pool " + termtext.Printable(worst.Pool)
	}
	if !isUneven(worst) {
		return fmt.Sprintf("Even: the busiest backend%s moves %s the mean of the bytes.", where, times(float64(worst.Skew.Bytes)))
	}
	return red(fmt.Sprintf("SKEW %s", times(float64(worst.Skew.Bytes)))) + fmt.Sprintf("  %s%s moves %.0f%% of the bytes; its part would be %.0f%%.",
		bold(termtext.Printable(worst.Skew.Busiest)), where, 100*float64(worst.Skew.Bytes)/n, 100/n)
}

// tabs is the line of the tabs, and of the filter.
func (m *Model) tabs() string {
	var b strings.Builder
	for t := range numTabs {
		name := fmt.Sprintf(" %d %s ", t+1, t)
		if t == m.tab {
			name = sgr("1;7", name)
		}
		b.WriteString(name)
	}
	switch {
	case m.typing:
		b.WriteString("   /" + termtext.Printable(m.filter) + sgr("7", " "))
	case m.filter != "":
		b.WriteString("   filter: " + bold(termtext.Printable(m.filter)) + faint(" (Esc clears)"))
	case m.tab == tabKeys && m.all:
		b.WriteString(faint("   all watched keys"))
	}
	return b.String()
}

// rows are the table's lines.
func (m *Model) rows() []string {
	t, v := m.table(), &m.views[m.tab]
	widths := t.fit(m.width)
	by := m.sorting(t)
	lines := []string{t.line(widths, func(i int) string {
		title := t.columns[i].title
		if i != by {
			return faint(title)
		}
		arrow := "↓"
		if isText := len(t.rows) > 0 && t.rows[0].cells[i].isText; isText != v.reverse {
			arrow = "↑"
		}
		if t.columns[i].right && widths[i] <= ansi.StringWidth(title) {
			return sgr("1;4", title)
		}
		return bold(title + arrow)
	})}
	if len(t.rows) == 0 {
		if m.filter != "" {
			return append(lines, faint("nothing has "+termtext.Printable(m.filter)))
		}
		return append(lines, faint(t.none))
	}
	room := m.room()
	v.cursor = max(0, min(v.cursor, len(t.rows)-1))
	v.top = max(0, min(v.top, len(t.rows)-room, v.cursor), v.cursor-room+1)
	for i := v.top; i < min(len(t.rows), v.top+room); i++ {
		line := t.line(widths, func(c int) string { return t.rows[i].cells[c].text })
		if i == v.cursor && len(t.rows) > room {
			line = sgr("7", ansi.Strip(line))
		}
		lines = append(lines, line)
	}
	return lines
}

func (m *Model) foot() string {
	if m.typing {
		return faint("Enter keeps the filter, Esc drops it")
	}
	keys := "Tab next  ←→ sort  r reverse  / filter  p pause  ? help  q quit"
	if m.tab == tabKeys {
		keys = "Tab next  ←→ sort  r reverse  / filter  a all keys  p pause  ? help  q quit"
	}
	return faint(keys)
}

func helpLines() []string {
	return []string{
		"", bold("Keys"), "",
		"  Tab, Shift-Tab, 1-5   pools, backends, keys, clients, events",
		"  ← →  or  < >          sort by another column",
		"  r                     the other way round",
		"  /                     filter: rows that have a word; Esc clears",
		"  a                     keys: also those that are neither hot nor oversized",
		"  p, Space              hold the picture, and go on",
		"  ↑ ↓ PgUp PgDn g G     scroll",
		"  q, Ctrl-C             quit",
		"",
		"  Figures a second are means over the last five. SKEW and × MEAN compare bytes,",
		"  both ways, with the mean backend's: 1 is even. SHARE is of the pool's cost.",
		"",
		faint("  any key goes back"),
	}
}

// WriteOnce writes one tab as text, or all of them if tabName is "", as wide as they are.
func WriteOnce(out io.Writer, d *Data, tabName string) error {
	s := d.Status
	var b strings.Builder
	fmt.Fprintf(&b, "mcproxy %s, up %s, %s. %s\n", termtext.Printable(s.Version), termtext.Age(s.At.Sub(s.Start)), plural(s.Clients.Conns, "client"), skewLine(s))
	for tab := range numTabs {
		if tabName != "" && !strings.EqualFold(tab.String(), tabName) {
			continue
		}
		t := tableOf(tab, d, false)
		t.order(t.sort, false)
		b.WriteString("\n" + strings.ToUpper(tab.String()) + "\n")
		if len(t.rows) == 0 {
			b.WriteString(t.none + "\n")
			continue
		}
		widths := t.fit(0)
		b.WriteString(t.line(widths, func(i int) string { return t.columns[i].title }) + "\n")
		for i := range t.rows {
			b.WriteString(t.line(widths, func(c int) string { return t.rows[i].cells[c].text }) + "\n")
		}
	}
	_, err := io.WriteString(out, ansi.Strip(b.String()))
	return err
}
