package replica_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"mcproxy/replica"
)

const ms = 1_000_000

// home is a memcached with a guard, and a keeper that watches it.
type home struct {
	t     *testing.T
	r     replica.Rules
	k     *replica.Keeper
	now   int64
	conn  uint64
	guard item
	draws uint64
}

func newHome(t *testing.T, r replica.Rules) *home {
	r = r.WithDefaults()
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	return &home{t: t, r: r, k: replica.NewKeeper(&r), now: 1_000_000 * ms, conn: 5}
}

func (h *home) answer() *replica.Answer {
	if !h.guard.there {
		return &replica.Answer{Result: replica.Missing, Conn: h.conn}
	}
	return &replica.Answer{
		Result: replica.Hit, Conn: h.conn, CAS: h.guard.cas, Flags: h.guard.flags, Value: h.guard.value, TTL: -1,
	}
}

// turn polls with a round trip of 1 ms, and takes all steps that come then; cleans succeed. It gives what was done.
func (h *home) turn() (did []replica.Step) {
	h.t.Helper()
	h.now += ms
	h.k.Polled(h.answer(), h.now-ms, h.now)
	for {
		h.draws++
		var epoch replica.Epoch
		binary.BigEndian.PutUint64(epoch[:], h.draws)
		s := h.k.Next(epoch, uint32(100+h.draws), h.now)
		switch s.Deed {
		case replica.DoNothing:
			return did
		case replica.Clean:
			h.k.Cleaned(&s, true)
		case replica.Store:
			if s.Ask.Do == replica.DoGuardStore && (s.Ask.Conn != h.conn || s.Ask.CAS != h.guard.cas) {
				h.t.Fatalf("a guard with cas %d, conn %d is stored with %+v", h.guard.cas, h.conn, s.Ask)
			}
			if (s.Ask.Do == replica.DoGuardAdd) == h.guard.there {
				h.t.Fatalf("%+v, and the guard is there: %v", s.Ask, h.guard.there)
			}
			h.guard = item{true, s.Ask.Value, s.Ask.Flags, h.guard.cas + 1}
		}
		did = append(did, s)
		if len(did) > 10 {
			h.t.Fatal("steps without end")
		}
	}
}

// until turns every quarter of a lease until the key has a phase, at most for max.
func (h *home) until(want replica.Phase, max int64) (took int64) {
	h.t.Helper()
	for start := h.now; h.now-start <= max; h.now += h.r.Poll() {
		h.turn()
		if h.phase() == want {
			return h.now - start
		}
	}
	h.t.Fatalf("phase is %v after %d ms, want %v", h.phase(), max/ms, want)
	return 0
}

// phase is what the guard says of the target.
func (h *home) phase() replica.Phase {
	h.t.Helper()
	g, err := replica.DecodeGuard(h.guard.value)
	if err != nil {
		h.t.Fatal(err)
	}
	if g.State == replica.Recov {
		return replica.Unknown
	}
	for _, e := range g.Keys {
		if e.Hash == target.Hash {
			return e.Phase
		}
	}
	return replica.None
}

func TestKeeperLife(t *testing.T) {
	h := newHome(t, replica.Rules{Ring: 3})
	if v := h.k.Sight().Look(&h.r, target.Hash, h.now); v.Phase != replica.Unknown || v.Fresh(h.now) {
		t.Fatalf("before the first poll: %+v", v)
	}
	did := h.turn()
	if len(did) != 1 || did[0].Ask.Do != replica.DoGuardAdd || did[0].Ask.Flags == 0 {
		t.Fatalf("of a lost guard: %+v", did)
	}
	incarnation := h.guard.flags
	if v := h.k.Sight().Look(&h.r, target.Hash, h.now); v.Phase != replica.Unknown || !v.Fresh(h.now) {
		t.Fatalf("while lost: %+v", v)
	}
	if took := h.until(replica.None, 1000*ms); took < h.r.Wait {
		t.Fatalf("Normal %d ms after Recov", took/ms)
	}
	h.turn()
	if until, ok := h.k.Sight().Plain(&h.r); !ok || until != h.now-ms+h.r.Lease {
		t.Fatalf("Plain of an empty guard = %d, %v at %d", until, ok, h.now)
	}
	h.k.Promote(target.Hash, 2)
	if did := h.turn(); len(did) != 1 || len(did[0].Changes) != 1 || did[0].Changes[0].To != replica.Prep {
		t.Fatalf("of a promotion: %+v", did)
	}
	if took := h.until(replica.Active, 1000*ms); took < h.r.Wait {
		t.Fatalf("Active %d ms after Prep", took/ms)
	}
	h.turn()
	v := h.k.Sight().Look(&h.r, target.Hash, h.now)
	if !v.MayRead(h.now) || v.Copies != 2 || v.Incarnation != incarnation {
		t.Fatalf("when active: %+v", v)
	}
	if v.MayRead(v.Until) {
		t.Fatal("a copy may be read when the lease has ended")
	}
	if _, ok := h.k.Sight().Plain(&h.r); ok {
		t.Fatal("a guard with a key is plain")
	}
	h.k.Demote(target.Hash, replica.WriteHot)
	did = h.turn()
	if len(did) != 1 || did[0].Changes[0].To != replica.Drain || did[0].Changes[0].Reason != replica.WriteHot {
		t.Fatalf("of a demotion: %+v", did)
	}
	h.k.Promote(target.Hash, 1) // meanwhile hot again
	if took := h.until(replica.None, 1000*ms); took < h.r.Wait {
		t.Fatalf("None %d ms after Drain", took/ms)
	}
	h.until(replica.Active, 1500*ms)
}

