package protocol

import (
	"bytes"
	"encoding/base64"
)

// The meta commands' bounds.
const (
	maxOpaque = 32 // bytes of the O token, its O included (MFLAG_MAX_OPAQUE_LENGTH)
	// Flags on one line. 1.6.18 counts the verb, the key, datalen and a closing token towards its MFLAG_MAX_OPT_LENGTH of 20,
	// and does not swallow ms's data block past it; newest memcached takes one flag more.
	maxMetaFlags    = 17
	maxMetaSetFlags = 16
)

// parseMeta parses <key> <flags>* of mg, md, ma, and <key> <datalen> <flags>* of ms. What is wrong with single flags is left
// to the backend where every version answers one line for it (and swallows ms's data block); refused are repeated flags,
// tokens that newest memcached's tokenizer stops at, and what the proxy itself must understand: b and O.
func (req *Request) parseMeta(rest []byte) {
	key, rest := NextKey(rest)
	most := maxMetaFlags
	if req.Verb == MetaSet {
		var size number
		var ok bool
		size, rest = takeNumber(rest)
		if req.ValueLen, ok = size.size(); !ok {
			req.refuse(BadFormat, false)
			return
		}
		most = maxMetaSetFlags
	}
	if key == nil {
		req.refuse(BadFormat, false)
		return
	}
	refusal := ""
	if len(key) > MaxKeyLen {
		refusal = BadFormat
	} else {
		req.RawKey, req.Key = key, key
		req.MetaFlags = trim(rest)
		refusal = req.scanFlags(most)
	}
	if refusal == "" {
		return
	}
	if req.Verb == MetaArithmetic && refusal != OpaqueTooLong {
		refusal = InvalidFlag // ma has one text for whatever the flags' parser finds
	}
	req.refuse(refusal, false)
}

// scanFlags checks MetaFlags, sets the fields that come from them, and gives the answer if the line is to be refused.
func (req *Request) scanFlags(most int) (refusal string) {
	var seen [2]uint64 // flags so far, a bit each
	count := 0
	opaqueTooLong := false
	for flag, arg, rest := NextFlag(req.MetaFlags); flag != 0; flag, arg, rest = NextFlag(rest) {
		if count++; count > most {
			return TooManyFlags
		}
		if !('A' <= flag && flag <= 'z' || '0' <= flag && flag <= '9') {
			return BadFormat // mcmc_tokenize stops here
		}
		if seen[flag>>6]&(1<<(flag&63)) != 0 {
			return DuplicateFlag
		}
		seen[flag>>6] |= 1 << (flag & 63)
		switch flag {
		case 'b':
			req.Base64 = true
		case 'k':
			req.ReturnKey = true
		case 'q':
			req.NoReply = true
		case 'O':
			req.Opaque = arg
			opaqueTooLong = len(arg)+1 > maxOpaque
		case 'M':
			if len(arg) > 0 {
				req.Mode = arg[0]
			}
		}
	}
	if req.Base64 && !req.decodeKey() {
		return BadBase64
	}
	if opaqueTooLong {
		return OpaqueTooLong
	}
	return ""
}

// parseMetaDebug parses <key> <flags>* of me, which reads no flag but a b that is the first. 1.6.18 answers with the decoded key
// as it is: one that holds a line end would put answers of its own into the stream.
func (req *Request) parseMetaDebug(rest []byte) {
	key, rest := NextKey(rest)
	if len(key) == 0 || len(key) > MaxKeyLen {
		req.refuse(BadFormat, false)
		return
	}
	req.RawKey, req.Key = key, key
	req.MetaFlags = trim(rest)
	if first, _ := NextKey(rest); string(first) == "b" {
		req.Base64 = true
		if !req.decodeKey() || bytes.IndexByte(req.Key, '\n') >= 0 {
			req.refuse(BadFormat, false)
		}
	}
}

// decodeKey decodes RawKey into Key. It is stricter than memcached, which skips bytes that are not of the alphabet.
func (req *Request) decodeKey() bool {
	// Decode skips CR.
	if bytes.IndexByte(req.RawKey, '\r') >= 0 {
		return false
	}
	if len(req.RawKey)%4 != 0 {
		return false
	}
	n, err := base64.StdEncoding.Decode(req.decoded[:], req.RawKey)
	if err != nil || n == 0 {
		return false
	}
	req.Key = req.decoded[:n:n]
	return true
}
