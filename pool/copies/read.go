package copies

import (
	"math"
	"strconv"

	"mcproxy/backend"
	"mcproxy/protocol"
	"mcproxy/replica"
)

// A Reader asked for a key's item.
type Reader interface {
	// Read takes the answer to the get or gets, as the home would give it. Both are valid until it returns.
	Read(r *protocol.Response, raw []byte)
	// Unread takes the reason why there is none.
	Unread(err *backend.Error)
}

// A Get is a read of one key.
type Get struct {
	To       Reader
	Verb     protocol.Verb // Get or Gets
	Key      []byte        // valid until Read returns
	Node     int           // its home
	Affinity uint32
	Deadline int64 // Loop time by which the reader has its answer
}

// Spread says whether reads of some keys of a backend may be Read elsewhere.
func (r *Replicator) Spread(node int) bool {
	t := r.shared.homes[node].sight.Load().table
	return t != nil && t.active
}

// Pick prepares a read of an item where there is less to do, if it has copies and it is a copy's turn; Begin must follow. It is nil if the
// home should be asked as for any other key.
func (r *Replicator) Pick(g Get) *Reading {
	s := r.shared.homes[g.Node].sight.Load()
	if s.table == nil || !s.table.active {
		return nil
	}
	e := s.table.find(g.Key, shortOf(g.Key))
	if e == nil || e.Phase != replica.Active {
		return nil
	}
	now := r.elapsed()
	view := s.Look(&r.shared.rules, e.Hash, now)
	if r.shared.Mutant == ReadsOld {
		view.Phase, view.Copies, view.Until = e.Phase, e.Copies, math.MaxInt64
	}
	copies := min(view.Copies, len(e.hosts))
	if !view.MayRead(now) || copies == 0 || r.doubts(g.Node, g.Key) {
		return nil
	}
	place := r.choose(e, g.Node, copies)
	if place == replica.Home {
		return nil
	}
	rd := r.newReading()
	rd.key = append(rd.key[:0], g.Key...)
	rd.get, rd.entry, rd.until = g, e, view.Until
	rd.get.Key = rd.key
	rd.machine.Start(&r.shared.rules, replica.Target{Key: rd.key, Hash: e.Hash, Hosts: len(e.hosts)}, view, place, now)
	return rd
}

// Tell sets who hears of it, if the Get did not say.
func (rd *Reading) Tell(to Reader, affinity uint32) { rd.get.To, rd.get.Affinity = to, affinity }

// Begin begins a read that was picked. Its reader may hear of it at once.
func (rd *Reading) Begin() { rd.proceed() }

// Fresh says that another may join the read: bytes of it have not been handed to the kernel, and what it was picked by still holds. It
// may be asked until the reader has heard.
func (rd *Reading) Fresh() bool {
	return rd.begun && rd.ask.Do == replica.DoCopy && !rd.call.Sent() && rd.r.elapsed() < rd.until
}

// doubts says whether copies of a key may be older than its writes that failed.
func (r *Replicator) doubts(node int, key []byte) bool {
	return r.pipelines[node].Doubted(key, doubt) && r.shared.Mutant != ForgetsFailed
}

// choose gives the place where a key with so many copies is read.
func (r *Replicator) choose(e *entry, home, copies int) int {
	a, b := replica.Choose(copies, r.rand.Uint64())
	nodeOf := func(place int) int {
		if place == replica.Home {
			return home
		}
		return e.hosts[place]
	}
	r.load.look(r.loop.Now, r.pipelines)
	if r.load.of(r.pipelines, nodeOf(b)) < r.load.of(r.pipelines, nodeOf(a)) {
		a = b
	}
	r.load.took(nodeOf(a))
	return a
}

// A Reading is a read of a copy, and what follows if there is none.
type Reading struct {
	r        *Replicator
	get      Get
	key      []byte
	entry    *entry
	until    int64 // Kernel.Elapsed
	begun    bool  // a call is under way
	machine  replica.Read
	ask      replica.Ask
	call     backend.Call
	request  protocol.Request
	response protocol.Response
	answer   []byte
}