// TestKeeperOthers: every wait begins anew with what a proxy itself sees, and another key's changes do not disturb it.
func TestKeeperOthers(t *testing.T) {
	h := newHome(t, replica.Rules{})
	h.turn()
	h.until(replica.None, 1000*ms)
	h.k.Promote(target.Hash, 1)
	h.until(replica.Prep, 200*ms)
	start := h.now
	for i := 0; h.phase() == replica.Prep; i++ {
		other := replica.HashOf([]byte{byte(i)})
		h.k.Promote(other, 1)
		h.turn()
		h.now += h.r.Poll()
		if h.now-start > 1000*ms {
			t.Fatal("other keys keep a key from becoming active")
		}
	}
	if h.now-start < h.r.Wait {
		t.Fatalf("Active %d ms after Prep", (h.now-start)/ms)
	}

	// Another proxy comes when a key is in Prep.
	h.k.Demote(target.Hash, replica.Cooled)
	h.until(replica.None, 1500*ms)
	h.k.Promote(target.Hash, 1)
	h.until(replica.Prep, 500*ms)
	h.now += h.r.Wait - 10*ms
	h.k = replica.NewKeeper(&h.r)
	if took := h.until(replica.Active, 1500*ms); took < h.r.Wait {
		t.Fatalf("a proxy that came in Prep made the key active after %d ms", took/ms)
	}
}

func TestKeeperPrepUnwanted(t *testing.T) {
	h := newHome(t, replica.Rules{})
	h.turn()
	h.until(replica.None, 1000*ms)
	h.k.Promote(target.Hash, 1)
	h.until(replica.Prep, 200*ms)
	h.turn()
	h.now += h.r.Wait
	h.k.Polled(h.answer(), h.now, h.now)
	s := h.k.Next(replica.Epoch{1}, 1, h.now)
	if s.Deed != replica.Clean || s.Hash != target.Hash || s.Copies != 1 {
		t.Fatalf("after the wait: %+v", s)
	}
	h.k.Cleaned(&s, false)
	did := h.turn()
	if len(did) != 1 || did[0].Changes[0].To != replica.None || did[0].Changes[0].Reason != replica.Unreachable {
		t.Fatalf("a clean that failed: %+v", did)
	}
	if did := h.turn(); len(did) != 0 {
		t.Fatalf("afterwards: %+v", did)
	}
}

func TestKeeperLoss(t *testing.T) {
	h := newHome(t, replica.Rules{})
	h.turn()
	h.until(replica.None, 1000*ms)
	h.k.Promote(target.Hash, 1)
	h.until(replica.Active, 1500*ms)
	was := h.guard.flags
	h.guard = item{}
	h.conn++
	h.turn()
	if h.phase() != replica.Unknown || h.guard.flags == was {
		t.Fatalf("a lost guard comes back as %v, flags %d, before %d", h.phase(), h.guard.flags, was)
	}
	if took := h.until(replica.None, 1000*ms); took < h.r.Wait {
		t.Fatalf("Normal %d ms after a loss", took/ms)
	}
}

