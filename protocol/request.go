package protocol

// A Request is one parsed command line and, for the storage verbs, its data block. Its slices point into the buffer that
// was parsed and live as long as that is not reused; only a Key that was base64 lives in the Request itself, until it is
// parsed into again (so a copy of such a Request must not outlive the original). A Request is reused from line to line:
// ParseRequest sets every field. It is not safe for use by several goroutines at once.
type Request struct {
	Verb    Verb
	NoReply bool // the classic noreply, or the meta flag q (see Suppressed)

	// Key places the request: 1..250 bytes, base64 decoded when Base64. For a retrieval with several keys, the first.
	// nil for verbs without a key.
	Key []byte
	// Keys are a retrieval's keys (Get, Gets, Gat, Gats) as they stand on the line, NumKeys of them (>= 1) separated by
	// one or more spaces, each already checked to be 1..250 bytes. Walk them with NextKey.
	Keys    []byte
	NumKeys int

	ClientFlags uint32 // storage verbs but MetaSet
	Exptime     int32  // seconds: storage verbs but MetaSet, Touch, Gat, Gats, FlushAll (the delay)
	Delta       uint64 // Incr, Decr
	Unique      uint64 // CAS: the cas number to compare with

	// ValueLen is the length of the data block in bytes, without its CRLF, or -1 for verbs that have none. Value is nil
	// until TakeValue found the whole block.
	ValueLen int
	Value    []byte

	// Meta commands. RawKey is the key token as on the line (base64 when Base64). MetaFlags is what follows the key (or ms's
	// datalen): the flag tokens, spaces between them. Walk them with NextFlag. Opaque is the O token's text without its O,
	// or nil.
	RawKey    []byte
	MetaFlags []byte
	Base64    bool // flag b
	ReturnKey bool // flag k
	Opaque    []byte
	Mode      byte // the M token's mode letter as sent, 0 without one

	Arg []byte // Stats: everything after "stats ", trimmed; Verbosity: its level; nil without an argument

	// Refusal is the answer to a line that goes to no backend, CRLF included, when Verb is Refused; it is a constant. It is
	// not sent when NoReply. Swallow is how many bytes after the line belong to it (its data block and CRLF) and must be
	// dropped before the answer; 0 when the line has none or nobody can know.
	Refusal string
	Swallow int

	decoded [MaxKeyLen]byte // a base64 key's bytes; Key points here
}

// reset sets every field but decoded, which Key alone gives a meaning.
func (req *Request) reset() {
	req.Verb = Refused
	req.NoReply = false
	req.Key = nil
	req.Keys = nil
	req.NumKeys = 0
	req.ClientFlags = 0
	req.Exptime = 0
	req.Delta = 0
	req.Unique = 0
	req.ValueLen = -1
	req.Value = nil
	req.RawKey = nil
	req.MetaFlags = nil
	req.Base64 = false
	req.ReturnKey = false
	req.Opaque = nil
	req.Mode = 0
	req.Arg = nil
	req.Refusal = ""
	req.Swallow = 0
}

// refuse makes the request one that is answered without a backend. swallow is the length of the data block that
// follows the line, or -1 if it has none or nobody can know.
func (req *Request) refuse(answer string, swallow int) {
	noReply := req.NoReply
	req.reset()
	req.NoReply = noReply
	req.Refusal = answer
	if swallow >= 0 {
		req.Swallow = swallow + 2
	}
}

// TakeValue looks for the data block at the start of buf, which is what follows the line. n == 0: it is not all there;
// ValueLen+2 bytes are needed. Otherwise n == ValueLen+2, and ok says that the block ends in CRLF, and Value is set.
// Not ok: BadDataChunk is the answer, and what follows the n bytes is the next command.
func (req *Request) TakeValue(buf []byte) (n int, ok bool) {
	n = req.ValueLen + 2
	if len(buf) < n {
		return 0, false
	}
	if buf[n-2] != '\r' || buf[n-1] != '\n' {
		return n, false
	}
	req.Value = buf[: n-2 : n-2]
	return n, true
}
