package quarantine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"mcproxy/placement/quarantine"
)

// The model: some proxies, a backend with a few keys and the item, a stand-in with the same keys, and time in ticks of 10 ms. Messages
// take a few ticks and stay in order on their way from one proxy to one server.

const (
	tick = 10_000_000 // nanoseconds
	keys = 3
)

// message is a request on its way, or its answer on the way back.
type message struct {
	at     int64 // tick when it arrives
	act    func(s *server) any
	answer func(any) // nil: nobody waits for it
}

type server struct {
	m       *model
	stopped bool
	dead    bool
	values  [keys]int // 0: there is none
	item    []byte
	cas     uint64
	life    uint64 // counts restarts: conns of another end
}

// A link is a proxy's conn to a server.
type link struct {
	p    *proxy
	s    *server
	life uint64
	way  []message
	back []message
	last int64
	far  int64 // how many ticks more an answer may take
}

type proxy struct {
	m       *model
	index   int
	member  *quarantine.Member
	stopped int64 // until which tick
	home    *link
	other   *link
	polls   *link

	pollSent, pollNext int64
	polling            int64 // number of the poll under way; 0: none
	numbers            int64

	owes     [keys]bool // the key has to be deleted on the backend,
	stray    [keys]bool // and on the stand-in
	paying   [keys]bool
	cleaning [keys]bool
	lazy     bool   // it has much to delete, and begins late
	handover uint64 // that was seen
	payFrom  int64  // ticks
	away     int    // writes to the stand-in under way
	nextOp   int64
	heard    int64 // tick of the last poll that was answered
}

type op struct {
	write      bool
	key, value int
	start, end int64
	proxy      int
	where      quarantine.Standing
	acked      bool
}

type model struct {
	rnd     *rand.Rand
	rules   quarantine.Rules
	now     int64 // ticks
	backend *server
	standIn *server
	proxies []*proxy
	links   []*link
	ops     []*op
	kind    int   // of what happens; < 0: any
	calm    int64 // until this tick nobody writes, if that is near: what was under way would hide what is old
	values  int
	keys    int // that are used
	homes   int // reads that found something at home, and away
	aways   int
	story   []string
}

func newModel(seed uint64, mutant quarantine.Mutant) *model {
	m := &model{rnd: rand.New(rand.NewPCG(seed, 1)), rules: quarantine.Rules{Patience: quarantine.LeastPatience, Mutant: mutant}, now: 1000}
	m.backend, m.standIn = &server{m: m}, &server{m: m}
	m.kind = -1
	m.keys = []int{1, keys}[m.rnd.IntN(2)]
	m.backend.item = (&quarantine.Item{State: quarantine.Settled, Epoch: 1}).Append(nil)
	for range 2 + m.rnd.IntN(2) {
		m.start(len(m.proxies))
	}
	for _, p := range m.proxies {
		p.polls.far = []int64{0, 0, 20, 25}[m.rnd.IntN(4)]
	}
	return m
}

// start begins a proxy's life, or the next one, with nothing in its memory.
func (m *model) start(i int) {
	p := &proxy{m: m, index: i, lazy: m.rnd.IntN(2) == 0, member: quarantine.NewMember(&m.rules, m.rnd.Uint64()|1, false)}
	p.home, p.other, p.polls = m.link(p, m.backend), m.link(p, m.standIn), m.link(p, m.backend)
	if i < len(m.proxies) {
		old := m.proxies[i]
		m.links = slices.DeleteFunc(m.links, func(l *link) bool { return l.p == old })
		m.proxies[i] = p
		return
	}
	m.proxies = append(m.proxies, p)
}

func (m *model) link(p *proxy, s *server) *link {
	l := &link{p: p, s: s, life: s.life}
	m.links = append(m.links, l)
	return l
}

func (m *model) delay() int64 { return m.now + 1 + m.rnd.Int64N(3) }

func (l *link) send(act func(s *server) any, answer func(any)) {
	l.last = max(l.last, l.p.m.delay())
	l.way = append(l.way, message{l.last, act, answer})
}

