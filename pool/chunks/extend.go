package chunks

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/tally"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/split"
)

// extend carries out append and prepend, ms's modes of that name included. A value that is not split, and does not become
// so, is extended by the backend, if it is still the one that was looked at; another is read, joined, and swapped by cas.
func (s *Splitter) extend(x Client, req *protocol.Request, affinity uint32) {
	x.Wait()
	more := append([]byte(nil), req.Value...)
	req = owned(req)
	var echo *protocol.Echo
	if req.Base64 { // memcached keeps how the first ms spelled the key
		if req.ReturnKey {
			echo = req.Echo()
		}
		req.RawKey, req.MetaFlags = req.Key, without(without(req.MetaFlags, 'b'), 'k')
	}
	s.runner.Run(affinity, func(o *steps.Op) {
		var before, st steps.Step
		for range 64 {
			s.host.Ask(o, &before, gets(req.Key))
			if before.Err != nil {
				s.spoil(o, req.Key)
				x.Fail(req, before.Err)
				return
			}
			it, found := s.open(&before)
			if !found && before.Status == protocol.StatusHit { // damaged, which is as good as missing
				s.gone(o, x, req)
				return
			}
			if !found { // what comes meanwhile must not be extended unseen: it may be a manifest
				it.unique = math.MaxUint64
			}
			own := compares(req.MetaFlags)
			if st.Status == protocol.StatusExists && own != 0 && (it.shown() != own || it.unique == own) {
				break // as its client knows it
			}
			now, _ := knownBy(req, &it)
			kind, _ := s.storedAs(req.Key, it.Flags, len(it.Value)+len(more))
			if !found || it.Kind == split.Plain && kind == split.Plain {
				data := more
				if !found && split.Oversized(len(more), s.cfg.Threshold) && !protocol.HasFlag(req.MetaFlags, 'N') {
					data = nil // there is nothing to extend, and it may be too large to say so
				}
				s.extendAtHome(o, now, data, it.unique, &st)
			} else if req.Mode == 'a' || req.Mode == 'p' { // as memcached says of a mode that it does not know
				s.finish(x, []byte("CLIENT_ERROR invalid mode for ms M token\r\n"), protocol.StatusClientError)
				return
			} else if !s.extendHere(o, now, more, it, &st) {
				if o.Why != nil { // it may be there, but could not be read
					s.spoil(o, req.Key)
				}
				s.gone(o, x, req)
				return
			}
			if st.Status != protocol.StatusExists {
				break
			}
		}
		if st.Err == nil && !req.Verb.IsMeta() { // the swap was another command's
			line, status := protocol.NotStored, protocol.StatusNotStored
			if st.Status == protocol.StatusOK || st.Status == protocol.StatusStored {
				line, status = protocol.Stored, protocol.StatusStored
			}
			st.Line, st.Status = append(st.Line[:0], line[:len(line)-2]...), status
		}
		if echo != nil && st.Err == nil && !st.Status.IsError() {
			st.Line = protocol.AppendEcho(nil, st.Line, st.Line, echo)
		}
		s.finishStep(x, req, &st)
	})
}

// gone answers a request for a value that is not there any more, or for which there is no memory.
func (s *Splitter) gone(o *steps.Op, x Client, req *protocol.Request) {
	why := s.refusal(o)
	s.host.Count(req.Verb, goneStatus(o, req, why), 1)
	switch {
	case !o.Crowded && why == nil:
		x.Finish(protocol.AppendMiss(nil, req))
	case req.NoReply && !req.Verb.IsMeta():
		x.Finish(nil)
	case o.Crowded:
		x.Finish([]byte(steps.OutOfMemory))
	default:
		x.Finish(steps.AppendError(nil, why))
	}
}

// goneStatus is what gone tells, for those who count.
func goneStatus(o *steps.Op, req *protocol.Request, why *backend.Error) protocol.Status {
	switch {
	case o.Crowded:
		return protocol.StatusServerError
	case why != nil:
		return tally.Failed
	case req.Verb.IsRead():
		return protocol.StatusMiss
	}
	return protocol.StatusNotStored
}

