package placement

import (
	"bytes"
	"strconv"
	"time"

	"mcproxy/protocol"
)

// absolute is the exptime from which on it is a time, not a number of seconds (memcached.c, REALTIME_MAXDELTA).
const absolute = 60 * 60 * 24 * 30

// CapTTL shortens the lifetime that a request gives an item to at most ttl. req's meta flags are replaced, not written into.
func CapTTL(req *protocol.Request, ttl time.Duration) {
	limit := int64(max(1, ttl/time.Second))
	switch req.Verb {
	case protocol.Set, protocol.Add, protocol.Replace, protocol.Append, protocol.Prepend, protocol.CAS, protocol.Touch, protocol.Gat, protocol.Gats:
		req.Exptime = int32(capExptime(int64(req.Exptime), limit))
	case protocol.MetaSet:
		req.MetaFlags = capFlags(req.MetaFlags, limit, true)
	case protocol.MetaGet, protocol.MetaArithmetic, protocol.MetaDelete:
		req.MetaFlags = capFlags(req.MetaFlags, limit, false)
	}
}

// capExptime caps an exptime as clients write it: 0 is for ever, less is expired.
func capExptime(exptime, limit int64) int64 {
	left := exptime
	if exptime > absolute {
		if left = exptime - time.Now().Unix(); left <= 0 {
			return exptime
		}
	}
	if exptime == 0 || left > limit {
		return limit
	}
	return exptime
}

// capFlags caps the T and N of meta flags, which stand with one blank before each; T is added if it is needed.
func capFlags(flags []byte, limit int64, needsT bool) []byte {
	var out []byte
	for tok, rest := protocol.NextKey(flags); tok != nil; tok, rest = protocol.NextKey(rest) {
		out = append(out, ' ')
		if tok[0] != 'T' && tok[0] != 'N' {
			out = append(out, tok...)
			continue
		}
		needsT = needsT && tok[0] != 'T'
		n, err := strconv.ParseInt(string(tok[1:]), 10, 32)
		if err != nil { // for the backend to refuse
			out = append(out, tok...)
			continue
		}
		out = strconv.AppendInt(append(out, tok[0]), capExptime(n, limit), 10)
	}
	if needsT {
		out = strconv.AppendInt(append(out, " T"...), limit, 10)
	}
	return bytes.TrimPrefix(out, []byte(" "))
}