// serve has the server take what has arrived.
func (l *link) serve() {
	m := l.p.m
	if l.life != l.s.life { // the conn broke with the server
		l.life = l.s.life
		for _, w := range slices.Concat(l.way, l.back) {
			if w.answer != nil {
				l.back = append(l.back, message{m.now, nil, w.answer})
			}
		}
		l.way = nil
		l.back = slices.DeleteFunc(l.back, func(w message) bool { return w.at != m.now || w.act != nil })
	}
	for len(l.way) > 0 && l.way[0].at <= m.now && !l.s.stopped {
		w := l.way[0]
		l.way = l.way[1:]
		if l.s.dead {
			l.back = append(l.back, message{m.now, nil, w.answer})
			continue
		}
		result := w.act(l.s)
		at := m.delay()
		if l.far > 0 {
			at += m.rnd.Int64N(l.far)
		}
		if n := len(l.back); n > 0 {
			at = max(at, l.back[n-1].at)
		}
		l.back = append(l.back, message{at, func(*server) any { return result }, w.answer})
	}
}

// hear gives the proxy the answers that have come; one without act is a conn that broke.
func (l *link) hear() {
	for len(l.back) > 0 && l.back[0].at <= l.p.m.now {
		w := l.back[0]
		l.back = l.back[1:]
		if w.answer == nil {
			continue
		}
		if w.act == nil {
			w.answer(nil)
			continue
		}
		w.answer(w.act(nil))
	}
}

func (p *proxy) clock() int64 { return p.m.now * tick }

// turn is what a proxy does in a tick: first it hears, then it looks at the time.
func (p *proxy) turn() {
	for _, l := range []*link{p.home, p.other, p.polls} {
		l.hear()
	}
	now := p.clock()
	if p.polling != 0 && now >= p.pollSent+p.m.rules.Patience {
		p.polling = 0
		p.polls.way, p.polls.back = nil, nil // on another conn next time
		p.member.Failed(p.pollSent, now)
	}
	if p.polling == 0 && now >= p.pollNext {
		p.poll()
	}
	p.pay()
	if p.m.now >= p.nextOp {
		p.nextOp = p.m.now + 1 + p.m.rnd.Int64N(8)
		p.operate()
	}
}

func (p *proxy) poll() {
	p.numbers++
	n, sent, life := p.numbers, p.clock(), p.polls.s.life
	p.polling, p.pollSent, p.pollNext = n, sent, sent+p.m.rules.Poll()
	p.polls.send(func(s *server) any {
		a := quarantine.Answer{Result: quarantine.Missing, Conn: life}
		if s.item != nil {
			a.Result, a.Value, a.CAS = quarantine.Found, slices.Clone(s.item), s.cas
		}
		return a
	}, func(r any) {
		if p.polling != n {
			return
		}
		p.polling = 0
		if r == nil {
			p.member.Failed(sent, p.clock())
			return
		}
		p.heard = p.m.now
		a := r.(quarantine.Answer)
		p.member.Polled(&a, sent, p.clock())
		p.step()
	})
}

func (p *proxy) step() {
	l := quarantine.Local{Ready: true, Clean: p.away == 0 && p.owes == [keys]bool{} && p.stray == [keys]bool{}}
	s := p.member.Next(p.m.rnd.Uint64(), l, p.clock())
	if s.Value == nil {
		return
	}
	p.polls.send(func(b *server) any {
		if s.Add && b.item == nil || !s.Add && b.item != nil && b.cas == s.CAS && b.life == s.Conn {
			b.cas++
			b.item = s.Value
		}
		return nil
	}, func(any) { p.pollNext = 0 })
}