// extendAtHome lets the backend extend the item with that cas number. Where there is none it says what it says of a missing item.
func (s *Splitter) extendAtHome(o *steps.Op, req *protocol.Request, more []byte, unique uint64, st *steps.Step) {
	flags := req.MetaFlags
	switch req.Verb {
	case protocol.Append:
		flags = []byte("MA")
	case protocol.Prepend:
		flags = []byte("MP")
	}
	if unique != 0 && compares(flags) == 0 {
		flags = appendUint(append(without(flags, 'C'), 'C'), unique)
	}
	s.host.Ask(o, st, &protocol.Request{
		Verb: protocol.MetaSet, Key: req.Key, RawKey: rawKey(req), MetaFlags: flags, NoReply: req.NoReply, // q is left out
		ValueLen: len(more), Value: more,
	})
}

func rawKey(req *protocol.Request) []byte {
	if req.RawKey != nil {
		return req.RawKey
	}
	return req.Key
}

// extendHere joins a split or wrapped value, or one that becomes so, with more and swaps it by cas. It is false if the value
// is not there any more.
func (s *Splitter) extendHere(o *steps.Op, req *protocol.Request, more []byte, it opened, st *steps.Step) bool {
	old := len(it.Value)
	if it.Kind == split.Split {
		old = it.Manifest.Length
	}
	if !s.reserve(o, old+s.Needs(old+len(more))) { // the old value, the new one, and its chunks
		return false
	}
	item, ok := s.resolve(o, req.Key, it, nil)
	if !ok {
		return false
	}
	first, second := item.Value, more
	if req.Verb == protocol.Prepend || req.Mode == 'P' || req.Mode == 'p' {
		first, second = second, first
	}
	joined := append(append(make([]byte, 0, len(first)+len(second)), first...), second...)
	exptime, ok := s.lifetime(o, req.Key)
	if !ok {
		return false
	}
	s.swap(o, req, change{it: it, item: item, value: joined, exptime: exptime}, st)
	return true
}

// A change is a new value for an item that was read.
type change struct {
	it      opened
	item    split.Item // what the client saw
	value   []byte
	exptime int32
}

// swap puts a new value in the place of an item, if that is still there, by cas, or by ms if that is what the client sent.
func (s *Splitter) swap(o *steps.Op, req *protocol.Request, c change, st *steps.Step) {
	it, item, value, exptime := c.it, c.item, c.value, c.exptime
	client := item.Flags
	var m split.Manifest
	kind, copies := s.storedAs(req.Key, item.Flags, len(value))
	switch kind {
	case split.Split:
		var why *backend.Error
		var ok bool
		if m, why, ok = s.put(o, fresh{value, item.Flags, exptime, copies}); !ok {
			s.spoil(o, req.Key)
			st.Err = why
			st.Status, st.Line = protocol.StatusServerError, append(st.Line[:0], protocol.TooLarge[:len(protocol.TooLarge)-2]...)
			return
		}
		client, value = split.ReservedFlags, m.Append(nil)
	case split.Wrapped:
		value = split.AppendWrapped(nil, value)
	}
	swap := &protocol.Request{
		Verb: protocol.CAS, Key: req.Key, ClientFlags: client, Exptime: exptime, Unique: it.unique, ValueLen: len(value), Value: value,
	}
	if req.Verb == protocol.MetaSet {
		swap.NoReply = req.NoReply
		swap.Verb, swap.RawKey, swap.MetaFlags = protocol.MetaSet, rawKey(req), swapFlags(req.MetaFlags, client, exptime, it.unique)
	}
	s.host.Ask(o, st, swap)
	stored := st.Err == nil && (st.Status == protocol.StatusStored || st.Status == protocol.StatusOK)
	switch {
	case stored && it.Kind == split.Split:
		s.clean(&it.Manifest)
	case st.Err == nil && !stored && kind == split.Split:
		s.clean(&m)
	}
	if stored && kind == split.Split {
		s.stored(req.Key, &m)
	}
}

// lifetime gives what is left of an item's, as an exptime. It asks by me, which takes no token and counts as no access; there
// 1.6.18 gives the seconds that are left with a minus, and -1 both for one second and for ever, which mg tells apart.
func (s *Splitter) lifetime(o *steps.Op, key []byte) (exptime int32, ok bool) {
	l, ok := s.life(o, key)
	return l.exptime, ok
}

