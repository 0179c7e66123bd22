package protocol

// A Request is one parsed command line and, for the storage verbs, its data block. Its slices point into the buffer that
// was parsed and live as long as that is not reused; only a Key that was base64 lives in the Request itself, until it is
// parsed into again, so a copy of such a Request must not outlive the original. A Request is reused from line to line:
// ParseRequest sets every field. It is not safe for use by several goroutines at once.
type Request struct {
	Verb    Verb
	NoReply bool // the classic noreply, or the meta flag q (see Suppressed)

	// Key places the request: 1..250 bytes, base64 decoded when Base64 (then any byte may be in it, LF too: see TextKey).
	// For a retrieval with several keys, the first. nil for verbs without a key.
	Key []byte
	// Keys are a retrieval's keys (Get, Gets, Gat, Gats) as they stand on the line, NumKeys of them (>= 1) separated by
	// one or more blanks, each already checked to be 1..250 bytes. Walk them with NextKey.
	Keys    []byte
	NumKeys int

	ClientFlags uint32 // Set to CAS
	Exptime     int32  // seconds: Set to CAS, Touch, Gat, Gats, FlushAll (the delay)
	Delta       uint64 // Incr, Decr; Verbosity: the level
	Unique      uint64 // CAS: the cas number to compare with

	// ValueLen is the length of the data block in bytes, without its CRLF, at most MaxValueLen, or -1 for verbs that have
	// none. Value is nil until TakeValue found the whole block.
	ValueLen int
	Value    []byte

	// Meta commands. RawKey is the key token as on the line (base64 when Base64). MetaFlags is what follows the key (or ms's
	// datalen): the flag tokens, blanks between them; walk them with NextFlag. Opaque is the O token's text without its O,
	// nil without one. Mode is the first letter of the M token's argument as sent, 0 without one.
	RawKey    []byte
	MetaFlags []byte
	Base64    bool // flag b
	ReturnKey bool // flag k
	Opaque    []byte
	Mode      byte

	// Arg is everything after "stats", trimmed of blanks, or nil without an argument; or the last words of a delete that has
	// words too many.
	Arg []byte

	// Refusal is the answer to a line that goes to no backend, CRLF included, when Verb is Refused; it is a constant. It is
	// not sent when NoReply. Swallow is how many bytes after the line belong to it (its data block and CRLF) and must be
	// dropped before the answer; 0 when the line has none or nobody can know.
	Refusal string
	Swallow int

	decoded [MaxKeyLen / 4 * 3]byte // a base64 key's bytes, for Key to point to
}

// reset sets every field but decoded, to which nothing points then.
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

// refuse makes the request one that is answered without a backend. Its data block, if ValueLen says that it has one, is
// to be swallowed; quiet says whether the answer is not sent.
func (req *Request) refuse(answer string, quiet bool) {
	valueLen := req.ValueLen
	req.reset()
	req.Refusal = answer
	req.NoReply = quiet
	if valueLen >= 0 {
		req.Swallow = valueLen + 2
	}
}

// TakeValue looks for the data block at the start of buf, which is what follows the line of a verb that has one
// (ValueLen >= 0). n == 0: it is not all there; ValueLen+2 bytes are needed. Otherwise n == ValueLen+2, and ok says that the
// block ends in CRLF, and Value is set. Not ok: BadDataChunk is the answer, and what follows the n bytes is the next
// command, as memcached has it.
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
