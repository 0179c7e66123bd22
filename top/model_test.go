package top_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"mcproxy/admin"
	"mcproxy/proxy"
	"mcproxy/top"
)

var update = flag.Bool("update", false, "write testdata")

// TestMain shows times of day as they are in UTC.
func TestMain(m *testing.M) {
	_ = os.Setenv("TZ", "UTC") // before anybody asks for the local time
	os.Exit(m.Run())
}

// seed is the day that one of two backends drowns in bytes.
func seed() *top.Data {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	backend := func(name, state string, ops, sent, received, load admin.Figure) admin.BackendStatus {
		return admin.BackendStatus{
			Backend: name, Address: "10.0.0.1:11211", Version: "1.6.18", State: state, Ops: ops, Sent: sent, Received: received, Load: load, Conns: 4,
		}
	}
	status := &admin.Status{
		At: start.Add(185 * time.Second), Seconds: 5, Version: "v1.2.3", Start: start, Ready: true, Workers: 2,
		Clients: admin.ClientStatus{Conns: 64, Addresses: []admin.AddressStatus{
			{Address: "10.0.9.7", Conns: 8, Requests: 41.3, Stores: 20.3, Sent: 8.1e6, Received: 8.3e6},
			{Address: "10.0.8.1", Conns: 56, Requests: 2700, Stores: 30, Sent: 4.3e6, Received: 90e3},
			{Address: "other"},
		}},
		Pools: []admin.PoolStatus{
			{
				Pool: "tokens", Ops: 2741, HitRatio: .961, HotKeys: 2, Oversized: 2,
				Skew:     admin.Skew{Ops: 1.2, Bytes: 1.94, Sent: 1.9, Received: 1.95, Busiest: "b1"},
				Latency:  []admin.Latency{{Op: "all", P50: .000393, P99: .00178, P999: .0142}},
				Backends: []admin.BackendStatus{backend("b1", "up", 1600, 14e6, 21e6, 1.94), backend("b2", "up", 1141, .4e6, .6e6, .06)},
			},
			{
				Pool: "sessions", Ops: 0, HitRatio: admin.None(), Failures: 3,
				Skew:     admin.Skew{Ops: admin.None(), Bytes: admin.None(), Sent: admin.None(), Received: admin.None()},
				Latency:  []admin.Latency{{Op: "all", P50: admin.None(), P99: admin.None(), P999: admin.None()}},
				Backends: []admin.BackendStatus{backend("c1", "down", 0, 0, 0, admin.None())},
			},
		},
		Events: []proxy.Event{
			{ID: 2, At: start.Add(time.Minute), Kind: proxy.EventDown, Pool: "sessions", Backend: "c1", Text: "the backend is down: connection refused"},
			{ID: 1, At: start, Kind: proxy.EventStart, Text: "clients are accepted"},
		},
	}
	status.Pools[1].Backends[0].JournalKeys = 17
	keys := &admin.HotKeyReport{Pools: []admin.HotKeyPool{{
		Pool: "tokens", Watched: true, At: status.At,
		Keys: []admin.HotKey{
			{Key: "usertokens-ceilometer", Hash: "01", Kind: "byte-hot", Hot: true, Ops: 41.3, Bytes: 16.4e6, ValueBytes: 404_200, Share: .52, Backend: "b1", Action: "coalesced", Clients: []admin.KeyClient{{Address: "10.0.9.7", Share: .93}, {Address: "10.0.8.1", Share: .07}}},
			{Key: "front-page", Hash: "02", Kind: "read-hot", Hot: true, Ops: 2210, Bytes: 4.2e6, ValueBytes: 1912, Share: .09, Backend: "b2", Action: "coalesced", Clients: []admin.KeyClient{{Address: "10.0.8.1", Share: 1}}},
			{Key: "lukewarm", Hash: "03", Kind: "write-hot", Ops: 12, Bytes: 1200, ValueBytes: 100, Share: .002, Backend: "b2"},
		},
		Oversized: []admin.OversizedKey{
			{Key: "usertokens-ceilometer", Hash: "01", ValueBytes: 404_200, Ops: 41.3, Backend: "b1", Action: "splitting is off"},
			{Hash: "04", ValueBytes: 8_000_000, Ops: .5, Backend: "b1", Action: "too large, refused"},
		},
	}}}
	return &top.Data{Status: status, HotKeys: keys}
}

// A screen is a model with a terminal of a size, whose proxy answers what it is told to.
type screen struct {
	t     *testing.T
	model tea.Model
	data  *top.Data
	err   error
	next  tea.Cmd
}

func open(t *testing.T, width, height int, tab string) *screen {
	s := &screen{t: t, data: seed()}
	m := top.New(func(context.Context) (*top.Data, error) { return s.data, s.err }, "127.0.0.1:9151", tab)
	s.model, s.next = m, m.Init()
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	s.answer()
	return s
}