// pay deletes what has to be deleted.
func (p *proxy) pay() {
	if h := p.member.Handover(); p.lazy && h != p.handover {
		p.handover, p.payFrom = h, p.m.now+p.m.rnd.Int64N(150)
	}
	if p.m.now < p.payFrom || p.lazy && p.handover == 0 && p.m.now < p.payFrom+500 {
		return
	}
	standing, _ := p.member.Standing(p.clock())
	for k := range keys {
		if p.owes[k] && !p.paying[k] && p.m.now < p.heard+40 { // not before the backend answers
			p.paying[k] = true
			p.home.send(func(s *server) any { s.values[k] = 0; return true }, func(r any) {
				p.paying[k] = false
				p.owes[k] = p.owes[k] && r == nil
			})
		}
		if p.stray[k] && standing != quarantine.Away && p.away == 0 && !p.cleaning[k] {
			p.cleaning[k] = true
			p.other.send(func(s *server) any { s.values[k] = 0; return true }, func(r any) {
				p.cleaning[k] = false
				p.stray[k] = p.stray[k] && r == nil
			})
		}
	}
}

func (p *proxy) operate() {
	where, _ := p.member.Standing(p.clock())
	k := p.m.rnd.IntN(p.m.keys)
	o := &op{write: p.m.rnd.IntN(3) == 0, key: k, start: p.m.now, end: -1, proxy: p.index, where: where}
	if o.write && p.m.rnd.IntN(3) > 0 { // each has keys that others write seldom
		k = p.index % p.m.keys
		o.key = k
	}
	if o.write && p.m.now < p.m.calm && p.m.now > p.m.calm-80 {
		return
	}
	if where == quarantine.None || where == quarantine.Home && p.owes[k] || where == quarantine.Away && (p.cleaning[k] || p.paying[k]) {
		return
	}
	p.m.ops = append(p.m.ops, o)
	to := p.home
	if where == quarantine.Away {
		to = p.other
	}
	if o.write {
		p.m.values++
		o.value = p.m.values
		if where == quarantine.Away {
			p.owes[k], p.stray[k] = true, true
			p.away++
		}
	}
	to.send(func(s *server) any {
		if o.write {
			s.values[k] = o.value
		}
		return s.values[k]
	}, func(r any) { p.answered(o, r) })
}

func (p *proxy) answered(o *op, r any) {
	if o.write && o.where == quarantine.Away {
		p.away--
	}
	now, _ := p.member.Standing(p.clock())
	if r == nil || now != o.where || o.where == quarantine.Home && p.owes[o.key] {
		if o.write && o.where == quarantine.Home {
			p.owes[o.key] = true
		}
		return
	}
	o.end, o.acked = p.m.now, true
	if !o.write {
		o.value = r.(int)
	}
}

// wrong gives the first read of a value that is older than a write which was over before the read began.
func (m *model) wrong() string {
	writes := make(map[int]*op)
	for _, o := range m.ops {
		if o.write {
			writes[o.value] = o
		}
	}
	for _, r := range m.ops {
		if r.write || !r.acked || r.value == 0 {
			continue
		}
		if r.where == quarantine.Home {
			m.homes++
		} else {
			m.aways++
		}
		source := writes[r.value]
		if !source.acked {
			continue
		}
		for _, w := range m.ops {
			if w.write && w.key == r.key && w.acked && w.start > source.end && w.end < r.start {
				return fmt.Sprintf("proxy %d read at %v, from %d to %d, value %d (written by %d at %v from %d to %d), but %d was written by %d at %v from %d to %d",
					r.proxy, r.where, r.start, r.end, r.value, source.proxy, source.where, source.start, source.end, w.value, w.proxy, w.where, w.start, w.end)
			}
		}
	}
	return ""
}

func (m *model) note(format string, args ...any) {
	m.story = append(m.story, fmt.Sprintf("%d: ", m.now)+fmt.Sprintf(format, args...))
}

