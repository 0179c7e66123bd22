package replica

// A Sight is what one look at the guard of one home showed. It does not change, so it may be read by anybody; its zero value
// is that of a home that nobody has looked at.
type Sight struct {
	Kind        Kind
	Sent        int64  // when the guard was asked for; what was seen holds for Rules.Lease from then on
	Incarnation uint32 // the guard's client flags: 32 random bits of who added it
	Guard       Guard  // if Kind is Readable
}

// A Kind says what was found in the place of a guard.
type Kind uint8

// The kinds.
const (
	Unseen   Kind = iota // nobody has looked
	Lost                 // there is no guard
	Unable               // nor can there be one: the backend takes no such items, from nobody
	Unknowns             // an item that this build cannot read, and leaves alone
	Broken               // an item that is no guard
	Readable
)

// SeenIn makes a sight of the answer to mg G v f c that was asked for at sent. It is not ok if the answer tells nothing.
func SeenIn(a *Answer, sent int64) (s Sight, ok bool) {
	s.Sent = sent
	switch a.Result {
	case Missing:
		s.Kind = Lost
	case Unsupported:
		s.Kind = Unable
	case Hit:
		s.Incarnation = a.Flags
		g, err := DecodeGuard(a.Value)
		switch err {
		case nil:
			s.Kind, s.Guard = Readable, g
		case ErrVersion:
			s.Kind = Unknowns
		default:
			s.Kind = Broken
		}
	default:
		return Sight{}, false
	}
	return s, true
}

// Foreign says that other proxies of the home's have another ring: an alert.
func (s *Sight) Foreign(r *Rules) bool { return s.Kind == Readable && s.Guard.Ring != r.Ring }

// Plain says that no key of the home is replicated, until the time that it gives: then Look need not be called.
func (s *Sight) Plain(r *Rules) (until int64, ok bool) {
	plain := s.Kind == Unable || s.Kind == Readable && len(s.Guard.Keys) == 0 &&
		(s.Guard.State == Disputed || s.Guard.State == Normal && s.Guard.Ring == r.Ring)
	return s.Sent + r.Lease, plain
}

// A View is what a request may rely on about its key.
type View struct {
	Phase       Phase
	Copies      int   // in Prep, Active and Drain: on the first so many hosts
	Until       int64 // when it ends to be true
	Incarnation uint32
	// Foreign: the copies were made by proxies with another ring, and nobody here knows where they are.
	Foreign bool
}

// Look says what the sight tells about a key at now. What is out of date, lost, or about to recover tells nothing: Unknown.
func (s *Sight) Look(r *Rules, h Hash, now int64) View {
	v := View{Phase: Unknown, Until: s.Sent + r.Lease, Incarnation: s.Incarnation}
	if s.Kind == Unseen || now >= v.Until {
		return v
	}
	if s.Kind == Unable {
		v.Phase = None
		return v
	}
	if s.Kind != Readable || s.Guard.State == Recov {
		if r.Mutant == IgnoresLoss {
			v.Phase = None
		}
		return v
	}
	foreign := s.Foreign(r)
	if at, found := s.Guard.find(h); found {
		e := &s.Guard.Keys[at]
		v.Phase, v.Copies, v.Foreign = e.Phase, e.Copies, foreign
		return v
	}
	if !foreign || s.Guard.State == Disputed {
		v.Phase = None
	}
	return v
}

// Fresh says whether the view still holds.
func (v *View) Fresh(now int64) bool { return now < v.Until }

// MayRead is invariant 1, a copy is read only by who knows from a guard polled less than a lease ago that its key is active.
func (v *View) MayRead(now int64) bool { return v.Phase == Active && v.Fresh(now) && !v.Foreign }

// mask has a bit for each of a key's hosts that may have a copy; hosts is how many can.
func (v *View) mask(hosts int) uint32 {
	n := hosts
	switch {
	case v.Phase == None:
		n = 0
	case v.Phase != Unknown && !v.Foreign:
		n = min(v.Copies, hosts)
	}
	return 1<<n - 1
}
