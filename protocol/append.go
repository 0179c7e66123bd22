package protocol

import (
	"bytes"
	"strconv"
)

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

// EchoesKey says whether a meta answer's k and b are added by who sends the request (see AppendEcho), and not asked for: 1.6.18
// sometimes forgets that a key came as base64 (after ms's append modes, or an item that mg's N made), and would print one
// with a line end in it as it is.
func (req *Request) EchoesKey() bool {
	return req.Base64 && req.ReturnKey && req.Verb != MetaDebug && bytes.IndexByte(req.Key, '\n') >= 0
}

// An Echo is what EchoesKey keeps from the backend: where a key and its b come in the answer, and which key.
type Echo struct {
	rawKey []byte
	after  [4]uint64 // a bit for each flag whose place in the answer is behind the key's
}

// Echo gives what AppendEcho needs. It is of use when EchoesKey says so; it outlives the request.
func (req *Request) Echo() *Echo {
	e := &Echo{rawKey: bytes.Clone(req.RawKey)}
	behind := false
	for f, _, rest := NextFlag(req.MetaFlags); f != 0; f, _, rest = NextFlag(rest) {
		if behind {
			e.after[f>>6] |= 1 << (f & 63)
		}
		behind = behind || f == 'k'
	}
	for _, f := range []byte("WXZ") { // these end every answer
		e.after[f>>6] |= 1 << (f & 63)
	}
	return e
}

// AppendEcho appends the answer raw, whose first line is line, with the key and its b where memcached would have them.
func AppendEcho(dst, raw, line []byte, e *Echo) []byte {
	code, rest := NextKey(line)
	dst = append(dst, code...)
	if string(code) == "VA" {
		var size []byte
		size, rest = NextKey(rest)
		dst = append(append(dst, ' '), size...)
	}
	put := false
	echo := func() {
		dst = append(append(append(dst, " k"...), e.rawKey...), " b"...)
		put = true
	}
	for tok, rest := NextKey(rest); tok != nil; tok, rest = NextKey(rest) {
		if !put && e.after[tok[0]>>6]&(1<<(tok[0]&63)) != 0 {
			echo()
		}
		dst = append(append(dst, ' '), tok...)
	}
	if !put {
		echo()
	}
	return append(dst, raw[len(line):]...)
}

func appendMeta(dst []byte, req *Request) []byte {
	echo := req.EchoesKey()
	dst = appendWord(dst, req.Verb, req.RawKey)
	if req.Verb == MetaSet {
		dst = appendUint(dst, uint64(req.ValueLen))
	}
	for tok, rest := NextKey(req.MetaFlags); tok != nil; tok, rest = NextKey(rest) {
		if tok[0] == 'q' && req.NoReply || tok[0] == 'k' && echo {
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
