package protocol

import (
	"bytes"
	"strconv"
)

// MaxLogin is the longest data block of a login that is looked at, in bytes. (memcached 1.6.18 reads lines of 256 bytes from its file.)
const MaxLogin = 1024

// AppendLogin appends the request that logs in at a memcached with a file of users (its option -Y): a set, of which only the data block
// counts. Neither name nor password may have a blank. (memcached's doc/protocol.txt, "Authentication")
func AppendLogin(dst []byte, name, password string) []byte {
	dst = append(dst, "set auth 0 0 "...)
	dst = strconv.AppendInt(dst, int64(len(name)+1+len(password)), 10)
	dst = append(dst, '\r', '\n')
	dst = append(dst, name...)
	dst = append(dst, ' ')
	dst = append(dst, password...)
	return append(dst, '\r', '\n')
}

// ParseLogin takes the data block of a login apart; what comes after name and password does not count. The slices point into block.
// (memcached's try_read_command_asciiauth)
func ParseLogin(block []byte) (name, password []byte, ok bool) {
	name, rest := cutWord(block)
	password, _ = cutWord(rest)
	return name, password, len(password) > 0
}

// cutWord cuts the first word off, and the blanks before it.
func cutWord(s []byte) (word, rest []byte) {
	s = bytes.TrimLeft(s, " ")
	if i := bytes.IndexByte(s, ' '); i >= 0 {
		return s[:i], s[i:]
	}
	return s, nil
}
