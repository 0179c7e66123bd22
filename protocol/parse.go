package protocol

import (
	"bytes"
	"errors"
)

// The bounds of the protocol.
const (
	MaxKeyLen  = 250  // bytes of a key, in base64 too
	MaxLineLen = 2048 // bytes of a line up to its LF; get and gets may be longer

	maxMetaFlags = 20
	maxOpaque    = 32
)

// What ends a client's stream: the conn must be closed after the answers still pending.
var (
	ErrLineTooLong = errors.New("command line too long") // over MaxLineLen bytes, and not a get or gets
	ErrBinary      = errors.New("binary protocol")       // the first byte is 0x80
	ErrHTTP        = errors.New("HTTP request")          // an HTTP request line
)

// ParseRequest parses the command line that begins buf, and gives its length, its LF included. The data block of a
// storage verb is not part of it: see TakeValue.
//
// n == 0, err == nil: the line is incomplete. err != nil: the stream cannot go on.
func ParseRequest(buf []byte, req *Request) (n int, err error) {
	if len(buf) == 0 {
		return 0, nil
	}
	if buf[0] == 0x80 {
		return 0, ErrBinary
	}
	i := bytes.IndexByte(buf, '\n')
	if i < 0 {
		if len(buf) > MaxLineLen && !unbounded(buf) {
			return 0, ErrLineTooLong
		}
		return 0, nil
	}
	line := buf[:i]
	if i > 1 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	if len(line) >= MaxLineLen && !unbounded(line) {
		return 0, ErrLineTooLong
	}
	req.reset()
	word, rest := line, []byte(nil)
	if j := bytes.IndexByte(line, ' '); j >= 0 {
		word, rest = line[:j], line[j+1:]
	}
	if bytes.IndexByte(line, 0) >= 0 {
		req.refuse(BadFormat, -1)
		return i + 1, nil
	}
	req.Verb = lookup(word)
	switch v := req.Verb; {
	case v == Refused:
		return i + 1, req.parseUnknown(word, rest)
	case v.IsRetrieval():
		req.parseRetrieval(rest)
	case v == MetaNoop, v == Version, v == Quit:
	case v.IsMeta():
		req.parseMeta(rest)
	case v.IsStorage():
		req.parseStorage(rest)
	case v == Stats:
		req.Arg = trim(rest)
	default:
		req.parseSimple(rest)
	}
	return i + 1, nil
}

// unbounded says whether a line of any length may begin so.
func unbounded(line []byte) bool {
	return len(line) > 5 && (string(line[:4]) == "get " || string(line[:5]) == "gets ")
}

func lookup(word []byte) Verb {
	switch string(word) {
	case "get":
		return Get
	case "gets":
		return Gets
	case "gat":
		return Gat
	case "gats":
		return Gats
	case "set":
		return Set
	case "add":
		return Add
	case "replace":
		return Replace
	case "append":
		return Append
	case "prepend":
		return Prepend
	case "cas":
		return CAS
	case "delete":
		return Delete
	case "incr":
		return Incr
	case "decr":
		return Decr
	case "touch":
		return Touch
	case "mg":
		return MetaGet
	case "ms":
		return MetaSet
	case "md":
		return MetaDelete
	case "ma":
		return MetaArithmetic
	case "me":
		return MetaDebug
	case "mn":
		return MetaNoop
	case "version":
		return Version
	case "verbosity":
		return Verbosity
	case "quit":
		return Quit
	case "stats":
		return Stats
	case "flush_all":
		return FlushAll
	}
	return Refused
}

func (req *Request) parseUnknown(word, rest []byte) error {
	switch string(word) {
	case "shutdown", "cache_memlimit", "slabs", "lru", "lru_crawler", "watch", "refresh_certs", "extstore", "debugtime",
		"misbehave":
		req.refuse(NotAllowed, -1)
		return nil
	}
	rest = trim(rest)
	if i := bytes.LastIndexByte(rest, ' '); i >= 0 && bytes.HasPrefix(rest[i+1:], []byte("HTTP/")) {
		return ErrHTTP
	}
	req.refuse(Error, -1)
	return nil
}

