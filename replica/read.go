package replica

// A Source says where what a read gives the client comes from.
type Source uint8

// The sources.
const (
	Nowhere  Source = iota // not known yet
	FromCopy               // Read.Copy and Read.Flags
	FromHome               // the answer to DoHome
)

// A Read is the read path of one request of one key that may have copies: send what Next gives until it gives no more, give each
// answer to Answer. When Source is not Nowhere the client can be answered; a fill may still be to be sent, and nobody need wait for
// its answer.
//
//	Start ─┬─► a copy ─► it is one ───────────────────────────────────────────────────► FromCopy
//	       │      ├────► a stub, and the lease is ours ─► the home ─► FromHome, and fill the copy
//	       └──────┴────► a lock, another's lease, no answer ─► the home ──────────────► FromHome
//
// Invariant 4: the home is read after the lease was given, and the fill has the lease's cas number and conn, so it fails if
// anything cleared the copy since.
type Read struct {
	rules  *Rules
	target Target
	view   View
	script script

	won    bool // the lease is ours: lease says which
	lease  Ask
	source Source
	copied Copy
	flags  uint32
	lost   bool
}

// Start begins a read. host is where it should be read, Home or the place of a copy (see Choose); it is read there only if the
// view allows that now, after the request was parsed.
func (r *Read) Start(rules *Rules, t Target, v View, host int, now int64) {
	*r = Read{rules: rules, target: t, view: v, script: script{queue: r.script.queue[:0]}}
	if host == Home || host >= min(v.Copies, t.Hosts) || !v.MayRead(now) {
		r.toHome()
		return
	}
	r.script.ask(Ask{Do: DoCopy, Host: host})
	r.script.stage = copying
}

// Next gives the next request to send, if there is one.
func (r *Read) Next() (Ask, bool) { return r.script.Next() }

// Source is Nowhere until the client can be answered.
func (r *Read) Source() Source { return r.source }

// Copy gives the copy and its client flags if Source is FromCopy. Its Value points into the answer that it came with.
func (r *Read) Copy() (c Copy, flags uint32) { return r.copied, r.flags }

// Leased says that the read has a lease, so that DoHome must ask as a fill needs it: mg k v f t c. Otherwise a plain get will do.
func (r *Read) Leased() bool { return r.won }

// Lost says that the copy's host did not answer.
func (r *Read) Lost() bool { return r.lost }

func (r *Read) toHome() {
	r.script.ask(Ask{Do: DoHome, Host: Home})
	r.script.stage = reading
}

// Answer takes the answer to a request that Next gave.
func (r *Read) Answer(a *Ask, ans *Answer) {
	r.script.open--
	switch a.Do {
	case DoCopy:
		r.copyCame(a, ans)
	case DoHome:
		r.source = FromHome
		r.script.stage = over
		r.fill(ans)
	case DoFill:
		r.script.stage = over
	}
}

func (r *Read) copyCame(a *Ask, ans *Answer) {
	if ans.Result == Hit {
		c, ok := DecodeCopy(ans.Value, r.target.Key)
		if r.rules.Mutant == ReadsLocked {
			c, ok = decode(ans.Value, r.target.Key)
		}
		if ok && c.Incarnation == r.view.Incarnation {
			r.copied, r.flags, r.source = c, ans.Flags, FromCopy
			r.script.stage = over
			return
		}
		if ans.Won && len(ans.Value) == 0 {
			r.won = true
			r.lease = Ask{Do: DoFill, Host: a.Host, CAS: ans.CAS, Conn: ans.Conn}
		}
	} else if ans.Result != Missing {
		r.lost = true
	}
	r.toHome()
}

// fill copies the item that the home gave, if the lease is ours and it is worth it.
func (r *Read) fill(ans *Answer) {
	if !r.won || ans.Result != Hit || len(ans.Value) > r.rules.MaxValue || ans.TTL >= 0 && ans.TTL <= shortTTL {
		return
	}
	c := Copy{Unique: ans.CAS, Incarnation: r.view.Incarnation, Value: ans.Value}
	f := r.lease
	f.Flags, f.TTL = ans.Flags, copyTTL
	if ans.TTL >= 0 {
		f.TTL = min(ans.TTL-1, copyTTL)
	}
	f.Value = c.Append(make([]byte, 0, CopyOverhead(r.target.Key)+len(ans.Value)), r.target.Key)
	switch r.rules.Mutant {
	case FillsBlindly:
		f.CAS, f.Conn = 0, 0
	case FillsAnywhere:
		f.Conn = 0
	}
	r.script.ask(f)
	r.script.stage = filling
}

// Choose gives two different places, Home or a copy's, of an active key that has so many copies, at least 1; the read should go
// to the one whose backend has less to do. rnd is a random number. The choice of one alone would leave the busiest far above
// the mean; that of the least of all would have all proxies run to the same.
func Choose(copies int, rnd uint64) (a, b int) {
	n := uint64(copies) + 1
	i := (rnd >> 32) % n
	j := (rnd & (1<<32 - 1)) % (n - 1)
	if j >= i {
		j++
	}
	return int(i) - 1, int(j) - 1
}
