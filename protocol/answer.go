package protocol

import "encoding/base64"

// The constant answers, CRLF included.
const (
	End       = "END\r\n"
	Stored    = "STORED\r\n"
	NotStored = "NOT_STORED\r\n"
	Exists    = "EXISTS\r\n"
	NotFound  = "NOT_FOUND\r\n"
	Deleted   = "DELETED\r\n"
	Touched   = "TOUCHED\r\n"
	OK        = "OK\r\n"
	Noop      = "MN\r\n"

	Error         = "ERROR\r\n"
	BadFormat     = "CLIENT_ERROR bad command line format\r\n"
	BadDataChunk  = "CLIENT_ERROR bad data chunk\r\n"
	BadExptime    = "CLIENT_ERROR invalid exptime argument\r\n"
	BadDelta      = "CLIENT_ERROR invalid numeric delta argument\r\n"
	BadBase64     = "CLIENT_ERROR error decoding key\r\n"
	DuplicateFlag = "CLIENT_ERROR duplicate flag\r\n"
	InvalidFlag   = "CLIENT_ERROR invalid or duplicate flag\r\n"
	TooManyFlags  = "CLIENT_ERROR options flags are too long\r\n"
	OpaqueTooLong = "CLIENT_ERROR opaque token too long\r\n"
	NotAllowed    = "CLIENT_ERROR command not allowed through a proxy\r\n"
	TooLarge      = "SERVER_ERROR object too large for cache\r\n"

	Unauthenticated = "CLIENT_ERROR unauthenticated\r\n"
	BadLogin        = "CLIENT_ERROR bad authentication token format\r\n"
	LoginFailed     = "CLIENT_ERROR authentication failure\r\n"
	VerbForbidden   = "CLIENT_ERROR command not permitted on this listener\r\n"
	KeyForbidden    = "CLIENT_ERROR key not permitted on this listener\r\n"
)

// Suppressed says whether the answer of that status to a quiet request (NoReply) of that verb is not sent to the client.
// To a classic verb that is every answer, errors included. To a meta command it is the nominal one only: EN of mg, HD of ms,
// md and ma, and ma's VA; NF, NS, EX and errors are sent. (Measured with 1.6.18. It answers "ma … N q" when that creates
// the item, which cannot be told from an increment here; newest memcached is silent then too.)
func Suppressed(v Verb, s Status) bool {
	switch v {
	case MetaGet:
		return s == StatusMiss
	case MetaSet, MetaDelete:
		return s == StatusOK
	case MetaArithmetic:
		return s == StatusOK || s == StatusHit
	case MetaDebug, MetaNoop:
		return false
	}
	return true
}

// AppendMiss appends what a client is told when its request could not be carried out and its pool answers failures as
// misses: END to retrievals; NOT_STORED to set, add, replace, append, prepend; NOT_FOUND to cas, incr, decr, touch, delete; EN to
// mg and me, NS to ms, NF to md and ma, with the flags that memcached returns with that code (k and b, O, ms's c). Nothing
// is appended for other verbs, or when the request is quiet and memcached would not send that answer.
func AppendMiss(dst []byte, req *Request) []byte {
	switch req.Verb {
	case Get, Gets, Gat, Gats:
		return append(dst, End...)
	case Set, Add, Replace, Append, Prepend:
		if req.NoReply {
			return dst
		}
		return append(dst, NotStored...)
	case CAS, Delete, Incr, Decr, Touch:
		if req.NoReply {
			return dst
		}
		return append(dst, NotFound...)
	case MetaGet:
		if req.NoReply {
			return dst
		}
		return appendMetaMiss(dst, req, "EN")
	case MetaSet:
		return appendMetaMiss(dst, req, "NS")
	case MetaDelete, MetaArithmetic:
		return appendMetaMiss(dst, req, "NF")
	case MetaDebug:
		return append(dst, "EN\r\n"...)
	}
	return dst
}

// appendMetaMiss appends the code and the flags that are returned with it, in the order of the request's.
func appendMetaMiss(dst []byte, req *Request, code string) []byte {
	dst = append(dst, code...)
	for flag, arg, rest := NextFlag(req.MetaFlags); flag != 0; flag, arg, rest = NextFlag(rest) {
		switch {
		case flag == 'O':
			dst = append(dst, " O"...)
			dst = append(dst, arg...)
		case flag == 'k' && req.Base64:
			dst = append(dst, " k"...)
			dst = base64.StdEncoding.AppendEncode(dst, req.Key)
			dst = append(dst, " b"...)
		case flag == 'k':
			dst = append(dst, " k"...)
			dst = append(dst, req.Key...)
		case flag == 'c' && req.Verb == MetaSet:
			dst = append(dst, " c0"...)
		}
	}
	return append(dst, '\r', '\n')
}
