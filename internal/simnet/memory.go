package simnet

import (
	"fmt"
	"strconv"

	"mcproxy/protocol"
)

// Memory is what a simulated memcached holds, and how it answers. It knows what the simulations use: the classic commands
// but gat and touch, `version`, and md.
type Memory struct {
	items map[string]item
	cas   uint64
}

type item struct {
	flags  uint32
	value  string
	unique uint64
}

// NewMemory gives an empty one.
func NewMemory() *Memory { return &Memory{items: make(map[string]item)} }

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

func (m *Memory) do(req *protocol.Request) []byte {
	key := string(req.Key)
	old, found := m.items[key]
	switch req.Verb {
	case protocol.Get, protocol.Gets:
		return m.get(req)
	case protocol.Version:
		return []byte("VERSION 1.6.18\r\n")
	case protocol.Delete, protocol.MetaDelete:
		for f, arg, rest := protocol.NextFlag(req.MetaFlags); f != 0; f, arg, rest = protocol.NextFlag(rest) {
			if f == 'C' && found && string(arg) != strconv.FormatUint(old.unique, 10) {
				return []byte("EX\r\n")
			}
		}
		delete(m.items, key)
		yes, no := protocol.Deleted, protocol.NotFound
		if req.Verb == protocol.MetaDelete {
			yes, no = "HD\r\n", "NF\r\n"
		}
		if found {
			return []byte(yes)
		}
		return []byte(no)
	case protocol.Incr:
		v, err := strconv.ParseUint(old.value, 10, 64)
		if !found || err != nil {
			return []byte(protocol.NotFound)
		}
		old.value = strconv.FormatUint(v+req.Delta, 10)
		m.store(key, old)
		return []byte(old.value + "\r\n")
	case protocol.Refused:
		return []byte(req.Refusal)
	}
	return m.storage(req, key, old, found)
}

func (m *Memory) storage(req *protocol.Request, key string, old item, found bool) []byte {
	it := item{flags: req.ClientFlags, value: string(req.Value)}
	switch req.Verb {
	case protocol.Set:
	case protocol.Add:
		if found {
			return []byte(protocol.NotStored)
		}
	case protocol.Replace:
		if !found {
			return []byte(protocol.NotStored)
		}
	case protocol.Append, protocol.Prepend:
		if !found {
			return []byte(protocol.NotStored)
		}
		if it.flags = old.flags; req.Verb == protocol.Append {
			it.value = old.value + it.value
		} else {
			it.value += old.value
		}
	case protocol.CAS:
		if !found {
			return []byte(protocol.NotFound)
		}
		if old.unique != req.Unique {
			return []byte(protocol.Exists)
		}
	default:
		return []byte(protocol.Error)
	}
	m.store(key, it)
	return []byte(protocol.Stored)
}

func (m *Memory) store(key string, it item) {
	m.cas++
	it.unique = m.cas
	m.items[key] = it
}

func (m *Memory) get(req *protocol.Request) []byte {
	var answer []byte
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		it, found := m.items[string(key)]
		if !found {
			continue
		}
		answer = fmt.Appendf(answer, "VALUE %s %d %d", key, it.flags, len(it.value))
		if req.Verb == protocol.Gets {
			answer = fmt.Appendf(answer, " %d", it.unique)
		}
		answer = fmt.Appendf(answer, "\r\n%s\r\n", it.value)
	}
	return append(answer, protocol.End...)
}
