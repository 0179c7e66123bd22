package protocol

import (
	"bytes"
	"errors"
	"math"
)

// The bounds of the protocol.
const (
	MaxKeyLen   = 250               // bytes of a key, on the line and base64 decoded
	MaxLineLen  = 2048              // bytes before a line's LF; get and gets may be longer
	MaxValueLen = math.MaxInt32 - 2 // bytes of a data block that memcached's parser takes
)

// What ends a client's stream: the conn must be closed after the answers still pending.
var (
	ErrLineTooLong = errors.New("command line too long") // over MaxLineLen, and not a get or gets
	ErrBinary      = errors.New("binary protocol")       // the first byte is 0x80
	ErrHTTP        = errors.New("HTTP request")          // an HTTP request line
)

// ParseRequest parses the command line that begins buf, and gives its length, its LF included. The data block of a
// storage verb is not part of it: see TakeValue. A line that no backend gets has the verb Refused.
//
// n == 0, err == nil: the line is incomplete, and req is not set. err != nil (ErrLineTooLong, ErrBinary, ErrHTTP): the
// stream cannot go on.
func ParseRequest(buf []byte, req *Request) (n int, err error) {
	if len(buf) > 0 && buf[0] == 0x80 {
		return 0, ErrBinary
	}
	i := bytes.IndexByte(buf, '\n')
	if i < 0 {
		if len(buf) > MaxLineLen && !unbounded(buf) {
			return 0, ErrLineTooLong
		}
		return 0, nil
	}
	// Every version takes one CR before the LF as part of the line's end, but not from a line that is nothing else.
	line := buf[:i]
	if i > 1 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	req.reset()
	if len(line) > 4 && string(line[:4]) == "get " {
		req.Verb = Get
		req.parseKeys(line[4:])
		return i + 1, nil
	}
	// The line goes out with CRLF and must be in bounds then.
	if len(line) >= MaxLineLen && !unbounded(line) {
		return 0, ErrLineTooLong
	}
	if err := req.parseLine(line, i+1); err != nil {
		return 0, err
	}
	return i + 1, nil
}

// unbounded says whether a line that begins so may be of any length. (memcached's try_read_command_ascii)
func unbounded(line []byte) bool {
	return len(line) > 5 && (string(line[:4]) == "get " || string(line[:5]) == "gets ")
}

// parseLine parses a line without its end; size is its length with it.
func (req *Request) parseLine(line []byte, size int) error {
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		i = len(line)
	}
	word, rest := line[:i], line[i:]
	req.Verb = lookup(word)
	switch req.Verb {
	case Refused:
		return req.parseUnknown(word, line, size)
	case Get, Gets:
		req.parseKeys(rest)
		return nil
	case Gat, Gats:
		req.parseTouchKeys(rest)
		return nil
	case Set, Add, Replace, Append, Prepend, CAS:
		req.parseStorage(rest)
	case Delete:
		req.parseDelete(rest)
	case Incr, Decr, Touch:
		req.parseNumeric(rest)
	case MetaGet, MetaSet, MetaDelete, MetaArithmetic:
		req.parseMeta(rest)
	case MetaDebug:
		req.parseMetaDebug(rest)
	case Stats:
		req.Arg = trim(rest)
	case FlushAll:
		req.parseFlushAll(rest)
	case Verbosity:
		req.parseVerbosity(rest)
	}
	// Up to 1.6.40 a line ends at a NUL, and after that NUL is a byte like others.
	if bytes.IndexByte(rest, 0) >= 0 && req.Verb != Refused {
		req.refuse(BadFormat, req.NoReply && !req.Verb.IsMeta())
	}
	return nil
}

// lookup gives the verb of a word, Refused if it is none or none that is forwarded.
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

// parseUnknown answers a line whose first word is no verb, or one that a proxy does not forward because it speaks of one
// server and not of a pool. Newest memcached looks for noreply on these lines too (_process_request_unknown).
func (req *Request) parseUnknown(word, line []byte, size int) error {
	switch string(word) {
	case "watch":
		req.refuse(NotAllowed, false)
		return nil
	case "shutdown", "cache_memlimit", "slabs", "lru", "lru_crawler", "refresh_certs", "extstore", "debugtime", "debugitem",
		"misbehave":
		req.refuse(NotAllowed, endsNoReply(line))
		return nil
	}
	if size < 4 { // process_request's bound
		req.refuse(BadFormat, false)
		return nil
	}
	if last := lastToken(line); len(last) < len(trim(line)) && bytes.HasPrefix(last, []byte("HTTP/")) {
		return ErrHTTP
	}
	req.refuse(Error, endsNoReply(line))
	return nil
}
