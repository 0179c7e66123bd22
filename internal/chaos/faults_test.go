package chaos

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"mcproxy/internal/history"
)

// faults break a run's processes until they are told to end, and leave all of them running. Never are all servers or all
// proxies away at once, or there would be little to judge.
type faults struct {
	run  *run
	rng  *rand.Rand
	stop chan struct{}
	gap  time.Duration // between two, in the mean

	deck    []fault
	working sync.WaitGroup

	mu   sync.Mutex // guards what follows
	away map[string]int
	busy map[string]bool // processes that something is being done to
}

type fault struct {
	name string
	do   func(f *faults, rng *rand.Rand) bool // whether it was done
}

// work picks one fault after the other. Each comes once before any comes again.
func (f *faults) work() {
	defer f.working.Wait()
	for {
		select {
		case <-f.stop:
			return
		case <-time.After(f.gap/2 + time.Duration(f.rng.Int64N(int64(f.gap)))):
		}
		if len(f.deck) == 0 {
			f.deck = f.kinds()
			f.rng.Shuffle(len(f.deck), func(i, j int) { f.deck[i], f.deck[j] = f.deck[j], f.deck[i] })
		}
		next := f.deck[0]
		f.deck = f.deck[1:]
		rng := rand.New(rand.NewPCG(f.rng.Uint64(), 0))
		f.working.Go(func() { // ends after some seconds; waited for above
			for range 40 {
				if next.do(f, rng) {
					f.run.report.add(func(fg *figures) { fg.faults[next.name]++ })
					return
				}
				select {
				case <-f.stop:
					return
				case <-time.After(100 * time.Millisecond): // something else is away; nothing depends on how long
				}
			}
		})
	}
}

func (f *faults) kinds() []fault {
	v := &f.run.variant
	if v.gentle {
		return append(gentleFaults(), v.copyFaults()...)
	}
	list := []fault{
		{"memcached stopped", (*faults).stopServer},
		{"memcached stopped", (*faults).stopServer},
		{"memcached killed", (*faults).killServer},
		{"memcached stuttering", (*faults).stutterServer},
		{"proxy stopped", (*faults).stopProxy},
		{"proxy stuttering", (*faults).stutterProxy},
		{"flush_all", (*faults).flush},
		{"flush_all of one server", (*faults).flushServer},
		{"chunks deleted", (*faults).deleteChunks},
		{"chunks deleted", (*faults).deleteChunks},
		{"chunks damaged", (*faults).damageChunks},
	}
	if v.copies {
		list = append(list, v.copyFaults()...)
	}
	if v.memory == littleMemory {
		list = append(list, fault{"memory filled", (*faults).fill}, fault{"memory filled", (*faults).fill})
	}
	if v.links {
		list = append(list, fault{"conns cut", (*faults).cut}, fault{"conns cut", (*faults).cut})
	}
	if !v.strict {
		list = append(list, fault{"proxy killed", (*faults).killProxy})
	}
	return list
}

// take reserves one of n things, at most limit of them at a time; -1: not now.
func (f *faults) take(what string, n, limit int, rng *rand.Rand) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := rng.IntN(n)
	if f.away[what] >= limit || f.busy[fmt.Sprint(what, i)] {
		return -1
	}
	f.away[what]++
	f.busy[fmt.Sprint(what, i)] = true
	return i
}

// takeThis reserves one thing, however many are away; false: something is being done to it.
func (f *faults) takeThis(what string, i int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := fmt.Sprint(what, i)
	if f.busy[name] {
		return false
	}
	f.away[what]++
	f.busy[name] = true
	return true
}

func (f *faults) give(what string, i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away[what]--
	delete(f.busy, fmt.Sprint(what, i))
}

// pause waits for 0.2 to 2 s, where there are copies up to 5 s, or less at the end of the run.
func (f *faults) pause(rng *rand.Rand) {
	d := time.Duration(200+rng.IntN(1800)) * time.Millisecond
	switch v := &f.run.variant; {
	case v.gentle:
		d = time.Duration(rng.Int64N(int64(gentlePause)))
	case v.copies && rng.IntN(3) == 0:
		d += time.Duration(rng.IntN(3000)) * time.Millisecond
	}
	f.wait(d)
}

