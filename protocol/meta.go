package protocol

import "encoding/base64"

func (req *Request) parseMeta(rest []byte) {
	key, rest := NextKey(rest)
	swallow := -1
	if req.Verb == MetaSet {
		var size []byte
		size, rest = NextKey(rest)
		n, ok := parseInt32(size)
		if !ok || n < 0 || n > 1<<31-1-2 {
			req.refuse(BadFormat, -1)
			return
		}
		req.ValueLen = int(n)
		swallow = int(n)
	}
	if key == nil || len(key) > MaxKeyLen {
		req.refuse(BadFormat, swallow)
		return
	}
	req.RawKey, req.Key = key, key
	req.MetaFlags = trim(rest)
	var seen [128]bool
	count := 0
	for flag, arg, rest := NextFlag(req.MetaFlags); flag != 0; flag, arg, rest = NextFlag(rest) {
		count++
		if count > maxMetaFlags {
			req.refuse(TooManyFlags, swallow)
			return
		}
		if flag >= 127 || seen[flag] {
			req.refuse(DuplicateFlag, swallow)
			return
		}
		seen[flag] = true
		switch flag {
		case 'b':
			req.Base64 = true
		case 'k':
			req.ReturnKey = true
		case 'q':
			req.NoReply = true
		case 'O':
			if len(arg)+1 > maxOpaque {
				req.refuse(OpaqueTooLong, swallow)
				return
			}
			req.Opaque = arg
		case 'M':
			if len(arg) > 0 {
				req.Mode = arg[0]
			}
		}
	}
	if req.Base64 {
		n, err := base64.StdEncoding.Strict().Decode(req.decoded[:], key)
		if err != nil || n == 0 {
			req.refuse(BadBase64, swallow)
			return
		}
		req.Key = req.decoded[:n]
	}
}