// run lets a few seconds pass, with faults.
func (m *model) run() {
	type event struct {
		at int64
		do func()
	}
	var events []event
	after := func(ticks int64, do func()) { events = append(events, event{m.now + ticks, do}) }
	breaks := func(at int64) {
		after(at, func() {
			mend, length := m.fault()
			after(length, mend)
		})
	}
	first := 60 + m.rnd.Int64N(40)
	stops := func(p *proxy, from, to int64) {
		after(from, func() {
			p.stopped = max(p.stopped, m.now+to-from)
			m.note("proxy %d stops until %d", p.index, p.stopped)
		})
	}
	kind := m.rnd.IntN(4)
	if m.kind >= 0 {
		kind = m.kind
	}
	switch kind {
	case 0: // two short ones, and one proxy misses what is between them
		second := first + 80 + m.rnd.Int64N(80)
		for _, at := range []int64{first, second} {
			after(at, func() { m.backend.stopped = true })
			after(at+38+m.rnd.Int64N(5), func() { m.backend.stopped = false })
		}
		from := first + 33 + m.rnd.Int64N(10)
		stops(m.proxies[0], from, second+m.rnd.Int64N(10))
		after(from, func() { m.proxies[0].polls.way, m.proxies[0].polls.back = nil, nil }) // the conn breaks meanwhile
	case 1: // a long one, and one proxy misses its end
		end := first + 100 + m.rnd.Int64N(150)
		hit, mend := m.stopBackend, m.resumeBackend
		if m.rnd.IntN(2) == 0 {
			hit, mend = m.killBackend, m.startBackend
		}
		after(first, hit)
		after(end, mend)
		m.calm = m.now + first + 70
		stops(m.proxies[m.rnd.IntN(len(m.proxies))], end-10+m.rnd.Int64N(15), end+20+m.rnd.Int64N(120)) // shorter than the quarantine
	case 2:
		breaks(first)
	default:
		for at := first; at < 500; at += m.rnd.Int64N(300) {
			breaks(at)
		}
	}
	state := byte(0)
	for end := m.now + 900; m.now < end; m.now++ {
		for i := 0; i < len(events); i++ {
			if events[i].at == m.now {
				events[i].do()
			}
		}
		for _, i := range m.rnd.Perm(len(m.links)) {
			m.links[i].serve()
		}
		if b := m.backend.item; b != nil && b[5] != state { // where it hurts most
			state = b[5]
			m.note("state %d, %d holders", state, b[6])
			if m.rnd.IntN(2) == 0 {
				p := m.proxies[m.rnd.IntN(len(m.proxies))]
				after(1+m.rnd.Int64N(40), func() {
					p.stopped = max(p.stopped, m.now+1+m.rnd.Int64N(100))
					m.note("proxy %d stops until %d", p.index, p.stopped)
				})
			}
		}
		for _, i := range m.rnd.Perm(len(m.proxies)) {
			if p := m.proxies[i]; m.now >= p.stopped {
				p.turn()
			}
		}
	}
}

// fault breaks something, and gives how to mend it after how many ticks.
func (m *model) fault() (mend func(), ticks int64) {
	length := 1 + m.rnd.Int64N([]int64{20, 80, 150, 300}[m.rnd.IntN(4)])
	b := m.backend
	switch m.rnd.IntN(8) {
	case 0, 1, 2, 3:
		m.stopBackend()
		return m.resumeBackend, length
	case 4:
		m.killBackend()
		return m.startBackend, length
	case 5:
		m.note("the item is evicted")
		b.item = nil
	case 6: // shorter than the quarantine, so that it is waited for
		p := m.proxies[m.rnd.IntN(len(m.proxies))]
		p.stopped = m.now + 1 + m.rnd.Int64N(100)
		m.note("proxy %d stops until %d", p.index, p.stopped)
	case 7:
		for _, p := range m.proxies {
			if s, _ := p.member.Standing(p.clock()); s == quarantine.Home && p.owes == [keys]bool{} { // another would take its notes with it
				m.note("proxy %d begins anew", p.index)
				m.start(p.index)
				break
			}
		}
	}
	return func() {}, 1
}

func (m *model) stopBackend() {
	m.note("the backend stops")
	m.backend.stopped = true
}

func (m *model) resumeBackend() {
	m.note("the backend goes on")
	m.backend.stopped = false
}

func (m *model) killBackend() {
	m.note("the backend dies")
	b := m.backend
	b.dead, b.values, b.item, b.cas, b.stopped = true, [keys]int{}, nil, 0, false
	b.life++
}

func (m *model) startBackend() {
	m.note("the backend starts")
	m.backend.dead = false
}
