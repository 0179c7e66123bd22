package simnet

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"mcproxy/protocol"
)

// Memory is what a simulated memcached holds, and how it answers. It knows what the simulations use: the classic commands, `version`,
// and of the meta commands mg, ms, md and me with the flags that say what the others do, and those that give leases (v f s t c k O T N, F T M C c,
// C).
type Memory struct {
	items map[string]item
	keys  []string // of items, in the order in which they came
	cas   uint64
	now   func() int64 // virtual time; nil: nothing expires
}

type item struct {
	flags   uint32
	value   string
	unique  uint64
	expires int64 // second from which on it is gone; 0: never
	token   bool  // somebody has won the right to fill it
}

// NewMemory gives an empty one.
func NewMemory() *Memory { return &Memory{items: make(map[string]item)} }

// Keys gives the keys of all items, the oldest first. It is valid until the next request.
func (m *Memory) Keys() []string { return m.keys }

// Value gives an item's value; "" if there is none.
func (m *Memory) Value(key string) string { return m.items[key].value }

// Remove evicts an item.
func (m *Memory) Remove(key string) {
	if _, found := m.items[key]; found {
		delete(m.items, key)
		m.keys = slices.DeleteFunc(m.keys, func(k string) bool { return k == key })
	}
}

// Damage changes the value of an item behind everybody's back.
func (m *Memory) Damage(key string, change func(value []byte)) {
	if it, found := m.items[key]; found {
		value := []byte(it.value)
		change(value)
		it.value = string(value)
		m.items[key] = it
	}
}

// Flush does what flush_all does.
func (m *Memory) Flush() {
	clear(m.items)
	m.keys = m.keys[:0]
}

// Serve carries out the first whole request in buf. used == 0: there is none. Not ok: the stream cannot go on.
func (m *Memory) Serve(buf []byte) (used int, answer []byte, ok bool) {
	var req protocol.Request
	n, err := protocol.ParseRequest(buf, &req)
	if err != nil {
		return len(buf), nil, false
	}
	if n == 0 {
		return 0, nil, true
	}
	if req.ValueLen >= 0 {
		v, good := req.TakeValue(buf[n:])
		if v == 0 {
			return 0, nil, true
		}
		n += v
		if !good {
			return n, []byte(protocol.BadDataChunk), true
		}
	}
	return n, m.do(&req), true
}

func (m *Memory) second() int64 {
	if m.now == nil {
		return 0
	}
	return m.now() / int64(time.Second)
}

// find gives the item of a key, unless its time is over.
func (m *Memory) find(key []byte) (it item, found bool) {
	it, found = m.items[string(key)]
	if found && it.expires != 0 && it.expires <= m.second() {
		m.Remove(string(key))
		return item{}, false
	}
	return it, found
}

// until makes a lifetime the second in which it ends.
func (m *Memory) until(exptime int32) int64 {
	if exptime == 0 || m.now == nil {
		return 0
	}
	return max(1, m.second()+int64(exptime))
}

func (m *Memory) do(req *protocol.Request) []byte {
	switch req.Verb {
	case protocol.Get, protocol.Gets, protocol.Gat, protocol.Gats:
		return m.get(req)
	case protocol.Version:
		return []byte("VERSION 1.6.18\r\n")
	case protocol.FlushAll:
		m.Flush()
		return []byte("OK\r\n")
	case protocol.Refused:
		return []byte(req.Refusal)
	case protocol.MetaGet, protocol.MetaSet, protocol.MetaDelete, protocol.MetaDebug:
		return m.meta(req)
	}
	old, found := m.find(req.Key)
	switch req.Verb {
	case protocol.Delete, protocol.Touch, protocol.Incr:
		if !found {
			return []byte(protocol.NotFound)
		}
	}
	switch req.Verb {
	case protocol.Delete:
		m.Remove(string(req.Key))
		return []byte(protocol.Deleted)
	case protocol.Touch:
		old.expires = m.until(req.Exptime)
		m.items[string(req.Key)] = old
		return []byte(protocol.Touched)
	case protocol.Incr:
		v, err := strconv.ParseUint(old.value, 10, 64)
		if err != nil {
			return []byte("CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
		}
		old.value = strconv.FormatUint(v+req.Delta, 10)
		m.store(req.Key, old)
		return []byte(old.value + "\r\n")
	}
	it := item{flags: req.ClientFlags, value: string(req.Value), expires: m.until(req.Exptime)}
	switch mode := modeOf(req.Verb); {
	case mode == 0:
		return []byte(protocol.Error)
	case req.Verb == protocol.CAS && !found:
		return []byte(protocol.NotFound)
	case req.Verb == protocol.CAS && old.unique != req.Unique:
		return []byte(protocol.Exists)
	case !m.write(mode, req.Key, it):
		return []byte(protocol.NotStored)
	}
	return []byte(protocol.Stored)
}

// modeOf gives ms's mode for a storage verb; 0: it is none.
func modeOf(v protocol.Verb) byte {
	switch v {
	case protocol.Set, protocol.CAS:
		return 'S'
	case protocol.Add:
		return 'E'
	case protocol.Replace:
		return 'R'
	case protocol.Append:
		return 'A'
	case protocol.Prepend:
		return 'P'
	}
	return 0
}

// write stores an item in one of ms's modes, if that finds what it wants.
func (m *Memory) write(mode byte, key []byte, it item) bool {
	old, found := m.find(key)
	switch {
	case mode == 'E' && found, mode != 'E' && mode != 'S' && !found:
		return false
	case mode == 'A':
		it.flags, it.value, it.expires = old.flags, old.value+it.value, old.expires
	case mode == 'P':
		it.flags, it.value, it.expires = old.flags, it.value+old.value, old.expires
	}
	m.store(key, it)
	return true
}

func (m *Memory) store(key []byte, it item) {
	m.cas++
	it.unique = m.cas
	if _, found := m.items[string(key)]; !found {
		m.keys = append(m.keys, string(key))
	}
	m.items[string(key)] = it
}

func (m *Memory) get(req *protocol.Request) []byte {
	answer := make([]byte, 0, 128)
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		it, found := m.find(key)
		if !found {
			continue
		}
		if req.Verb == protocol.Gat || req.Verb == protocol.Gats {
			it.expires = m.until(req.Exptime)
			m.items[string(key)] = it
		}
		answer = append(append(append(answer, "VALUE "...), key...), ' ')
		answer = strconv.AppendUint(answer, uint64(it.flags), 10)
		answer = strconv.AppendInt(append(answer, ' '), int64(len(it.value)), 10)
		if req.Verb == protocol.Gets || req.Verb == protocol.Gats {
			answer = strconv.AppendUint(append(answer, ' '), it.unique, 10)
		}
		answer = append(append(append(answer, "\r\n"...), it.value...), "\r\n"...)
	}
	return append(answer, protocol.End...)
}