func trim(s []byte) []byte {
	for len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	if len(s) == 0 {
		return nil
	}
	return s
}

// NextKey splits the first key off a list of keys separated by blanks. key is nil at the end.
func NextKey(keys []byte) (key, rest []byte) {
	for len(keys) > 0 && keys[0] == ' ' {
		keys = keys[1:]
	}
	if len(keys) == 0 {
		return nil, nil
	}
	if i := bytes.IndexByte(keys, ' '); i >= 0 {
		return keys[:i:i], keys[i+1:]
	}
	return keys, nil
}

// NextFlag splits the first token off a list of meta flags: its letter and its argument, which may be empty. flag is 0
// at the end.
func NextFlag(flags []byte) (flag byte, arg, rest []byte) {
	tok, rest := NextKey(flags)
	if tok == nil {
		return 0, nil, nil
	}
	return tok[0], tok[1:], rest
}

func (req *Request) parseRetrieval(rest []byte) {
	if req.Verb == Gat || req.Verb == Gats {
		var tok []byte
		tok, rest = NextKey(rest)
		var ok bool
		req.Exptime, ok = parseInt32(tok)
		if len(trim(rest)) == 0 {
			req.refuse(BadFormat, -1)
			return
		}
		if !ok {
			req.refuse(BadExptime, -1)
			return
		}
	}
	req.Keys = trim(rest)
	key, rest := NextKey(req.Keys)
	if key == nil {
		req.refuse(BadFormat, -1)
		return
	}
	req.Key = key
	for key != nil {
		if len(key) > MaxKeyLen {
			req.refuse(BadFormat, -1)
			return
		}
		req.NumKeys++
		key, rest = NextKey(rest)
	}
}

// lastIsNoReply says whether the line's last token is noreply.
func lastIsNoReply(rest []byte) bool {
	rest = trim(rest)
	if i := bytes.LastIndexByte(rest, ' '); i >= 0 {
		rest = rest[i+1:]
	}
	return string(rest) == "noreply"
}

func (req *Request) parseStorage(rest []byte) {
	key, rest := NextKey(rest)
	flags, rest := NextKey(rest)
	exptime, rest := NextKey(rest)
	size, rest := NextKey(rest)
	if size == nil {
		req.refuse(BadFormat, -1)
		return
	}
	req.NoReply = lastIsNoReply(rest)
	n, ok := parseInt32(size)
	if !ok || n < 0 || n > 1<<31-1-2 {
		req.refuse(BadFormat, -1)
		return
	}
	req.ValueLen = int(n)
	var ok1, ok2 bool
	req.ClientFlags, ok1 = parseUint32(flags)
	req.Exptime, ok2 = parseInt32(exptime)
	ok3 := true
	if req.Verb == CAS {
		unique, _ := NextKey(rest)
		req.Unique, ok3 = parseUint64(unique)
	}
	if !ok1 || !ok2 || !ok3 || len(key) > MaxKeyLen {
		req.refuse(BadFormat, int(n))
		return
	}
	req.Key = key
}

func (req *Request) parseSimple(rest []byte) {
	req.NoReply = lastIsNoReply(rest)
	arg1, rest := NextKey(rest)
	arg2, _ := NextKey(rest)
	ok := true
	switch req.Verb {
	case FlushAll:
		if arg1 != nil && string(arg1) != "noreply" {
			if req.Exptime, ok = parseInt32(arg1); !ok {
				req.refuse(BadExptime, -1)
			}
		}
		return
	case Verbosity:
		if arg1 == nil {
			req.refuse(Error, -1)
			return
		}
		req.Arg = arg1
		return
	}
	if arg1 == nil || len(arg1) > MaxKeyLen {
		req.refuse(BadFormat, -1)
		return
	}
	req.Key = arg1
	if req.Verb == Delete {
		return
	}
	if arg2 == nil {
		req.refuse(BadFormat, -1)
		return
	}
	if req.Verb == Touch {
		if req.Exptime, ok = parseInt32(arg2); !ok {
			req.refuse(BadExptime, -1)
		}
		return
	}
	if req.Delta, ok = parseUint64(arg2); !ok {
		req.refuse(BadDelta, -1)
	}
}