func (s *screen) send(msg tea.Msg) tea.Cmd {
	model, cmd := s.model.Update(msg)
	s.model = model
	return cmd
}

// answer has the proxy answer the question that is under way.
func (s *screen) answer() {
	s.send(s.next()) // what follows is the clock
}

// press presses keys: "tab", "enter", or the characters of a text.
func (s *screen) press(keys ...string) (cmd tea.Cmd) {
	named := map[string]rune{
		"tab": tea.KeyTab, "enter": tea.KeyEnter, "esc": tea.KeyEscape, "left": tea.KeyLeft, "right": tea.KeyRight, "up": tea.KeyUp, "down": tea.KeyDown,
		"pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace,
	}
	for _, k := range keys {
		if code, ok := named[k]; ok {
			cmd = s.send(tea.KeyPressMsg{Code: code})
			continue
		}
		for _, r := range k {
			cmd = s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
	return cmd
}

// text is what is on the screen, without colours.
func (s *screen) text() string { return ansi.Strip(s.model.View().Content) }

func (s *screen) want(texts ...string) {
	s.t.Helper()
	for _, want := range texts {
		if got := s.text(); !strings.Contains(got, want) {
			s.t.Errorf("the screen does not say %q:\n%s", want, got)
		}
	}
}

func (s *screen) wantNot(text string) {
	s.t.Helper()
	if got := s.text(); strings.Contains(got, text) {
		s.t.Errorf("the screen says %q:\n%s", text, got)
	}
}

// TestScreens compares each tab with a golden screen.
func TestScreens(t *testing.T) {
	for _, tab := range top.Tabs() {
		for _, size := range [][2]int{{150, 14}, {80, 14}} {
			name := fmt.Sprintf("%s-%d", tab, size[0])
			t.Run(name, func(t *testing.T) { golden(t, name+".txt", open(t, size[0], size[1], tab).text()) })
		}
	}
	t.Run("once", func(t *testing.T) {
		var b strings.Builder
		if err := top.WriteOnce(&b, seed(), ""); err != nil {
			t.Fatal(err)
		}
		golden(t, "once.txt", b.String())
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestSizes has no line stick out of any terminal, and no picture have more lines than there are.
func TestSizes(t *testing.T) {
	for _, tab := range top.Tabs() {
		s := open(t, 80, 24, tab)
		for _, width := range []int{1, 2, 10, 20, 33, 40, 61, 79, 100, 133, 300} {
			for _, height := range []int{1, 2, 3, 7, 8, 9, 24, 60} {
				s.send(tea.WindowSizeMsg{Width: width, Height: height})
				lines := strings.Split(s.model.View().Content, "\n")
				if len(lines) > height {
					t.Errorf("%s at %dx%d has %d lines", tab, width, height, len(lines))
				}
				for _, line := range lines {
					if n := ansi.StringWidth(line); n > width {
						t.Errorf("%s at %dx%d has a line of %d columns: %q", tab, width, height, n, line)
					}
				}
			}
		}
	}
}

// columnOf gives the first word of each row of the table.
func (s *screen) firstWords() []string {
	var words []string
	for line := range strings.Lines(s.text()) {
		if f := strings.Fields(line); len(f) > 0 {
			words = append(words, f[0])
		}
	}
	return words[4 : len(words)-1] // heads, tabs, columns; the foot
}

func TestOrder(t *testing.T) {
	s := open(t, 150, 24, "clients")
	for _, tt := range []struct {
		keys []string
		want string
	}{
		{nil, "[10.0.8.1 10.0.9.7]"}, // by requests
		{[]string{"r"}, "[10.0.9.7 10.0.8.1]"},
		{[]string{"right", "right"}, "[10.0.9.7 10.0.8.1]"},                  // by bytes from them
		{[]string{"left", "left", "left", "left"}, "[10.0.8.1 10.0.9.7]"},    // by address
		{[]string{"r"}, "[10.0.9.7 10.0.8.1]"},                               // and back
		{[]string{"left"}, "[10.0.8.1 10.0.9.7]"},                            // round the corner, by what they ask for
		{[]string{"tab", "tab", "tab", "tab", "tab"}, "[10.0.8.1 10.0.9.7]"}, // each tab keeps its own
	} {
		s.press(tt.keys...)
		if got := fmt.Sprint(s.firstWords()); got != tt.want {
			t.Errorf("after %q the clients are %s, want %s:\n%s", tt.keys, got, tt.want, s.text())
		}
	}
	// What is no number stands last, either way.
	s = open(t, 150, 24, "pools")
	s.press("right")
	for range 2 {
		if got := fmt.Sprint(s.firstWords()); got != "[tokens sessions]" {
			t.Errorf("by skew the pools are %s", got)
		}
		s.press("r")
	}
}

func TestFilter(t *testing.T) {
	s := open(t, 150, 24, "keys")
	s.want("usertokens-ceilometer", "front-page", "hash 04")
	s.wantNot("lukewarm")
	s.press("/READ-hotx")
	s.want("nothing has READ-hotx")
	s.press("backspace")
	s.want("/READ-hot", "front-page", "Enter keeps the filter")
	s.wantNot("usertokens")
	s.press("enter", "q"[:0])
	s.want("filter: READ-hot", "front-page")
	s.press("esc")
	s.want("usertokens-ceilometer")
	s.press("a")
	s.want("lukewarm", "all watched keys")
	s.press("/")
	s.send(tea.PasteMsg{Content: "10.0.9.7\x1b[2J"})
	s.want("/10.0.9.7?[2J")
	s.press("esc")
	s.wantNot("/10.0.9.7")
}

func TestPause(t *testing.T) {
	s := open(t, 100, 24, "")
	s.press("p")
	s.data = seed()
	s.data.Status.Pools[0].Pool = "renamed"
	s.answer()
	s.want(" paused ", "tokens")
	s.wantNot("renamed")
	s.press("p")
	s.answer()
	s.want("● live", "renamed")
}

func TestErrors(t *testing.T) {
	s := &screen{t: t, err: errors.New("nobody listens\x1b[2J")}
	m := top.New(func(context.Context) (*top.Data, error) { return s.data, s.err }, "127.0.0.1:9151", "")
	s.model, s.next = m, m.Init()
	s.want("asking 127.0.0.1:9151 …")
	s.answer()
	s.want("nobody listens?[2J")
	s.data, s.err = seed(), nil
	s.answer()
	s.want("SKEW 1.94×  b1 of pool tokens moves 97% of the bytes; its part would be 50%.")
	// Later on what was known stays, below what is wrong.
	s.err = errors.New("it is gone")
	s.answer()
	s.want("it is gone", "tokens")
}

func TestHelpAndQuit(t *testing.T) {
	s := open(t, 100, 24, "")
	s.press("?")
	s.want("sort by another column")
	s.press("x")
	s.want("tokens")
	for _, quit := range []tea.Cmd{s.press("q"), s.send(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})} {
		if quit == nil {
			t.Fatal("it goes on")
		}
		if _, ok := quit().(tea.QuitMsg); !ok {
			t.Errorf("quitting gives %T", quit())
		}
	}
	// In the filter q is a letter.
	if cmd := s.press("/q"); cmd != nil {
		t.Error("a letter of the filter has done something")
	}
}

// TestScroll has more rows than a small terminal.
func TestScroll(t *testing.T) {
	s := open(t, 100, 12, "clients")
	s.data.Status.Clients.Addresses = nil
	for i := range 50 {
		s.data.Status.Clients.Addresses = append(s.data.Status.Clients.Addresses, admin.AddressStatus{Address: fmt.Sprintf("10.0.0.%d", i), Conns: 1, Requests: admin.Figure(100 - i)})
	}
	s.answer()
	s.want("10.0.0.0 ", "10.0.0.4 ")
	s.wantNot("10.0.0.5 ")
	s.press("down", "down", "down", "down", "down")
	s.want("10.0.0.5 ", "10.0.0.1 ")
	s.wantNot("10.0.0.0 ")
	s.press("G")
	s.want("10.0.0.49", "10.0.0.45")
	s.press("pgdown", "j")
	s.want("10.0.0.49", "10.0.0.45")
	s.press("g", "up")
	s.want("10.0.0.0 ")
}

// TestHostile has control characters in all that comes from elsewhere.
func TestHostile(t *testing.T) {
	const evil = "x\x1b]0;pwned\x07\r\n\u202e"
	d := seed()
	d.Status.Version, d.Status.Pools[0].Pool, d.Status.Pools[0].Skew.Busiest = evil, evil, evil
	b := &d.Status.Pools[0].Backends[0]
	b.Backend, b.State, b.Version = evil, evil, evil
	d.Status.Clients.Addresses[0].Address = evil
	d.Status.Events[0].Text, d.Status.Events[0].Pool, d.Status.Events[0].Backend = evil, evil, evil
	k := &d.HotKeys.Pools[0].Keys[0]
	k.Key, k.Kind, k.Backend, k.Action, k.Clients[0].Address, d.HotKeys.Pools[0].Pool = evil, evil, evil, evil, evil, evil
	d.HotKeys.Pools[0].Oversized[1].Hash, d.HotKeys.Pools[0].Oversized[0].Action = evil, evil
	for _, tab := range top.Tabs() {
		s := open(t, 200, 24, tab)
		s.data = d
		s.answer()
		if got := s.model.View().Content; strings.ContainsAny(got, "\x07\r\u202e") || strings.Contains(got, "\x1b]") {
			t.Errorf("%s lets control characters through: %q", tab, got)
		}
		s.want("x?]0;pwned????")
		var out strings.Builder
		if err := top.WriteOnce(&out, d, tab); err != nil || strings.ContainsAny(out.String(), "\x07\r\u202e\x1b") {
			t.Errorf("%s once: %v %q", tab, err, out.String())
		}
	}
}
