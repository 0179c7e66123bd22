package protocol

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
	MetaNop   = "MN\r\n"

	Error           = "ERROR\r\n"
	BadFormat       = "CLIENT_ERROR bad command line format\r\n"
	BadDataChunk    = "CLIENT_ERROR bad data chunk\r\n"
	BadExptime      = "CLIENT_ERROR invalid exptime argument\r\n"
	BadDelta        = "CLIENT_ERROR invalid numeric delta argument\r\n"
	BadBase64       = "CLIENT_ERROR error decoding key\r\n"
	BadToken        = "CLIENT_ERROR bad token in command line format\r\n"
	DuplicateFlag   = "CLIENT_ERROR duplicate flag\r\n"
	TooManyFlags    = "CLIENT_ERROR options flags are too long\r\n"
	OpaqueTooLong   = "CLIENT_ERROR opaque token too long\r\n"
	InvalidMetaFlag = "CLIENT_ERROR invalid flag\r\n"
	NotAllowed      = "CLIENT_ERROR command not allowed through a proxy\r\n"
	TooLarge        = "SERVER_ERROR object too large for cache\r\n"
	OutOfMemory     = "SERVER_ERROR out of memory storing object\r\n"
)

// Suppressed says whether the answer of that status to a quiet request (NoReply) of that verb is not sent to the client:
// every answer to a classic verb, errors included; to a meta command, the nominal answer only, never an error.
func Suppressed(v Verb, s Status) bool {
	switch v {
	case MetaGet:
		return s == StatusMiss
	case MetaSet:
		return s == StatusOK
	case MetaDelete:
		return s == StatusOK || s == StatusNotFound
	case MetaArithmetic:
		return s == StatusOK || s == StatusHit || s == StatusNotFound
	case MetaDebug, MetaNoop:
		return false
	}
	return true
}

// AppendMiss appends what a client is told when its request could not be carried out and its pool answers failures as
// misses. Nothing is appended when the request is quiet and memcached would be silent.
func AppendMiss(dst []byte, req *Request) []byte {
	var code string
	var status Status
	switch req.Verb {
	case Get, Gets, Gat, Gats:
		return append(dst, End...)
	case Set, Add, Replace, Append, Prepend:
		code, status = NotStored, StatusNotStored
	case CAS, Delete, Incr, Decr, Touch:
		code, status = NotFound, StatusNotFound
	case MetaGet, MetaDebug:
		code, status = "EN", StatusMiss
	case MetaSet:
		code, status = "NS", StatusNotStored
	case MetaDelete, MetaArithmetic:
		code, status = "NF", StatusNotFound
	default:
		return dst
	}
	if req.NoReply && Suppressed(req.Verb, status) {
		return dst
	}
	dst = append(dst, code...)
	if !req.Verb.IsMeta() {
		return dst
	}
	return append(dst, '\r', '\n')
}
