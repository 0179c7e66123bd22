package split

import (
	"strconv"

	"mcproxy/protocol"
)

// An Item is what a client is told of: its own flags and value, and the cas number (for a split value, Manifest.Unique, or that of
// the manifest).
type Item struct {
	Flags  uint32
	Unique uint64 // 0: not known, or as on the line that AppendMetaHead gets
	Value  []byte
}

// AppendHead appends the line before the value in the answer to a classic retrieval: "VALUE <key> <flags> <bytes>", with
// the cas number for Gets and Gats, and CRLF. The value and CRLF follow, and END after the last of a request.
func (it *Item) AppendHead(dst []byte, verb protocol.Verb, key []byte) []byte {
	dst = append(dst, "VALUE "...)
	dst = append(dst, key...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(it.Flags), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(len(it.Value)), 10)
	if verb == protocol.Gets || verb == protocol.Gats {
		dst = append(dst, ' ')
		dst = strconv.AppendUint(dst, it.Unique, 10)
	}
	return append(dst, '\r', '\n')
}

// AppendValue appends the whole of it: AppendHead's line, the value and CRLF.
func (it *Item) AppendValue(dst []byte, verb protocol.Verb, key []byte) []byte {
	dst = it.AppendHead(dst, verb, key)
	dst = append(dst, it.Value...)
	return append(dst, '\r', '\n')
}

// AppendMetaHead appends the line of the answer to a client's meta command, CRLF included. line is the line that a backend
// answered with (Response.Line) when it was asked for the item on the home server with the client's flags and those that
// AppendMetaFlags added. Size, flags and cas number become the item's; what the client did not ask for is left out; all
// else (ttl, key, opaque, W, X, Z …) stays as it is and where it is, and so do errors. data says that the line begins with VA, because
// the client asked a mg for the value: it and CRLF follow. An Item with a Unique (not 0) was read later than line, and has its
// own cas number.
func (it *Item) AppendMetaHead(dst []byte, req *protocol.Request, line []byte) (head []byte, data bool) {
	code, rest := protocol.NextKey(line)
	if len(code) != 2 { // an error's words are no flags
		dst = append(dst, line...)
		return append(dst, '\r', '\n'), false
	}
	switch string(code) {
	case "VA":
		_, rest = protocol.NextKey(rest) // the size of what the backend sent
		fallthrough
	case "HD":
		if data = req.Verb == protocol.MetaGet && protocol.HasFlag(req.MetaFlags, 'v'); data {
			dst = append(dst, "VA "...)
			dst = strconv.AppendUint(dst, uint64(len(it.Value)), 10)
		} else {
			dst = append(dst, "HD"...)
		}
	default:
		dst = append(dst, code...)
	}
	for token, rest := protocol.NextKey(rest); token != nil; token, rest = protocol.NextKey(rest) {
		letter := token[0]
		// Small letters are echoes of what was asked for, by the client or for the proxy; but a b comes unasked behind the k of a
		// key that was stored in base64. W, X and Z the server says by itself.
		if 'a' <= letter && letter <= 'z' && letter != 'b' && !protocol.HasFlag(req.MetaFlags, letter) {
			continue
		}
		dst = append(dst, ' ')
		switch letter {
		case 's':
			dst = strconv.AppendUint(append(dst, 's'), uint64(len(it.Value)), 10)
		case 'f':
			dst = strconv.AppendUint(append(dst, 'f'), uint64(it.Flags), 10)
		case 'c':
			if it.Unique == 0 {
				dst = append(dst, token...)
				continue
			}
			dst = strconv.AppendUint(append(dst, 'c'), it.Unique, 10)
		default:
			dst = append(dst, token...)
		}
	}
	return append(dst, '\r', '\n'), data
}

// AppendMetaFlags appends a meta command's flags (Request.MetaFlags), followed by those of letters that are not among them:
// "fv" for a mg whose answer may have to be put together here.
func AppendMetaFlags(dst, flags []byte, letters string) []byte {
	dst = append(dst, flags...)
	for _, letter := range []byte(letters) {
		if !protocol.HasFlag(flags, letter) {
			dst = append(dst, ' ', letter)
		}
	}
	return dst
}

// maxMetaSetFlags is how many flags a line of ms may have. Past it memcached 1.6.18 refuses the line without taking the data block.
const maxMetaSetFlags = 16

// AppendMetaSetFlags appends a ms's flags (Request.MetaFlags) with the client flags F<client> instead of its own, for the
// manifest or wrapped value that is sent in place of the client's. ok is false if the line would have too many; then some are
// flags that memcached does not know, and the client's line may be sent as it is, which memcached refuses.
func AppendMetaSetFlags(dst, flags []byte, client uint32) (list []byte, ok bool) {
	count := 1
	dst = strconv.AppendUint(append(dst, 'F'), uint64(client), 10)
	for token, rest := protocol.NextKey(flags); token != nil; token, rest = protocol.NextKey(rest) {
		if token[0] == 'F' {
			continue
		}
		count++
		dst = append(dst, ' ')
		dst = append(dst, token...)
	}
	return dst, count <= maxMetaSetFlags
}

// ClientFlags are the client flags that a storage command gives its item, as memcached reads them. ok is false for a ms
// whose F memcached refuses (CLIENT_ERROR bad command line format).
//
// What a backend reads in an F of odd form ("F+5", "F4294967301") is up to its version. So that none of them reads
// ReservedFlags, a ms with an F is sent with AppendMetaSetFlags and what this gives.
func ClientFlags(req *protocol.Request) (flags uint32, ok bool) {
	if req.Verb != protocol.MetaSet {
		return req.ClientFlags, true
	}
	for letter, arg, rest := protocol.NextFlag(req.MetaFlags); letter != 0; letter, arg, rest = protocol.NextFlag(rest) {
		if letter == 'F' {
			v, ok := number(arg)
			return uint32(v), ok
		}
	}
	return 0, true
}