// meta answers a meta command.
func (m *Memory) meta(req *protocol.Request) []byte {
	old, found := m.find(req.Key)
	it := item{value: string(req.Value)}
	mode, lifetime, unique := byte('S'), false, uint64(0)
	vivify := int64(-1) // the seconds that what mg makes lives
	for f, arg, rest := protocol.NextFlag(req.MetaFlags); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		n, _ := strconv.ParseInt(string(arg), 10, 64)
		switch f {
		case 'T':
			lifetime, it.expires = true, m.until(int32(n))
		case 'N':
			vivify = m.until(int32(n))
		case 'F':
			it.flags = uint32(n)
		case 'M':
			mode = arg[0] &^ 0x20
		case 'C':
			unique = uint64(n)
		}
	}
	code := "HD"
	switch {
	case req.Verb == protocol.MetaDebug && found: // as 1.6.18 tells the time that is left
		left := int64(-1)
		if old.expires != 0 {
			left = m.second() - old.expires
		}
		return fmt.Appendf(nil, "ME %s exp=%d la=0 cas=%d fetch=no cls=1 size=%d\r\n", req.Key, left, old.unique, len(old.value))
	case req.Verb == protocol.MetaGet && !found && vivify >= 0:
		m.store(req.Key, item{expires: vivify, token: true})
		it = m.items[string(req.Key)]
		return append(bytes.TrimSuffix(m.metaHead(req, code, it), []byte("\r\n")), " W\r\n\r\n"...)
	case (req.Verb == protocol.MetaGet || req.Verb == protocol.MetaDebug) && !found:
		return []byte("EN\r\n")
	case req.Verb == protocol.MetaGet:
		if lifetime {
			old.expires = it.expires
			m.items[string(req.Key)] = old
		}
		it = old
	case unique != 0 && found && old.unique != unique:
		code = "EX"
	case !found && (req.Verb == protocol.MetaDelete || unique != 0 && mode == 'S'):
		code = "NF"
	case req.Verb == protocol.MetaDelete:
		m.Remove(string(req.Key))
	case !m.write(mode, req.Key, it):
		code = "NS"
	default:
		it = m.items[string(req.Key)]
	}
	return m.metaAnswer(req, code, it)
}

// metaAnswer says what was asked of an item.
func (m *Memory) metaAnswer(req *protocol.Request, code string, it item) []byte {
	head := m.metaHead(req, code, it)
	if req.Verb == protocol.MetaGet && it.token {
		head = append(bytes.TrimSuffix(head, []byte("\r\n")), " Z\r\n"...)
	}
	if bytes.HasPrefix(head, []byte("VA ")) {
		return fmt.Appendf(head, "%s\r\n", it.value)
	}
	return head
}

// metaHead is the first line of a meta answer.
func (m *Memory) metaHead(req *protocol.Request, code string, it item) []byte {
	var list []byte
	data := false
	for f, arg, rest := protocol.NextFlag(req.MetaFlags); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		switch f {
		case 'v':
			data = true
		case 'f':
			list = fmt.Appendf(list, " f%d", it.flags)
		case 's':
			list = fmt.Appendf(list, " s%d", len(it.value))
		case 'c':
			list = fmt.Appendf(list, " c%d", it.unique)
		case 't':
			left := int64(-1)
			if it.expires != 0 {
				left = it.expires - m.second()
			}
			list = fmt.Appendf(list, " t%d", left)
		case 'k':
			list = fmt.Appendf(list, " k%s", req.RawKey)
		case 'O':
			list = fmt.Appendf(list, " O%s", arg)
		}
	}
	if data {
		return fmt.Appendf(nil, "VA %d%s\r\n", len(it.value), list)
	}
	return fmt.Appendf(nil, "%s%s\r\n", code, list)
}
