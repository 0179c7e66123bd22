package top

import (
	"context"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// A Model is the screen's state. It is a bubbletea program's model; its methods are called from one goroutine.
type Model struct {
	fetch Fetch
	from  string // whom it asks: an address

	data   *Data
	err    error
	paused bool

	tab    tab
	views  [numTabs]view
	all    bool   // keys that are neither hot nor oversized, too
	filter string // rows without it are left out
	typing bool   // the filter is being written
	help   bool

	width, height int
}

// A view is how a tab is looked at.
type view struct {
	sort    int // the column, or -1: the table's own
	reverse bool
	cursor  int // a row
	top     int // the first row that is seen
}

const (
	interval     = time.Second     // between two looks
	fetchTimeout = 5 * time.Second // for one
)

// New makes a model that asks fetch each second. from says whom that asks, and tab is one of Tabs, or "".
func New(fetch Fetch, from, tabName string) *Model {
	m := &Model{fetch: fetch, from: from, width: 80, height: 24}
	for t := range numTabs {
		m.views[t].sort = -1
		if strings.EqualFold(t.String(), tabName) {
			m.tab = t
		}
	}
	return m
}

// An answer is what a look has brought.
type answer struct {
	data *Data
	err  error
}

// A look is time for another one.
type look struct{}

// Init asks for the first time.
func (m *Model) Init() tea.Cmd { return m.ask }

func (m *Model) ask() tea.Msg {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	data, err := m.fetch(ctx)
	return answer{data, err}
}

// Update takes what has happened.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case answer:
		if !m.paused || m.data == nil {
			m.err = msg.err
			if msg.err == nil {
				m.data = msg.data
			}
		}
		return m, tea.Tick(interval, func(time.Time) tea.Msg { return look{} })
	case look:
		return m, m.ask
	case tea.PasteMsg:
		if m.typing {
			m.filter += msg.Content
		}
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	return m, nil
}

// press takes a key.
func (m *Model) press(k tea.KeyPressMsg) tea.Cmd {
	name := k.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case m.typing:
		m.write(k, name)
		return nil
	case m.help:
		m.help = false
		return nil
	}
	v := &m.views[m.tab]
	switch name {
	case "q":
		return tea.Quit
	case "tab", "shift+tab":
		step := tab(1)
		if name == "shift+tab" {
			step = numTabs - 1
		}
		m.tab = (m.tab + step) % numTabs
	case "1", "2", "3", "4", "5":
		m.tab = tab(name[0] - '1')
	case "left", "<", "right", ">":
		m.sortBy(name == "right" || name == ">")
	case "r":
		v.reverse = !v.reverse
	case "/":
		m.typing = true
	case "esc":
		m.filter = ""
	case "p", "space":
		m.paused = !m.paused
	case "a":
		m.all = !m.all
	case "?", "h":
		m.help = true
	default:
		m.scroll(name)
	}
	return nil
}

// write takes a key for the filter.
func (m *Model) write(k tea.KeyPressMsg, name string) {
	switch {
	case name == "enter":
		m.typing = false
	case name == "esc":
		m.typing, m.filter = false, ""
	case name == "backspace":
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	case name == "ctrl+u":
		m.filter = ""
	case k.Text != "" && len(m.filter) < 250:
		m.filter += k.Text
	}
}

// sortBy moves the sorting to the next column, or the one before, that is seen.
func (m *Model) sortBy(next bool) {
	if m.data == nil {
		return
	}
	t, v := m.table(), &m.views[m.tab]
	widths := t.fit(m.width)
	step := len(widths) - 1
	if next {
		step = 1
	}
	at := m.sorting(t)
	for range widths {
		if at = (at + step) % len(widths); widths[at] > 0 {
			break
		}
	}
	v.sort, v.reverse = at, false
}

// sorting is the column that the table is sorted by.
func (m *Model) sorting(t *table) int {
	if by := m.views[m.tab].sort; by >= 0 {
		return by
	}
	return t.sort
}

// scroll moves the cursor.
func (m *Model) scroll(name string) {
	v := &m.views[m.tab]
	page := max(1, m.room()-1)
	switch name {
	case "up", "k":
		v.cursor--
	case "down", "j":
		v.cursor++
	case "pgup":
		v.cursor -= page
	case "pgdown":
		v.cursor += page
	case "home", "g":
		v.cursor = 0
	case "end", "G":
		v.cursor = 1 << 30
	}
}

// table is the tab's, filtered and sorted.
func (m *Model) table() *table {
	t := tableOf(m.tab, m.data, m.all)
	t.filter(m.filter)
	t.order(m.sorting(t), m.views[m.tab].reverse)
	return t
}
