package hotkey

// A Kind says in which way a key is hot, and so what may help.
type Kind uint8

// The values of Kind.
const (
	ReadHot  Kind = iota // at least 20 reads a write: copies help
	WriteHot             // fewer: reported only
	ByteHot              // at least 4 KiB a request: the bytes can be spread
)

func (k Kind) String() string {
	switch k {
	case ReadHot:
		return "read-hot"
	case WriteHot:
		return "write-hot"
	case ByteHot:
		return "byte-hot"
	}
	return "unknown"
}

// A Change says what happened to a key.
type Change uint8

// The values of Change.
const (
	Promoted Change = iota // it is hot
	Demoted                // it is hot no more
	Turned                 // it is hot in another way: its Kind changed
)

func (c Change) String() string {
	switch c {
	case Promoted:
		return "promoted"
	case Demoted:
		return "demoted"
	case Turned:
		return "turned"
	}
	return "unknown"
}

// A Reason says why.
type Reason uint8

// The values of Reason.
const (
	Sustained Reason = iota // promoted: at least Tau in two windows running
	Sudden                  // promoted: at least 4 Tau in one window
	Cooled                  // demoted: below Tau/3, or MinRate/3, for Cool
	Ignored                 // demoted: a new configuration has a prefix of it in Ignore
	Cleared                 // demoted: the tracker was cleared
	Shifted                 // turned: four windows running spoke for the other kind
)

func (r Reason) String() string {
	switch r {
	case Sustained:
		return "sustained"
	case Sudden:
		return "sudden"
	case Cooled:
		return "cooled"
	case Ignored:
		return "ignored"
	case Cleared:
		return "cleared"
	case Shifted:
		return "shifted"
	}
	return "unknown"
}

// An Event is a change of what is hot.
type Event struct {
	Change Change
	Reason Reason
	Was    Kind   // turned: the kind before
	At     int64  // end of the window that showed it; nanoseconds
	Status Status // of the key; of a demoted one, with when it became hot
}

// A Status is what is known of a key now. Figures a second are means over about the last second; all of them, like Share and
// Load, count what the key has had for certain.
type Status struct {
	Key        string // empty if not known; a hot key's is
	Hash       uint64
	Hot        bool
	Ignored    bool // a prefix of it is in Ignore, so it is never hot
	Kind       Kind
	Since      int64   // when it became hot, the end of a window in nanoseconds; 0 if it is not
	Reads      float64 // requests a second
	Writes     float64
	ReadBytes  float64 // of values, a second
	WriteBytes float64
	ValueSize  uint32  // bytes of the largest value in the last window that showed one
	Share      float64 // of the pool's cost, 0..1
	Err        float64 // the true share is at most so much more, sampling aside
	Load       float64 // its cost over the mean backend's; Tau is compared with this
}

// Ops is requests a second.
func (s *Status) Ops() float64 { return s.Reads + s.Writes }

// Bytes is bytes of values a second, both ways.
func (s *Status) Bytes() float64 { return s.ReadBytes + s.WriteBytes }
