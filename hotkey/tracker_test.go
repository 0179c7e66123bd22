package hotkey_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcproxy/hotkey"
)

// A usage is what a key had in one window.
type usage struct {
	key    string
	reads  int
	writes int
	each   int // bytes a request
}

// A course drives a tracker through windows of 250 ms.
type course struct {
	*hotkey.Tracker
	backends int
	now      int64
	merger   hotkey.Merger
}

func newCourse(cfg hotkey.Config, backends int) *course {
	return &course{Tracker: hotkey.NewTracker(cfg), backends: backends, now: 1000 * second}
}

// window plays one window, and says what happened, one event a word: "+key(why)" promoted, "-key(why)" demoted, "~key(kind)"
// turned.
func (c *course) window(used ...usage) string {
	s := hotkey.NewSummary(1024, 1)
	for _, u := range used {
		ops := u.reads + u.writes
		for _, part := range []struct {
			ops   int
			write bool
		}{{u.reads, false}, {u.writes, true}} {
			if part.ops > 0 || ops == 0 {
				bytes := uint64(part.ops * u.each)
				s.Add(hashOf(sum(u.key)), []byte(strings.TrimPrefix(u.key, "nameless")), hotkey.Observation{
					Weight: uint64(part.ops)*1280 + bytes, Ops: uint32(part.ops), Bytes: bytes, Size: uint32(u.each), Write: part.write,
				})
			}
		}
	}
	w := &hotkey.Window{Summary: s, From: c.now, To: c.now + 250*ms}
	c.now = w.To
	return c.words(c.Update(c.merger.Merge([]*hotkey.Window{w}), c.backends))
}

func (c *course) words(events []hotkey.Event) string {
	var words []string
	for _, e := range events {
		sign, detail := "+", e.Reason.String()
		switch e.Change {
		case hotkey.Demoted:
			sign = "-"
		case hotkey.Turned:
			sign, detail = "~", e.Was.String()+" to "+e.Status.Kind.String()
		}
		words = append(words, fmt.Sprintf("%s%s(%s)", sign, e.Status.Key, detail))
	}
	return strings.Join(words, " ")
}

func sum(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return h
}

// reads makes key have so many of 100,000 reads.
func reads(key string, n int) []usage {
	return []usage{{key: key, reads: n}, {key: "rest", reads: 100_000 - n}}
}

