package copies

import (
	"math/rand/v2"

	"mcproxy/hotkey"
	"mcproxy/protocol"
	"mcproxy/replica"
	"mcproxy/split"
)

// A Promoter decides which keys of a pool are to have copies on other backends: those that are read much more than written, and cost
// their own backend more than tau of the mean one's cost although their reads share fetches. It has one owner.
type Promoter struct {
	shared *Shared
	tau    float64
	bytes  float64 // that cost as much as a request
	cool   int64   // nanoseconds
	keys   map[uint64]*promotion
	// Joined are the gets of each hot key that others' fetches answered in the last window: set them before Update.
	Joined map[uint64]uint64
}

// A promotion is a key that this process wants to have copies.
type promotion struct {
	wish     Wish
	joined   float64 // gets a second that others' fetches answered
	wanted   bool
	lowSince int64 // since when it needs none; 0: it does
	more     int   // windows running in which it needed twice as many
	growing  bool  // it loses its copies, to get more
	told     int64 // when its backend's poller was told last
}

const (
	readsPerWrite   = 20            // at least so many, and a key gets copies;
	keepsPerWrite   = 10            // at least so many, and it keeps them
	growWindows     = 8             // so long a key needs twice the copies before it gets them
	tellEvery       = 5_000_000_000 // nanoseconds between two times that a poller is told of a wish
	joinedSmooth    = 0.25          // of a window's rate goes into the mean
	drillWillChance = 3             // one key in so many is looked at by each drill,
	drillEndChance  = 3             // and one in so many of those that have copies loses them; others have them twice, four or eight times as long
)

// NewPromoter makes a pool's Promoter; cfg has its defaults.
func NewPromoter(c *Shared, cfg hotkey.Config) *Promoter {
	return &Promoter{
		shared: c, tau: cfg.Tau, bytes: float64(cfg.OpBytes), cool: cfg.Cool, keys: make(map[uint64]*promotion), Joined: make(map[uint64]uint64),
	}
}

// A Window is what a window of the detector showed.
type Window struct {
	At       int64 // end, nanoseconds
	Seconds  float64
	Hot      []hotkey.Status
	Split    map[uint64]int // keys whose values stand in chunks
	Home     func(key string) int
	Backends int
}

// Update decides anew.
func (p *Promoter) Update(w *Window) {
	seen := make(map[uint64]bool, len(w.Hot))
	costs := make([]float64, len(w.Hot))
	saved, mean := 0.0, 0.0
	for i := range w.Hot {
		st := &w.Hot[i]
		seen[st.Hash] = true
		k := p.keys[st.Hash]
		if k == nil {
			k = &promotion{wish: Wish{Key: []byte(st.Key), Home: w.Home(st.Key)}}
			p.keys[st.Hash] = k
		}
		k.joined += (float64(p.Joined[st.Hash])/w.Seconds - k.joined) * joinedSmooth
		before := st.Ops() + st.Bytes()/p.bytes
		_, inChunks := w.Split[st.Hash]
		costs[i] = p.cost(st, k.joined, inChunks)
		saved += before - costs[i]
		if st.Load > 0 {
			mean = max(mean, before/st.Load)
		}
	}
	total := max(mean*float64(w.Backends)-saved, 0)
	for i := range w.Hot {
		st := &w.Hot[i]
		want := replica.CopiesFor(costs[i], total, w.Backends, p.tau, p.shared.Rules().MaxCopies)
		if _, inChunks := w.Split[st.Hash]; !inChunks && int(st.ValueSize) > p.shared.Rules().MaxValue {
			want = 0 // its value is not copied: copies would be looked for in vain
		}
		p.judge(p.keys[st.Hash], st, want, w.At)
	}
	for hash, k := range p.keys {
		if seen[hash] {
			continue
		}
		if k.wanted { // it has cooled here; other proxies may still need the copies
			p.shared.Release(k.wish)
		}
		delete(p.keys, hash)
	}
}

// cost is what a key costs its backends a second, in requests without bytes, when gets have shared fetches.
func (p *Promoter) cost(st *hotkey.Status, joined float64, inChunks bool) float64 {
	readBytes := st.ReadBytes
	if inChunks { // its own backend sends the manifest
		readBytes = st.Reads * float64(split.ManifestLen)
	}
	sent := 1.0
	if st.Reads > 0 {
		sent = max(0, 1-joined/st.Reads)
	}
	return sent*(st.Reads+readBytes/p.bytes) + st.Writes + st.WriteBytes/p.bytes
}

// judge decides about one hot key that needs so many copies by what it costs.
func (p *Promoter) judge(k *promotion, st *hotkey.Status, want int, now int64) {
	switch {
	case k.wanted && st.Reads < keepsPerWrite*st.Writes:
		p.shared.Demote(k.wish, replica.WriteHot)
		*k = promotion{wish: k.wish, joined: k.joined}
		return
	case !k.wanted && (want == 0 || st.Reads < readsPerWrite*st.Writes || !protocol.TextKey(k.wish.Key)):
		return
	case k.wanted && want == 0:
		if k.lowSince == 0 {
			k.lowSince = now
		}
		if now-k.lowSince >= p.cool {
			p.shared.Release(k.wish)
			*k = promotion{wish: k.wish, joined: k.joined}
			return
		}
	default:
		k.lowSince = 0
	}
	phase, copies := p.shared.PhaseOf(k.wish)
	if !k.wanted || phase == replica.None {
		k.wish.Copies = max(want, 1)
	}
	if phase == replica.Active && want >= 2*copies {
		k.more++
	} else {
		k.more = 0
	}
	if k.more >= growWindows {
		k.more, k.growing = 0, true
		p.shared.Demote(k.wish, replica.Outgrown)
		return
	}
	if k.growing && (phase == replica.Active || phase == replica.Drain) {
		return
	}
	if !p.shared.Able(k.wish) || k.wanted && phase != replica.None && now-k.told < tellEvery {
		return
	}
	k.wanted, k.told = true, now
	k.wish.Forced = k.growing
	k.growing = false
	p.shared.Promote(k.wish)
}

// Drill has some of the listed keys get copies, or lose them, at random.
func (p *Promoter) Drill(w *Window) {
	for i := range w.Hot {
		st := &w.Hot[i]
		if st.Key == "" || !protocol.TextKey([]byte(st.Key)) || rand.IntN(drillWillChance) > 0 {
			continue
		}
		wish := Wish{Key: []byte(st.Key), Home: w.Home(st.Key), Copies: 1 + rand.IntN(p.shared.Rules().MaxCopies), Forced: true}
		phase, _ := p.shared.PhaseOf(wish)
		switch {
		case phase == replica.None:
			p.shared.Promote(wish)
		case rand.IntN(drillEndChance<<(st.Hash%4)) == 0:
			p.shared.Demote(wish, replica.Cooled)
		}
	}
}
