package protocol

import "strconv"

// AppendRequest appends the canonical line (single blanks, CRLF) and data block that a backend gets. noreply and q are
// left out, so that every request has exactly one answer, in the verb's Shape. For retrievals: all of Keys. Verb must not
// be Refused; a storage verb's Value must have been taken.
func AppendRequest(dst []byte, req *Request) []byte {
	switch v := req.Verb; v {
	case Get, Gets, Gat, Gats:
		dst = AppendRetrieval(dst, v, req.Exptime)
		if req.NumKeys == 1 {
			dst = append(dst, ' ')
			dst = append(dst, req.Key...)
			return append(dst, '\r', '\n')
		}
		return append(appendTokens(dst, req.Keys), '\r', '\n')
	case Set, Add, Replace, Append, Prepend, CAS:
		return appendStorage(dst, req)
	case Delete:
		if len(req.Arg) == 0 {
			return AppendDelete(dst, req.Key)
		}
		dst = appendTokens(appendWord(dst, Delete, req.Key), req.Arg)
	case Incr, Decr:
		dst = appendWord(dst, v, req.Key)
		dst = appendUint(dst, req.Delta)
	case Touch:
		dst = appendWord(dst, v, req.Key)
		dst = appendInt(dst, int64(req.Exptime))
	case MetaGet, MetaSet, MetaDelete, MetaArithmetic, MetaDebug:
		return appendMeta(dst, req)
	case FlushAll:
		dst = append(dst, verbNames[v]...)
		if req.Exptime != 0 {
			dst = appendInt(dst, int64(req.Exptime))
		}
	case Verbosity:
		dst = append(dst, verbNames[v]...)
		dst = appendUint(dst, req.Delta)
	default:
		dst = append(dst, verbNames[v]...)
		dst = appendTokens(dst, req.Arg)
	}
	return append(dst, '\r', '\n')
}

// AppendRetrieval begins a retrieval line without keys ("get", "gat 60"): the caller appends a blank and a key for each,
// and CRLF.
func AppendRetrieval(dst []byte, verb Verb, exptime int32) []byte {
	dst = append(dst, verbNames[verb]...)
	if verb == Gat || verb == Gats {
		dst = appendInt(dst, int64(exptime))
	}
	return dst
}

// AppendDelete appends "delete <key>" and CRLF. key must be one that a classic line can carry (see TextKey): another is
// deleted by md, with base64.
func AppendDelete(dst, key []byte) []byte {
	dst = appendWord(dst, Delete, key)
	if string(key) == "noreply" {
		// Newest memcached would take the key for noreply too, and not answer. The 0 is ignored.
		dst = append(dst, " 0"...)
	}
	return append(dst, '\r', '\n')
}

func appendStorage(dst []byte, req *Request) []byte {
	dst = appendWord(dst, req.Verb, req.Key)
	dst = appendUint(dst, uint64(req.ClientFlags))
	dst = appendInt(dst, int64(req.Exptime))
	dst = appendUint(dst, uint64(req.ValueLen))
	if req.Verb == CAS {
		dst = appendUint(dst, req.Unique)
	}
	dst = append(dst, '\r', '\n')
	dst = append(dst, req.Value...)
	return append(dst, '\r', '\n')
}

func appendMeta(dst []byte, req *Request) []byte {
	dst = appendWord(dst, req.Verb, req.RawKey)
	if req.Verb == MetaSet {
		dst = appendUint(dst, uint64(req.ValueLen))
	}
	for tok, rest := NextKey(req.MetaFlags); tok != nil; tok, rest = NextKey(rest) {
		if tok[0] == 'q' && req.NoReply {
			continue
		}
		dst = append(dst, ' ')
		dst = append(dst, tok...)
	}
	dst = append(dst, '\r', '\n')
	if req.Verb == MetaSet {
		dst = append(dst, req.Value...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// appendWord appends the verb and the key.
func appendWord(dst []byte, v Verb, key []byte) []byte {
	dst = append(dst, verbNames[v]...)
	dst = append(dst, ' ')
	return append(dst, key...)
}

// appendTokens appends each token of a list with one blank before it.
func appendTokens(dst, list []byte) []byte {
	for tok, rest := NextKey(list); tok != nil; tok, rest = NextKey(rest) {
		dst = append(dst, ' ')
		dst = append(dst, tok...)
	}
	return dst
}

// appendUint appends a blank and a number.
func appendUint(dst []byte, v uint64) []byte {
	if v < 10 {
		return append(dst, ' ', '0'+byte(v))
	}
	return strconv.AppendUint(append(dst, ' '), v, 10)
}

// appendInt appends a blank and a number.
func appendInt(dst []byte, v int64) []byte {
	if 0 <= v && v < 10 {
		return append(dst, ' ', '0'+byte(v))
	}
	return strconv.AppendInt(append(dst, ' '), v, 10)
}