func (r *Replicator) newReading() *Reading {
	if n := len(r.free); n > 0 {
		rd := r.free[n-1]
		r.free = r.free[:n-1]
		return rd
	}
	return &Reading{r: r}
}

// keepAnswer is how many bytes a reading that waits for its next use may keep.
const keepAnswer = 16 << 10

// end is the end of a reading; nobody waits for anything.
func (rd *Reading) end() {
	if cap(rd.answer) > keepAnswer {
		rd.answer = nil
	}
	rd.get, rd.entry, rd.begun = Get{}, nil, false
	if len(rd.r.free) < 256 {
		rd.r.free = append(rd.r.free, rd)
	}
}

// proceed sends what the machine asks for.
func (rd *Reading) proceed() {
	a, ok := rd.machine.Next()
	if !ok {
		rd.end()
		return
	}
	rd.ask = a
	rd.call = backend.Call{Owner: rd, Care: backend.Once}
	var err *backend.Error
	switch a.Do {
	case replica.DoCopy:
		host := rd.entry.hosts[a.Host]
		pl := rd.r.pipelines[host]
		half := (rd.get.Deadline - rd.r.loop.Now) / 2 // the home takes time too, if it has to be asked
		rd.request = protocol.Request{Verb: protocol.MetaGet, Key: rd.entry.name, RawKey: rd.entry.name, MetaFlags: rd.r.copyFlags, ValueLen: -1}
		err = pl.SendBy(&rd.call, &rd.request, rd.get.Affinity, rd.r.loop.Now+half)
	case replica.DoHome:
		err = rd.sendHome()
	case replica.DoFill:
		rd.fill()
		return
	}
	if err == nil {
		rd.begun = true
		return
	}
	if a.Do == replica.DoHome {
		rd.get.To.Unread(err)
		rd.end()
		return
	}
	rd.heard(&replica.Answer{Result: replica.Unsent})
}

// sendHome asks the home: as the client asks, or as a fill needs it.
func (rd *Reading) sendHome() *backend.Error {
	rd.call.Care = backend.ForClient
	rd.request = protocol.Request{Verb: rd.get.Verb, Key: rd.key, Keys: rd.key, NumKeys: 1, ValueLen: -1}
	if rd.machine.Leased() {
		rd.request = protocol.Request{Verb: protocol.MetaGet, Key: rd.key, RawKey: rd.key, MetaFlags: rd.r.homeFlags, ValueLen: -1}
	}
	pl := rd.r.pipelines[rd.get.Node]
	return pl.SendBy(&rd.call, &rd.request, rd.get.Affinity, min(pl.Deadline(), rd.get.Deadline))
}

// fill copies the home's item. Nobody waits for it.
func (rd *Reading) fill() {
	host := rd.entry.hosts[rd.ask.Host]
	call := &backend.Call{Owner: filled{rd.r}}
	pl := rd.r.pipelines[host]
	if rd.ask.Conn == 0 { // a mutant's
		_ = pl.Send(call, requestFor(&rd.ask, rd.entry.name), 0)
	} else {
		_ = pl.SendOn(rd.ask.Conn, call, requestFor(&rd.ask, rd.entry.name), pl.Deadline()) // if the conn is gone, so is the lease
	}
	rd.end()
}

// filled counts the copies that were made.
type filled struct{ r *Replicator }

// Answer is backend.Completer's.
func (f filled) Answer(_ *backend.Call, r *protocol.Response, _ []byte) error {
	if r.Status == protocol.StatusOK {
		f.r.figures.Fills++
	}
	return nil
}

// Fail is backend.Completer's.
func (f filled) Fail(*backend.Call, []byte, *backend.Error) {}

// heard tells the machine an answer of a copy's backend, and goes on.
func (rd *Reading) heard(ans *replica.Answer) {
	rd.machine.Answer(&rd.ask, ans)
	if rd.machine.Source() == replica.FromCopy {
		rd.r.figures.Read++
		c, flags := rd.machine.Copy()
		rd.deliver(flags, c.Unique, c.Value)
		rd.end()
		return
	}
	rd.r.figures.Missed++
	rd.proceed()
}