// A life is what memcached tells of an item by me.
type life struct {
	exptime int32
	seconds int64 // as me says it
	base64  bool  // the key is known to the server as it came by a meta command with b
}

// left is how many seconds are left; -1: it has no end.
func (l life) left() int64 {
	switch {
	case l.seconds != -1:
		return max(l.seconds, -l.seconds)
	case l.exptime == 0:
		return -1
	}
	return 1
}

func (s *Splitter) life(o *steps.Op, key []byte) (l life, ok bool) {
	if l, ok = s.glance(o, key); !ok || l.seconds != -1 {
		return l, ok
	}
	var st steps.Step
	s.host.Ask(o, &st, &protocol.Request{Verb: protocol.MetaGet, Key: key, RawKey: key, MetaFlags: []byte("t"), ValueLen: -1})
	if st.Err != nil || st.Status != protocol.StatusOK || !bytes.HasPrefix(st.Line, []byte("HD t-1")) {
		l.exptime = 1
	}
	return l, true
}

// glance is life without the mg: of what has no end, or one second left, it says that it has no end.
func (s *Splitter) glance(o *steps.Op, key []byte) (l life, ok bool) {
	var st steps.Step
	s.host.Ask(o, &st, &protocol.Request{Verb: protocol.MetaDebug, Key: key, RawKey: key, ValueLen: -1})
	if o.Why = st.Err; st.Err != nil || st.Status != protocol.StatusOK {
		return l, false
	}
	l.base64 = !bytes.HasPrefix(st.Line, append(append([]byte("ME "), key...), ' '))
	_, after, found := bytes.Cut(st.Line, []byte(" exp="))
	text, _, _ := bytes.Cut(after, []byte(" "))
	v, err := strconv.ParseInt(string(text), 10, 64)
	if !found || err != nil {
		return l, false
	}
	if l.seconds = v; v != -1 {
		l.exptime = exptimeOf(max(v, -v, 1))
	}
	return l, true
}

// exptimeOf is the exptime of a lifetime in seconds, more than 0.
func exptimeOf(seconds int64) int32 {
	if seconds > maxRelative { // so large a number would be taken for a date
		seconds += time.Now().Unix()
	}
	return int32(min(seconds, math.MaxInt32))
}

// longer gives the exptime of the longer life.
func longer(a, b int32) int32 {
	if a == 0 || b == 0 { // for ever
		return 0
	}
	return max(a, b) // dates are larger than numbers of seconds
}

// maxRelative is the longest lifetime in seconds that memcached takes as one: 30 days.
const maxRelative = 60 * 60 * 24 * 30

// without gives flags but for one.
func without(flags []byte, letter byte) []byte {
	var list []byte
	for tok, rest := protocol.NextKey(flags); tok != nil; tok, rest = protocol.NextKey(rest) {
		if tok[0] != letter {
			list = append(append(list, tok...), ' ')
		}
	}
	return list
}

// swapFlags are a ms's flags, for the swap that takes its place: mode, client flags, lifetime and (but for the client's own)
// cas number are the swap's.
func swapFlags(flags []byte, client uint32, exptime int32, unique uint64) []byte {
	var list []byte
	for f, arg, rest := protocol.NextFlag(flags); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		switch f {
		case 'M', 'F', 'T', 'N', 'C':
			continue
		}
		list = append(append(append(list, f), arg...), ' ')
	}
	list = appendUint(append(list, 'F'), uint64(client))
	list = strconv.AppendInt(append(list, " T"...), int64(exptime), 10)
	if own := compares(flags); own != 0 {
		unique = own
	}
	return appendUint(append(list, " C"...), unique)
}

// compares gives the cas number that a meta command's C compares with; 0: it does not, which C0 says too.
func compares(flags []byte) uint64 {
	for f, arg, rest := protocol.NextFlag(flags); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		if f == 'C' {
			v, _ := strconv.ParseUint(string(arg), 10, 64)
			return v
		}
	}
	return 0
}
