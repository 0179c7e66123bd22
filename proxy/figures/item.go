package figures

import (
	"bytes"
	"strconv"
	"time"

	"mcproxy/protocol"
)

// An Item is what a backend tells of an item without its value. What it does not tell is negative, but for the TTL.
type Item struct {
	Found      bool
	ValueBytes int64
	Flags      int64
	TTL        time.Duration // < 0: it does not expire
	Idle       time.Duration // since it was last read
	Fetched    bool          // it was read since it was stored
}

// LookupFlags ask for size, flags, lifetime, last access and whether it was read; u: without counting as a use.
const LookupFlags = "s f t l h u"

// ItemOf reads the answer to a meta get with LookupFlags, or says what it is instead.
func ItemOf(raw []byte) (*Item, string) {
	var r protocol.Response
	line := string(bytes.TrimRight(raw, "\r\n"))
	if n, err := protocol.ParseResponse(raw, protocol.ShapeMeta, &r); err != nil || n == 0 {
		return nil, "an answer that is none: " + strconv.Quote(line)
	}
	switch r.Status {
	case protocol.StatusMiss:
		return &Item{ValueBytes: -1, Flags: -1, Idle: -1}, ""
	case protocol.StatusOK, protocol.StatusHit:
	default:
		return nil, line
	}
	item := &Item{Found: true, ValueBytes: -1, Flags: -1, Idle: -1, TTL: -1}
	for _, field := range bytes.Fields(raw)[1:] {
		n, err := strconv.ParseInt(string(field[1:]), 10, 64)
		if err != nil {
			continue
		}
		switch field[0] {
		case 's':
			item.ValueBytes = n
		case 'f':
			item.Flags = n
		case 't':
			item.TTL = time.Duration(n) * time.Second
		case 'l':
			item.Idle = time.Duration(n) * time.Second
		case 'h':
			item.Fetched = n == 1
		}
	}
	return item, ""
}