// wait waits for so long, or until the end of the run.
func (f *faults) wait(d time.Duration) {
	select {
	case <-f.stop:
	case <-time.After(d):
	}
}

func (f *faults) stopServer(rng *rand.Rand) bool {
	i := f.take("server", len(f.run.servers), 2, rng)
	if i < 0 {
		return false
	}
	defer f.give("server", i)
	f.run.servers[i].Pause()
	f.pause(rng)
	f.run.servers[i].Resume()
	return true
}

// stutter stops a process for some milliseconds, again and again, too short for anybody to give up: what it was asked, and what
// it was answered, lies in its sockets together then, and meets in an order that is rare else.
func (f *faults) stutter(rng *rand.Rand, pause, resume func()) {
	for range 60 {
		pause()
		time.Sleep(time.Duration(1+rng.IntN(15)) * time.Millisecond)
		resume()
		time.Sleep(time.Duration(1+rng.IntN(10)) * time.Millisecond)
	}
}

func (f *faults) stutterServer(rng *rand.Rand) bool {
	i := f.take("server", len(f.run.servers), 2, rng)
	if i < 0 {
		return false
	}
	defer f.give("server", i)
	f.stutter(rng, f.run.servers[i].Pause, f.run.servers[i].Resume)
	return true
}

func (f *faults) stutterProxy(rng *rand.Rand) bool {
	i := f.take("proxy", len(f.run.proxies), 1, rng)
	if i < 0 {
		return false
	}
	defer f.give("proxy", i)
	f.stutter(rng, f.run.proxies[i].pause, f.run.proxies[i].resume)
	return true
}

func (f *faults) killServer(rng *rand.Rand) bool {
	i := f.take("server", len(f.run.servers), 2, rng)
	if i < 0 {
		return false
	}
	defer f.give("server", i)
	f.run.restarts.Add(1) // before and after: a cas number read between belongs to neither
	f.run.servers[i].Kill()
	f.run.restarts.Add(1)
	if rng.IntN(2) == 0 {
		f.pause(rng)
	}
	f.run.servers[i].Restart()
	return true
}

func (f *faults) stopProxy(rng *rand.Rand) bool {
	i := f.take("proxy", len(f.run.proxies), 1, rng)
	if i < 0 {
		return false
	}
	defer f.give("proxy", i)
	f.run.proxies[i].pause()
	f.pause(rng)
	f.run.proxies[i].resume()
	return true
}

func (f *faults) killProxy(rng *rand.Rand) bool {
	i := f.take("proxy", len(f.run.proxies), 1, rng)
	if i < 0 {
		return false
	}
	defer f.give("proxy", i)
	f.run.proxies[i].sample()
	f.run.proxies[i].kill()
	f.run.proxies[i].ended()
	if rng.IntN(2) == 0 {
		f.pause(rng)
	}
	if err := f.run.proxies[i].start(); err != nil {
		f.run.t.Errorf("restart a proxy: %v", err)
	}
	return true
}

// cut breaks the conns between a proxy and a server.
func (f *faults) cut(rng *rand.Rand) bool {
	f.run.links[rng.IntN(len(f.run.links))].cut()
	return true
}