// TestHysteresis tells shares of a pool of 10 backends window by window. Tau, 5 % of a tenth, is 500 reads of 100,000. All
// other reads are of one ignored key.
func TestHysteresis(t *testing.T) {
	cooling := func(shares ...int) []int { // hot, and then
		return append([]int{2000}, shares...)
	}
	many := func(n, share int) (shares []int) {
		for range n {
			shares = append(shares, share)
		}
		return shares
	}
	for _, c := range []struct {
		name   string
		shares []int // of 100,000 reads, by window
		want   string
	}{
		{"just below tau", many(100, 499), ""},
		{"tau once", []int{500, 0, 500, 0, 500, 499, 500}, ""},
		{"tau twice", []int{0, 500, 500}, "2:+k(sustained)"},
		{"just below four tau once", []int{1999, 0, 1999, 0}, ""},
		{"four tau once", []int{0, 2000, 0}, "1:+k(sudden)"},
		{"tau, then four tau", []int{500, 2000}, "1:+k(sudden)"},
		{"stays", append([]int{500}, many(100, 500)...), "1:+k(sustained)"},
		{"between a third of tau and tau for ever", cooling(many(200, 167)...), "0:+k(sudden)"},
		{"below a third of tau for 4.75 s", cooling(append(many(19, 166), many(100, 167)...)...), "0:+k(sudden)"},
		{"below a third of tau for 5 s", cooling(many(20, 166)...), "0:+k(sudden) 20:-k(cooled)"},
		{"gone", cooling(many(60, 0)...), "0:+k(sudden) 20:-k(cooled)"},
		{
			"below it, once above it, and below it again",
			cooling(append(append(many(19, 0), 167), many(20, 0)...)...), "0:+k(sudden) 40:-k(cooled)",
		},
		{
			"comes back", cooling(append(many(20, 0), 500, 499, 500, 500)...),
			"0:+k(sudden) 20:-k(cooled) 24:+k(sustained)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			course := newCourse(hotkey.Config{Ignore: []string{"rest"}}, 10)
			var got []string
			for i, share := range c.shares {
				if words := course.window(reads("k", share)...); words != "" {
					got = append(got, fmt.Sprintf("%d:%s", i, words))
				}
			}
			if got := strings.Join(got, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestLineFollowsBackends: Tau is a share of the mean backend's cost.
func TestLineFollowsBackends(t *testing.T) {
	for _, c := range []struct{ backends, line int }{{1, 5000}, {2, 2500}, {10, 500}, {100, 50}} {
		for _, share := range []int{c.line - 1, c.line} {
			course := newCourse(hotkey.Config{Ignore: []string{"rest"}, MinRate: 1}, c.backends)
			course.window(reads("k", share)...)
			got, want := course.window(reads("k", share)...), ""
			if share == c.line {
				want = "+k(sustained)"
			}
			if got != want {
				t.Errorf("%d backends, %d of 100,000 reads: %q, want %q", c.backends, share, got, want)
			}
		}
	}
}

// TestMinRate: at 500 requests a second, 125 a window, a key has all of a pool's load and is not hot; a hot key cools when
// it falls below a third of that.
func TestMinRate(t *testing.T) {
	c := newCourse(hotkey.Config{}, 4)
	for range 10 {
		if got := c.window(usage{key: "k", reads: 124}); got != "" {
			t.Fatalf("124 reads: %q, want nothing", got)
		}
	}
	if got := c.window(usage{key: "k", reads: 125}); got != "+k(sudden)" {
		t.Fatalf("125 reads: %q, want +k(sudden)", got)
	}
	for i := range 40 {
		if got := c.window(usage{key: "k", reads: 42}); got != "" {
			t.Fatalf("42 reads, window %d: %q, want nothing", i, got)
		}
	}
	for i := range 20 {
		want := ""
		if i == 19 {
			want = "-k(cooled)"
		}
		if got := c.window(usage{key: "k", reads: 41}); got != want {
			t.Fatalf("41 reads, window %d: %q, want %q", i, got, want)
		}
	}
	if got := newCourse(hotkey.Config{}, 1).window(usage{key: "k", reads: 1, each: 160_000}); got != "+k(sudden)" {
		t.Errorf("one read of 160,000 bytes: %q; it costs as much as 126 requests", got)
	}
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		used usage
		want hotkey.Kind
	}{
		{usage{reads: 1000}, hotkey.ReadHot},
		{usage{reads: 1000, writes: 50}, hotkey.ReadHot},
		{usage{reads: 1000, writes: 51}, hotkey.WriteHot},
		{usage{writes: 1000}, hotkey.WriteHot},
		{usage{reads: 1000, each: 4095}, hotkey.ReadHot},
		{usage{reads: 1000, each: 4096}, hotkey.ByteHot},
		{usage{writes: 1000, each: 4095}, hotkey.WriteHot},
		{usage{writes: 1000, each: 4096}, hotkey.ByteHot},
	} {
		course := newCourse(hotkey.Config{}, 1)
		c.used.key = "k"
		course.window(c.used)
		if hot := course.AppendHot(nil); len(hot) != 1 || hot[0].Kind != c.want {
			t.Errorf("%+v: %+v, want one %v key", c.used, hot, c.want)
		}
	}
}

// TestTurn: a key turns when four windows running speak for another kind, and not before.
func TestTurn(t *testing.T) {
	c := newCourse(hotkey.Config{}, 1)
	read, write := usage{key: "k", reads: 1000}, usage{key: "k", reads: 1000, writes: 500}
	for i, step := range []struct {
		used usage
		want string
	}{
		{read, "+k(sudden)"},
		{write, ""},
		{write, ""},
		{write, ""},
		{read, ""},
		{write, ""},
		{write, ""},
		{usage{key: "other", reads: 1000}, "+other(sudden)"}, // a window without the key says nothing of its kind
		{write, ""},
		{write, "~k(read-hot to write-hot)"},
		{write, ""},
		{read, ""},
		{read, ""},
		{read, ""},
		{read, "~k(write-hot to read-hot)"},
	} {
		if got := c.window(step.used); got != step.want {
			t.Errorf("window %d: %q, want %q", i, got, step.want)
		}
	}
}

func TestIgnore(t *testing.T) {
	c := newCourse(hotkey.Config{Ignore: []string{"_lock", "x"}}, 1)
	used := []usage{{key: "_lock1", reads: 5000}, {key: "lock", reads: 4000}, {key: "xy", reads: 3000}, {key: "_loc", reads: 2000}}
	if got, want := c.window(used...), "+lock(sudden)"; got != want {
		t.Errorf("first window: %q, want %q", got, want)
	}
	if got, want := c.window(used...), "+_loc(sustained)"; got != want {
		t.Errorf("second window: %q, want %q", got, want)
	}
	var ignored []string
	for _, s := range c.AppendTop(nil) {
		if s.Ignored {
			ignored = append(ignored, s.Key)
		}
	}
	if diff := cmp.Diff([]string{"_lock1", "xy"}, ignored); diff != "" {
		t.Errorf("ignored keys of the list, - want, + got:\n%s", diff)
	}
	c.Configure(hotkey.Config{Ignore: []string{"lo", "x"}})
	if got, want := c.window(used...), "+_lock1(sudden) -lock(ignored)"; got != want {
		t.Errorf("after Configure: %q, want %q", got, want)
	}
	if got := c.Hot(); got != 2 {
		t.Errorf("Hot() = %d, want 2", got)
	}
}

func TestMaxHot(t *testing.T) {
	c := newCourse(hotkey.Config{MaxHot: 2, Cool: 500 * ms}, 1)
	for i, step := range []struct {
		used    []usage
		want    string
		refused uint64
	}{
		{[]usage{{key: "c", reads: 3000}, {key: "a", reads: 5000}, {key: "b", reads: 4000}}, "+a(sudden) +b(sudden)", 1},
		{[]usage{{key: "c", reads: 3000}, {key: "b", reads: 4000}}, "", 2},
		{[]usage{{key: "c", reads: 3000}, {key: "b", reads: 4000}, {key: "d", reads: 6000}}, "+d(sudden) -a(cooled)", 3},
	} {
		if got := c.window(step.used...); got != step.want || c.Refused() != step.refused || c.Hot() != 2 {
			t.Errorf("window %d: %q, %d refused, %d hot, want %q, %d, 2", i, got, c.Refused(), c.Hot(), step.want, step.refused)
		}
	}
}

// TestNameless: a key is made hot when its name is known, and its windows before count.
func TestNameless(t *testing.T) {
	c := newCourse(hotkey.Config{Ignore: []string{"rest"}}, 10)
	key := hashOf(sum("nameless"))
	for i := range 5 {
		if got := c.window(reads("nameless", 600)...); got != "" {
			t.Fatalf("window %d: %q, want nothing", i, got)
		}
	}
	s := hotkey.NewSummary(1024, 1)
	s.Add(key, []byte("named"), hotkey.Observation{Weight: 600 * 1280, Ops: 600})
	s.Add(1, []byte("rest"), hotkey.Observation{Weight: 99_400 * 1280, Ops: 99_400})
	w := &hotkey.Window{Summary: s, From: c.now, To: c.now + 250*ms}
	if got := c.words(c.Update(c.merger.Merge([]*hotkey.Window{w}), 10)); got != "+named(sustained)" {
		t.Errorf("when the name is known: %q", got)
	}
}

// TestUnsure: what may be a key's weight, but may be others' too, makes it hot no more than nothing does.
func TestUnsure(t *testing.T) {
	c := newCourse(hotkey.Config{MinRate: 1}, 100)
	for range 4 {
		s := hotkey.NewSummary(64, 1)
		for i := range uint64(100_000) { // uniform: each count is nearly W/m = 1.6 %, and tau is 0.05 %
			s.Add(hashOf(i%10_000), []byte("k"), hotkey.Observation{Weight: 1280, Ops: 1})
		}
		w := &hotkey.Window{Summary: s, From: c.now, To: c.now + 250*ms}
		c.now = w.To
		if got := c.words(c.Update(c.merger.Merge([]*hotkey.Window{w}), 100)); got != "" {
			t.Fatalf("uniform load: %q, want nothing", got)
		}
	}
}

func TestEmptyViews(t *testing.T) {
	c := newCourse(hotkey.Config{}, 1)
	c.window(usage{key: "k", reads: 1000})
	for range 100 {
		if got := c.Update(c.merger.Merge(nil), 1); len(got) != 0 {
			t.Fatalf("a view of no windows: %+v", got)
		}
	}
	for i := range 20 { // an idle pool
		want := ""
		if i == 19 {
			want = "-k(cooled)"
		}
		if got := c.window(); got != want {
			t.Fatalf("idle window %d: %q, want %q", i, got, want)
		}
	}
}

func TestClear(t *testing.T) {
	c := newCourse(hotkey.Config{}, 1)
	c.window(usage{key: "a", reads: 1000}, usage{key: "b", reads: 2000}, usage{key: "c", reads: 1})
	if got, want := c.words(c.Clear(c.now)), "-b(cleared) -a(cleared)"; got != want {
		t.Errorf("Clear gives %q, want %q", got, want)
	}
	if c.Hot() != 0 || len(c.AppendTop(nil)) != 0 || len(c.Clear(c.now)) != 0 {
		t.Errorf("after Clear: %d hot, %+v", c.Hot(), c.AppendTop(nil))
	}
}

// TestStatus holds every figure of a list against what it must be.
func TestStatus(t *testing.T) {
	c := newCourse(hotkey.Config{Top: 3}, 4)
	used := []usage{
		{key: "bytes", reads: 90, writes: 10, each: 12_800}, // costs 1,100 requests
		{key: "read", reads: 700},
		{key: "write", reads: 100, writes: 50},
		{key: "little", reads: 50},
	}
	c.window(used...)
	since := c.now
	for range 3 {
		c.window(used...)
	}
	want := []hotkey.Status{
		{
			Key: "bytes", Hash: hashOf(sum("bytes")), Hot: true, Kind: hotkey.ByteHot, Since: since,
			Reads: 360, Writes: 40, ReadBytes: 360 * 12_800, WriteBytes: 40 * 12_800, ValueSize: 12_800, Share: 0.55, Load: 2.2,
		},
		{Key: "read", Hash: hashOf(sum("read")), Hot: true, Since: since, Reads: 2800, Share: 0.35, Load: 1.4},
		{
			Key: "write", Hash: hashOf(sum("write")), Hot: true, Kind: hotkey.WriteHot, Since: since,
			Reads: 400, Writes: 200, Share: 0.075, Load: 0.3,
		},
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(a+b) })
	got := c.AppendTop([]hotkey.Status{{Key: "before"}})
	if diff := cmp.Diff(append([]hotkey.Status{{Key: "before"}}, want...), got, near); diff != "" {
		t.Errorf("AppendTop, - want, + got:\n%s", diff)
	}
	if diff := cmp.Diff(want, c.AppendHot(nil), near); diff != "" {
		t.Errorf("AppendHot, - want, + got:\n%s", diff)
	}
	if s := want[0]; s.Ops() != 400 || s.Bytes() != 400*12_800 {
		t.Errorf("Ops() = %v, Bytes() = %v", s.Ops(), s.Bytes())
	}

	// Rates follow with a time constant of a second.
	for range 4 {
		c.window(usage{key: "other", reads: 1000})
	}
	for _, s := range c.AppendHot(nil) {
		if s.Key == "read" && math.Abs(s.Reads-2800/math.E) > 1 {
			t.Errorf("a second after its last read: %.0f reads/s, want 2800/e", s.Reads)
		}
	}
}

// TestTop: the list has the heaviest keys of all, in order.
func TestTop(t *testing.T) {
	for _, top := range []int{1, 2, 7, 50, 499, 500, 1000} {
		c := newCourse(hotkey.Config{Top: top}, 1)
		var used []usage
		for _, i := range rand.New(rand.NewPCG(1, uint64(top))).Perm(500) {
			used = append(used, usage{key: fmt.Sprint(i), reads: 1000 + i})
		}
		c.window(used...)
		list := c.AppendTop(nil)
		if len(list) != min(top, 500) {
			t.Errorf("Top %d: %d keys", top, len(list))
		}
		for i, s := range list {
			if want := fmt.Sprint(499 - i); s.Key != want {
				t.Errorf("Top %d: key %q in place %d, want %q", top, s.Key, i, want)
				break
			}
		}
	}
}

// TestStatusErr: the list says how much of a share is unsure.
func TestStatusErr(t *testing.T) {
	s := hotkey.NewSummary(64, 1)
	for i := range uint64(64 * 3) {
		s.Add(hashOf(i), []byte("k"), hotkey.Observation{Weight: 1000, Ops: 1})
	}
	var m hotkey.Merger
	tr := hotkey.NewTracker(hotkey.Config{})
	tr.Update(m.Merge([]*hotkey.Window{{Summary: s, To: 250 * ms}}), 1)
	for _, status := range tr.AppendTop(nil) {
		if math.Abs(status.Share-1/192.0) > 1e-9 || math.Abs(status.Err-2/192.0) > 1e-9 {
			t.Fatalf("share %v, err %v, want 1/192 and 2/192", status.Share, status.Err)
		}
	}
}

// TestLateWorker: a window that one worker brings late reaches far back, but its key has been low for no longer than the
// views say.
func TestLateWorker(t *testing.T) {
	c := newCourse(hotkey.Config{}, 1)
	c.window(usage{key: "k", reads: 1000})
	late := hotkey.NewSummary(64, 1)
	late.Add(1, []byte("other"), hotkey.Observation{Weight: 1280, Ops: 1})
	now := hotkey.NewSummary(64, 1)
	now.Add(2, []byte("another"), hotkey.Observation{Weight: 1280, Ops: 1})
	v := c.merger.Merge([]*hotkey.Window{
		{Summary: now, From: c.now, To: c.now + 250*ms},
		{Summary: late, From: c.now - 60*second, To: c.now + 250*ms},
	})
	if v.From != c.now-60*second || v.To != c.now+250*ms {
		t.Errorf("the view is from %d to %d", v.From, v.To)
	}
	if want := 2 / (1/0.25e9 + 1/60.25e9); math.Abs(v.Nanos-want) > 1 {
		t.Errorf("Nanos = %v, want %v: one request a quarter of a second, and one a minute", v.Nanos, want)
	}
	if got := c.words(c.Update(v, 1)); got != "" {
		t.Errorf("events %q, want none", got)
	}
	c.now = v.To
	for i := range 19 {
		want := ""
		if i == 18 {
			want = "-k(cooled)"
		}
		if got := c.window(); got != want {
			t.Errorf("window %d afterwards: %q, want %q", i, got, want)
		}
	}
}

// TestForget: keys that come and go do not stay in memory.
func TestForget(t *testing.T) {
	c := newCourse(hotkey.Config{Top: 10}, 1)
	most := 0
	for i := range 500 {
		var used []usage
		for j := range 50 {
			used = append(used, usage{key: fmt.Sprintf("k%d", i*50+j), reads: 20 + j})
		}
		c.window(used...)
		most = max(most, c.Tracked())
	}
	if most > 10*20 {
		t.Errorf("%d keys are kept, want at most 20 windows' top 10", most)
	}
	for range 20 {
		c.window()
	}
	if got := c.Tracked(); got != 0 {
		t.Errorf("after 5 s without requests %d keys are kept", got)
	}
}

func TestWords(t *testing.T) {
	var words []string
	for i := range 7 {
		words = append(words, hotkey.Kind(i).String(), hotkey.Change(i).String(), hotkey.Reason(i).String())
	}
	words = append(words, hotkey.Read.String(), hotkey.Write.String())
	want := "read-hot promoted sustained write-hot demoted sudden byte-hot turned cooled unknown unknown ignored " +
		"unknown unknown cleared unknown unknown shifted unknown unknown unknown read write"
	if got := strings.Join(words, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