func TestKeeperStrangeGuards(t *testing.T) {
	g := newGuard(2)
	good := g.Append(nil)
	newer := slices.Clone(good)
	newer[4] = 2
	torn := slices.Clone(good)
	torn[len(torn)-1] ^= 1
	for name, c := range map[string]struct {
		value    []byte
		replaced bool
	}{
		"newer version": {newer, false},
		"damaged":       {torn, true},
		"a client's":    {[]byte("hello"), true},
		"empty":         {nil, true},
	} {
		h := newHome(t, replica.Rules{Ring: 77})
		h.guard = item{true, c.value, 5, 9}
		did := h.turn()
		if v := h.k.Sight().Look(&h.r, target.Hash, h.now); v.Phase != replica.Unknown {
			t.Errorf("%s: %+v", name, v)
		}
		if c.replaced && (len(did) != 1 || h.phase() != replica.Unknown || h.guard.flags == 5) || !c.replaced && len(did) != 0 {
			t.Errorf("%s: %+v", name, did)
		}
	}
}

func TestKeeperDispute(t *testing.T) {
	h := newHome(t, replica.Rules{Ring: 1})
	h.turn()
	h.until(replica.None, 1000*ms)
	h.k.Promote(target.Hash, 1)
	h.until(replica.Active, 1500*ms)

	theirs := h.k
	stranger := h.r
	stranger.Ring = 2
	h.k = replica.NewKeeper(&stranger)
	h.now += ms
	h.k.Polled(h.answer(), h.now, h.now)
	sight := h.k.Sight()
	if !sight.Foreign(&stranger) {
		t.Fatal("another ring is no alert")
	}
	if v := sight.Look(&stranger, target.Hash, h.now); !v.Foreign || v.MayRead(h.now) {
		t.Fatalf("a stranger's view of an active key: %+v", v)
	}
	if v := sight.Look(&stranger, replica.HashOf([]byte("x")), h.now); v.Phase != replica.Unknown {
		t.Fatalf("a stranger's view of another key: %+v", v)
	}
	did := h.turn()
	if len(did) != 1 || did[0].Changes[0].To != replica.Drain || did[0].Changes[0].Reason != replica.Mismatched || did[0].Ask.TTL == 0 {
		t.Fatalf("a stranger's step: %+v", did)
	}
	h.k.Promote(replica.HashOf([]byte("x")), 1)
	h.k, theirs = theirs, h.k
	h.until(replica.None, 1000*ms)
	h.k.Promote(target.Hash, 1)
	for range 20 {
		h.now += h.r.Poll()
		h.turn()
		h.k, theirs = theirs, h.k
	}
	g, err := replica.DecodeGuard(h.guard.value)
	if err != nil || g.State != replica.Disputed || len(g.Keys) != 0 || g.Ring != 1 {
		t.Fatalf("a disputed guard is %+v, %v", g, err)
	}
	for _, r := range []*replica.Rules{&h.r, &stranger} {
		s := replica.Sight{Kind: replica.Readable, Sent: h.now, Guard: g}
		if v := s.Look(r, target.Hash, h.now); v.Phase != replica.None {
			t.Errorf("ring %d: a view of what nobody replicates is %+v", r.Ring, v)
		}
		if _, ok := s.Plain(r); !ok {
			t.Errorf("ring %d: an empty disputed guard is not plain", r.Ring)
		}
	}
}

func TestKeeperFull(t *testing.T) {
	h := newHome(t, replica.Rules{MaxCopies: 3})
	h.turn()
	h.until(replica.None, 1000*ms)
	for i := range replica.MaxKeys + 5 {
		h.k.Promote(replica.HashOf(binary.BigEndian.AppendUint32(nil, uint32(i))), 1+i%9)
	}
	h.turn()
	g, err := replica.DecodeGuard(h.guard.value)
	if err != nil || len(g.Keys) != replica.MaxKeys {
		t.Fatalf("%d keys, %v", len(g.Keys), err)
	}
	for _, e := range g.Keys {
		if e.Copies > 3 {
			t.Fatalf("%d copies", e.Copies)
		}
	}
}

// TestKeeperLateAnswer: what an answer tells that was asked for earlier does not replace what is known.
func TestKeeperLateAnswer(t *testing.T) {
	h := newHome(t, replica.Rules{})
	h.turn()
	h.until(replica.None, 1000*ms)
	before := *h.k.Sight()
	h.k.Polled(&replica.Answer{Result: replica.Missing, Conn: 1}, before.Sent-1, h.now)
	h.k.Polled(&replica.Answer{Result: replica.NoAnswer}, h.now, h.now)
	h.k.Polled(&replica.Answer{Result: replica.Refused}, h.now, h.now)
	if s := h.k.Sight(); s.Kind != before.Kind || s.Sent != before.Sent {
		t.Fatalf("%+v became %+v", before, *s)
	}
	if s := h.k.Next(replica.Epoch{1}, 1, h.now); s.Deed != replica.DoNothing {
		t.Fatalf("a step upon nothing: %+v", s)
	}
}
