package protocol

// A Verb is a command of the text protocol.
type Verb uint8

// The verbs, in the order of protocol.txt. Refused is not a command: it marks a line that is answered without any
// backend, with Request.Refusal.
const (
	Refused Verb = iota

	Get  // get <key>+
	Gets // gets <key>+
	Gat  // gat <exptime> <key>+
	Gats // gats <exptime> <key>+

	Set     // set <key> <flags> <exptime> <bytes> [noreply]
	Add     // add …
	Replace // replace …
	Append  // append …
	Prepend // prepend …
	CAS     // cas <key> <flags> <exptime> <bytes> <cas> [noreply]

	Delete // delete <key> [0] [noreply]
	Incr   // incr <key> <delta> [noreply]
	Decr   // decr <key> <delta> [noreply]
	Touch  // touch <key> <exptime> [noreply]

	MetaGet        // mg <key> <flags>*
	MetaSet        // ms <key> <datalen> <flags>*
	MetaDelete     // md <key> <flags>*
	MetaArithmetic // ma <key> <flags>*
	MetaDebug      // me <key> <flags>*
	MetaNoop       // mn

	Version   // version
	Verbosity // verbosity <level> [noreply]
	Quit      // quit
	Stats     // stats [<arg>]
	FlushAll  // flush_all [<delay>] [noreply]

	numVerbs
)

// verbNames are the words on the wire, by verb.
var verbNames = [numVerbs]string{
	Refused: "refused",
	Get:     "get", Gets: "gets", Gat: "gat", Gats: "gats",
	Set: "set", Add: "add", Replace: "replace", Append: "append", Prepend: "prepend", CAS: "cas",
	Delete: "delete", Incr: "incr", Decr: "decr", Touch: "touch",
	MetaGet: "mg", MetaSet: "ms", MetaDelete: "md", MetaArithmetic: "ma", MetaDebug: "me", MetaNoop: "mn",
	Version: "version", Verbosity: "verbosity", Quit: "quit", Stats: "stats", FlushAll: "flush_all",
}

// String gives the word on the wire: "get", "mg", "flush_all". Refused is "refused".
func (v Verb) String() string {
	if v >= numVerbs {
		return "unknown"
	}
	return verbNames[v]
}

// answers are the statuses that answer each verb, a bit each, apart from errors.
var answers = [numVerbs]uint32{
	Get: retrieved, Gets: retrieved, Gat: retrieved, Gats: retrieved,
	Set: stored, Add: stored, Replace: stored, Append: stored, Prepend: stored, CAS: stored,
	Delete: 1<<StatusDeleted | 1<<StatusNotFound, Touch: 1<<StatusTouched | 1<<StatusNotFound,
	Incr: 1<<StatusNumber | 1<<StatusNotFound, Decr: 1<<StatusNumber | 1<<StatusNotFound,
	MetaGet: 1<<StatusHit | 1<<StatusOK | 1<<StatusMiss | 1<<StatusNotFound,
	MetaSet: changed, MetaDelete: changed, MetaArithmetic: changed | 1<<StatusHit,
	MetaDebug: 1<<StatusOK | 1<<StatusMiss, MetaNoop: 1 << StatusOK,
	Version: 1 << StatusVersion, Verbosity: 1 << StatusOK, Stats: 1<<StatusStat | 1<<StatusEnd | 1<<StatusOK, FlushAll: 1 << StatusOK,
}

const (
	retrieved = 1<<StatusHit | 1<<StatusMiss | 1<<StatusEnd
	stored    = 1<<StatusStored | 1<<StatusNotStored | 1<<StatusExists | 1<<StatusNotFound
	changed   = 1<<StatusOK | 1<<StatusNotStored | 1<<StatusExists | 1<<StatusNotFound
)

// Fits says whether an answer of that status can be one to the verb. Any verb can be answered with an error.
func (v Verb) Fits(s Status) bool { return s.IsError() || v < numVerbs && answers[v]>>s&1 != 0 }

// Shape says how the answer to the verb is framed. For the retrievals it is ShapeValue, the answer to one key; a request
// for several keys is answered in ShapeValues.
func (v Verb) Shape() Shape {
	switch {
	case v.IsRetrieval():
		return ShapeValue
	case v.IsMeta():
		return ShapeMeta
	case v == Stats:
		return ShapeStats
	}
	return ShapeLine
}

// IsRetrieval says whether the verb is one of Get, Gets, Gat, Gats.
func (v Verb) IsRetrieval() bool { return v >= Get && v <= Gats }

// IsRead says whether the verb changes no value: Get, Gets, Gat, Gats, MetaGet, MetaDebug. A read may be sent a second
// time when nobody knows whether the first was carried out; a write never.
func (v Verb) IsRead() bool { return v.IsRetrieval() || v == MetaGet || v == MetaDebug }

// IsStorage says whether a data block follows the verb's line: Set to CAS, and MetaSet.
func (v Verb) IsStorage() bool { return v >= Set && v <= CAS || v == MetaSet }

// IsWrite says whether the verb changes an item: Set to CAS, Delete, Incr, Decr, Touch, MetaSet, MetaDelete,
// MetaArithmetic.
func (v Verb) IsWrite() bool { return v >= Set && v <= Touch || v >= MetaSet && v <= MetaArithmetic }

// IsMeta says whether the verb is a meta command, MetaNoop included.
func (v Verb) IsMeta() bool { return v >= MetaGet && v <= MetaNoop }

// Verbs is how many values Verb has, Refused included; they are 0 to Verbs-1.
const Verbs = int(numVerbs)