// Answer takes an answer of a copy's backend, or of the home.
func (rd *Reading) Answer(c *backend.Call, r *protocol.Response, raw []byte) error {
	if rd.ask.Do == replica.DoCopy {
		ans := replica.Answer{Result: resultOf(replica.DoCopy, r.Status), Conn: c.ConnID(), Value: r.Value}
		readFlags(&ans, r.Line)
		if ans.Result == replica.Hit {
			rd.r.load.bytes(rd.entry.hosts[rd.ask.Host], len(r.Value))
		}
		rd.heard(&ans)
		return nil
	}
	if !rd.machine.Leased() {
		rd.get.To.Read(r, raw)
		rd.machine.Answer(&rd.ask, &replica.Answer{Result: replica.Missing})
		rd.end()
		return nil
	}
	rd.hearHome(c, r, raw)
	return nil
}

// hearHome takes the home's answer to mg, tells it as one to the client's get, and goes on.
func (rd *Reading) hearHome(c *backend.Call, r *protocol.Response, raw []byte) {
	ans := replica.Answer{Result: resultOf(replica.DoHome, r.Status), Conn: c.ConnID(), Value: r.Value}
	readFlags(&ans, r.Line)
	switch {
	case ans.Result == replica.Hit:
		if protocol.HasFlag(r.Line[2:], 'X') || protocol.HasFlag(r.Line[2:], 'Z') || ans.Won {
			rd.giveBack(&ans)
			ans.Result = replica.Missing // what is stale, or about to be recached, is not copied
		}
		rd.machine.Answer(&rd.ask, &ans) // it takes a copy of the value
		rd.deliver(ans.Flags, ans.CAS, r.Value)
	case ans.Result == replica.Missing:
		rd.machine.Answer(&rd.ask, &ans)
		rd.tell([]byte(protocol.End))
	default:
		rd.machine.Answer(&rd.ask, &ans)
		rd.get.To.Read(r, raw)
	}
	rd.proceed()
}

// giveBack gives the token back that mg took, which was for a client.
func (rd *Reading) giveBack(ans *replica.Answer) {
	if !ans.Won {
		return
	}
	call := &backend.Call{Owner: filled{rd.r}, Care: backend.Once}
	flags := appendCAS([]byte("I "), ans.CAS)
	_ = rd.r.pipelines[rd.get.Node].Send(call, &protocol.Request{
		Verb: protocol.MetaDelete, Key: rd.key, RawKey: rd.key, MetaFlags: flags, ValueLen: -1,
	}, rd.get.Affinity)
}

// Fail takes a call without an answer.
func (rd *Reading) Fail(_ *backend.Call, _ []byte, err *backend.Error) {
	if rd.ask.Do == replica.DoHome {
		rd.get.To.Unread(err)
		rd.end()
		return
	}
	rd.r.figures.Lost++
	rd.r.unreachable(&target{node: rd.get.Node, hash: rd.entry.Hash})
	rd.heard(&replica.Answer{Result: replica.NoAnswer})
}

// deliver answers the client with an item.
func (rd *Reading) deliver(flags uint32, unique uint64, value []byte) {
	b := append(append(append(rd.answer[:0], "VALUE "...), rd.key...), ' ')
	b = strconv.AppendUint(b, uint64(flags), 10)
	b = strconv.AppendInt(append(b, ' '), int64(len(value)), 10)
	if rd.get.Verb == protocol.Gets {
		b = strconv.AppendUint(append(b, ' '), unique, 10)
	}
	b = append(append(append(b, "\r\n"...), value...), "\r\n"...)
	rd.answer = append(b, protocol.End...)
	rd.tell(rd.answer)
}

// tell gives the client an answer of ours.
func (rd *Reading) tell(answer []byte) {
	if n, err := protocol.ParseResponse(answer, protocol.ShapeValue, &rd.response); err != nil || n != len(answer) {
		panic("copies: an answer of our own does not parse: " + string(answer))
	}
	rd.get.To.Read(&rd.response, answer)
}
