package protocol

import "strconv"

// AppendRequest appends the canonical line (single blanks, CRLF) and data block that a backend gets: noreply and q are
// left out, so that every request has exactly one answer. For retrievals: all of Keys. Verb must not be Refused.
func AppendRequest(dst []byte, req *Request) []byte {
	switch v := req.Verb; v {
	case Get, Gets, Gat, Gats:
		dst = AppendRetrieval(dst, v, req.Exptime)
		for key, rest := NextKey(req.Keys); key != nil; key, rest = NextKey(rest) {
			dst = append(dst, ' ')
			dst = append(dst, key...)
		}
		return append(dst, '\r', '\n')
	case Set, Add, Replace, Append, Prepend, CAS:
		return appendStorage(dst, req)
	case Delete, Incr, Decr, Touch:
		dst = append(dst, verbNames[v]...)
		dst = append(dst, ' ')
		dst = append(dst, req.Key...)
		switch v {
		case Incr, Decr:
			dst = append(dst, ' ')
			dst = strconv.AppendUint(dst, req.Delta, 10)
		case Touch:
			dst = append(dst, ' ')
			dst = strconv.AppendInt(dst, int64(req.Exptime), 10)
		}
		return append(dst, '\r', '\n')
	case MetaGet, MetaSet, MetaDelete, MetaArithmetic, MetaDebug:
		return appendMeta(dst, req)
	case FlushAll:
		dst = append(dst, "flush_all"...)
		if req.Exptime != 0 {
			dst = append(dst, ' ')
			dst = strconv.AppendInt(dst, int64(req.Exptime), 10)
		}
		return append(dst, '\r', '\n')
	default:
		dst = append(dst, verbNames[v]...)
		if len(req.Arg) > 0 {
			dst = append(dst, ' ')
			dst = append(dst, req.Arg...)
		}
		return append(dst, '\r', '\n')
	}
}

func appendStorage(dst []byte, req *Request) []byte {
	dst = append(dst, verbNames[req.Verb]...)
	dst = append(dst, ' ')
	dst = append(dst, req.Key...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(req.ClientFlags), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(req.Exptime), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(req.ValueLen), 10)
	if req.Verb == CAS {
		dst = append(dst, ' ')
		dst = strconv.AppendUint(dst, req.Unique, 10)
	}
	dst = append(dst, '\r', '\n')
	dst = append(dst, req.Value...)
	return append(dst, '\r', '\n')
}

func appendMeta(dst []byte, req *Request) []byte {
	dst = append(dst, verbNames[req.Verb]...)
	dst = append(dst, ' ')
	dst = append(dst, req.RawKey...)
	if req.Verb == MetaSet {
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(req.ValueLen), 10)
	}
	for tok, rest := NextKey(req.MetaFlags); tok != nil; tok, rest = NextKey(rest) {
		if tok[0] == 'q' {
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

// AppendRetrieval begins a retrieval line without keys ("get", "gat 60"): the caller appends " key" for each, and CRLF.
func AppendRetrieval(dst []byte, verb Verb, exptime int32) []byte {
	dst = append(dst, verbNames[verb]...)
	if verb == Gat || verb == Gats {
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(exptime), 10)
	}
	return dst
}

// AppendDelete appends "delete <key>\r\n".
func AppendDelete(dst, key []byte) []byte {
	dst = append(dst, "delete "...)
	dst = append(dst, key...)
	return append(dst, '\r', '\n')
}