// flush sends flush_all through a proxy. If it is done, it has deleted every key.
func (f *faults) flush(rng *rand.Rand) bool {
	conn, err := dial(f.run.proxies[rng.IntN(len(f.run.proxies))].address, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	round := f.run.rounds.enter(nil, nil)
	if round == nil {
		return false
	}
	type deletion struct {
		w  *watch
		op history.Op
	}
	var list []deletion
	call := f.run.now()
	for _, w := range []*watch{&round.watch, &f.run.always} {
		for _, key := range w.keys() {
			list = append(list, deletion{w, history.Op{Client: -1, Key: key, Verb: "flush_all", Kind: history.Delete, Call: call}})
		}
	}
	for i := range list {
		list[i].w.begin(&list[i].op)
	}
	var a answer
	if _, err = conn.Write([]byte("flush_all\r\n")); err == nil {
		a, err = conn.next()
	}
	done := err == nil && string(a.line) == "OK"
	now := f.run.now()
	var log []history.Op
	for i := range list {
		op := &list[i].op
		if op.Return = now; !done {
			op.Outcome = history.Lost
		}
		list[i].w.end(op)
		if list[i].w == &round.watch {
			log = append(log, *op)
		}
	}
	round.leave(log)
	return done
}

// ask sends a line to a server, and reads up to end. A server that is away is no failure.
func (f *faults) ask(server int, line, end string) (text string, ok bool) {
	conn, err := dial(f.run.servers[server].Addr(), time.Second)
	if err != nil {
		return "", false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
		return "", false
	}
	var b bytes.Buffer
	for {
		line, err := conn.in.ReadString('\n')
		if err != nil {
			return b.String(), false
		}
		if b.WriteString(line); line == end+"\r\n" {
			return b.String(), true
		}
	}
}

// flushServer lets a server forget, behind the proxies' backs.
func (f *faults) flushServer(rng *rand.Rand) bool {
	_, ok := f.ask(rng.IntN(len(f.run.servers)), "flush_all", "OK")
	return ok
}

// items gives one in so many of a server's keys with that prefix, at least one if there is any.
func (f *faults) items(server int, prefix string, in int, rng *rand.Rand) []string {
	dump, _ := f.ask(server, "lru_crawler metadump all", "END")
	var items []string
	for line := range strings.Lines(dump) {
		key, _, _ := strings.Cut(strings.TrimPrefix(line, "key="), " ")
		if key, err := url.QueryUnescape(key); err == nil && strings.HasPrefix(key, prefix) {
			items = append(items, key)
		}
	}
	rng.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return items[:(len(items)+in-1)/in]
}

// chunks gives the keys of a quarter of a server's chunks.
func (f *faults) chunks(server int, rng *rand.Rand) []string {
	return f.items(server, "~mcproxy.c.", 4, rng)
}

// deleteChunks takes some chunks from a server, behind the proxies' backs.
func (f *faults) deleteChunks(rng *rand.Rand) bool {
	server := rng.IntN(len(f.run.servers))
	return f.deleteItems(server, f.chunks(server, rng))
}

func (f *faults) deleteItems(server int, keys []string) bool {
	var lines strings.Builder
	for _, key := range keys {
		lines.WriteString("delete " + key + " noreply\r\n")
	}
	_, ok := f.ask(server, lines.String()+"mn", "MN")
	return ok && len(keys) > 0
}

// damageChunks changes a byte of some chunks on a server, which keep their length and flags.
func (f *faults) damageChunks(rng *rand.Rand) bool {
	server := rng.IntN(len(f.run.servers))
	chunks := f.chunks(server, rng)
	conn, err := dial(f.run.servers[server].Addr(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	damaged := 0
	for _, key := range chunks {
		fmt.Fprintf(conn, "gets %s\r\n", key)
		a, err := conn.next()
		if err != nil || len(a.words) < 5 || len(a.data) == 0 {
			continue
		}
		a.data[rng.IntN(len(a.data))]++
		fmt.Fprintf(conn, "cas %s %s 0 %d %s\r\n%s\r\n", key, a.words[2], len(a.data), a.words[4], a.data)
		for range 2 { // END, and what the cas says
			if a, err = conn.next(); err != nil {
				return false
			}
		}
		if string(a.line) == "STORED" {
			damaged++
		}
	}
	return damaged > 0
}

// fill stores items of others in a server with little memory: as many, and of such sizes, that it evicts manifests or chunks
// before long. It is done when the server has evicted something.
func (f *faults) fill(rng *rand.Rand) bool {
	size, n := 56, 8000
	if rng.IntN(3) > 0 {
		size, n = splitChunk+rng.IntN(50), 1500
	}
	var lines strings.Builder
	item := strings.Repeat("x", size)
	for i := range n {
		fmt.Fprintf(&lines, "set junk.%d.%d 0 0 %d noreply\r\n%s\r\n", size, i, size, item)
	}
	server := rng.IntN(len(f.run.servers))
	if _, ok := f.ask(server, lines.String()+"mn", "MN"); !ok {
		return false
	}
	stats, ok := f.ask(server, "stats", "END")
	return ok && !strings.Contains(stats, "STAT evictions 0\r\n")
}
