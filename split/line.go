package split

import (
	"strconv"

	"mcproxy/protocol"
)

// LineFlags are the flags of the mg whose answer ReadLine reads.
const LineFlags = "k t f c v"

// A Line is what the answer to such a mg tells of an item.
type Line struct {
	Flags   uint32
	Unique  uint64
	Seconds int64 // that are left; -1: it has no end
	Won     bool  // the answer has given away the token to recache it
}

// ReadLine reads the line of an answer that begins with VA, without CRLF. ok is false if the item should not be rewritten: it is
// stale, or somebody recaches it; it is about to end; or its key is known to the server in base64.
func ReadLine(line []byte) (it Line, ok bool) {
	ok = true
	_, rest := protocol.NextKey(line) // VA
	_, rest = protocol.NextKey(rest)  // size
	for f, arg, rest := protocol.NextFlag(rest); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		switch f {
		case 'f':
			v, _ := strconv.ParseUint(string(arg), 10, 32)
			it.Flags = uint32(v)
		case 'c':
			it.Unique, _ = strconv.ParseUint(string(arg), 10, 64)
		case 't':
			left, err := strconv.ParseInt(string(arg), 10, 64)
			it.Seconds = left
			ok = ok && err == nil && (left == -1 || left >= 2)
		case 'W':
			it.Won, ok = true, false
		case 'X', 'Z', 'b':
			ok = false
		}
	}
	return it, ok && it.Unique != 0
}
