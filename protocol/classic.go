package protocol

import "bytes"

// The classic commands' arguments. Each parser gets what follows the verb; newest memcached's checks are
// made in its order, because the order decides whether a refusal is silent.

// parseKeys parses the keys of a retrieval.
func (req *Request) parseKeys(rest []byte) {
	key, more := NextKey(rest)
	if more == nil {
		// One key without a blank behind it: nearly every line.
		if len(key) == 0 || len(key) > MaxKeyLen || bytes.IndexByte(key, 0) >= 0 {
			req.refuse(BadFormat, false)
			return
		}
		req.Key, req.Keys, req.NumKeys = key, key, 1
		return
	}
	req.Key, req.Keys = key, trim(rest)
	for key != nil {
		if len(key) > MaxKeyLen {
			req.refuse(BadFormat, false)
			return
		}
		req.NumKeys++
		key, more = NextKey(more)
	}
	if bytes.IndexByte(rest, 0) >= 0 {
		req.refuse(BadFormat, false)
	}
}

// parseTouchKeys parses gat and gats: <exptime> <key>+.
func (req *Request) parseTouchKeys(rest []byte) {
	exptime, rest := takeNumber(rest)
	req.parseKeys(rest)
	if req.Verb == Refused {
		return
	}
	var ok bool
	if req.Exptime, ok = exptime.int32(); !ok {
		req.refuse(BadExptime, false)
	}
}

// parseStorage parses <key> <flags> <exptime> <bytes> [noreply], and cas's <cas> before noreply. More tokens are ignored.
func (req *Request) parseStorage(rest []byte) {
	key, rest := NextKey(rest)
	flags, rest := takeNumber(rest)
	exptime, rest := takeNumber(rest)
	size, rest := takeNumber(rest)
	var ok bool
	if req.ValueLen, ok = size.size(); !ok {
		req.refuse(BadFormat, false)
		return
	}
	if len(rest) > 0 {
		req.NoReply = endsNoReply(rest)
	}
	req.Key = key
	var okFlags, okExptime bool
	okUnique := true
	req.ClientFlags, okFlags = flags.uint32()
	req.Exptime, okExptime = exptime.int32()
	if req.Verb == CAS {
		var unique number
		unique, _ = takeNumber(rest)
		req.Unique, okUnique = unique.uint64()
	}
	if len(key) > MaxKeyLen || !okFlags || !okExptime || !okUnique {
		req.refuse(BadFormat, req.NoReply)
	}
}

// parseDelete parses <key> [0] [noreply]. What 1.6.18 answers with an error, and newest memcached ignores, is left to the
// backend, which answers once in any case; but not before a noreply, where 1.6.18 would be silent. Newest memcached takes
// the key of "delete noreply" for noreply too and deletes it without an answer; here, as in 1.6.18, it is a key only.
func (req *Request) parseDelete(rest []byte) {
	key, rest := NextKey(rest)
	if key == nil {
		req.refuse(BadFormat, false)
		return
	}
	req.Key = key
	req.NoReply = endsNoReply(rest)
	if junk := lastTwo(trim(rest)); !req.NoReply && len(junk) > 0 && string(junk) != "0" {
		req.Arg = junk
	}
	if len(key) > MaxKeyLen {
		req.refuse(BadFormat, req.NoReply)
	}
}

// lastTwo gives the last two tokens of a trimmed list, or all of it if it has fewer. 1.6.18 counts no more than 24 tokens and
// would take a noreply among many for the last.
func lastTwo(list []byte) []byte {
	i := bytes.LastIndexByte(list, ' ')
	if i < 0 {
		return list
	}
	return list[bytes.LastIndexByte(trim(list[:i]), ' ')+1:]
}

// parseNumeric parses incr's and decr's <key> <delta> [noreply] and touch's <key> <exptime> [noreply].
func (req *Request) parseNumeric(rest []byte) {
	req.NoReply = endsNoReply(rest)
	key, rest := NextKey(rest)
	arg, _ := takeNumber(rest)
	if !arg.found {
		req.refuse(BadFormat, false)
		return
	}
	if len(key) > MaxKeyLen {
		req.refuse(BadFormat, req.NoReply)
		return
	}
	req.Key = key
	var ok bool
	if req.Verb == Touch {
		if req.Exptime, ok = arg.int32(); !ok {
			req.refuse(BadExptime, req.NoReply)
		}
		return
	}
	if req.Delta, ok = arg.uint64(); !ok {
		req.refuse(BadDelta, req.NoReply)
	}
}

// parseFlushAll parses [<delay>] [noreply].
func (req *Request) parseFlushAll(rest []byte) {
	req.NoReply = endsNoReply(rest)
	rest = trim(rest)
	if len(rest) == 0 || string(rest) == "noreply" {
		return
	}
	delay, _ := takeNumber(rest)
	var ok bool
	if req.Exptime, ok = delay.int32(); !ok {
		req.refuse(BadExptime, req.NoReply)
	}
}

// parseVerbosity parses <level> [noreply].
func (req *Request) parseVerbosity(rest []byte) {
	req.NoReply = endsNoReply(rest)
	arg, _ := takeNumber(rest)
	level, ok := arg.uint32()
	if !ok {
		req.refuse(BadFormat, req.NoReply)
		return
	}
	req.Delta = uint64(level)
}
