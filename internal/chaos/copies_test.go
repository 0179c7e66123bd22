package chaos

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/history"
)

// copied is what a proxy says of its copies.
type copied struct {
	reads     uint64 // answered by a copy
	missed    uint64 // that looked for a copy, and found none
	promoted  uint64 // keys
	demoted   uint64
	suspected uint64 // copies that the canary found older than they may be; failed writes can make some
}

func (c *copied) add(o copied) {
	c.reads += o.reads
	c.missed += o.missed
	c.promoted += o.promoted
	c.demoted += o.demoted
	c.suspected += o.suspected
}

// sample asks a proxy's metrics for what it says of copies. What it said last counts when it is killed.
func (p *proxyProcess) sample() {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + p.admin + "/metrics")
	if err != nil {
		return // it is stopped, or away
	}
	defer answer.Body.Close()
	var now copied
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		family, labels, _ := strings.Cut(name, "{")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch {
		case family == "mcproxy_replica_reads_total" && strings.Contains(labels, `outcome="copy"`):
			now.reads += uint64(n)
		case family == "mcproxy_replica_reads_total":
			now.missed += uint64(n)
		case family == "mcproxy_replica_promotions_total":
			now.promoted += uint64(n)
		case family == "mcproxy_replica_demotions_total":
			now.demoted += uint64(n)
		case family == "mcproxy_stale_detected_total":
			now.suspected += uint64(n)
		}
	}
	p.figures.Lock()
	defer p.figures.Unlock()
	p.now = now
}

// ended counts what a process said last for good.
func (p *proxyProcess) ended() {
	p.figures.Lock()
	defer p.figures.Unlock()
	p.past.add(p.now)
	p.now = copied{}
}

// copies is what all proxies have said, those that were killed included.
func (r *run) copies() (sum copied) {
	for _, p := range r.proxies {
		p.figures.Lock()
		sum.add(p.past)
		sum.add(p.now)
		p.figures.Unlock()
	}
	return sum
}

// copyFaults are those that the protocol of copies has to stand.
func (v *variant) copyFaults() []fault {
	list := []fault{
		{"guard deleted", (*faults).deleteGuard},
		{"guard deleted", (*faults).deleteGuard},
		{"link slow", (*faults).slowLink},
		{"link blocked one way", (*faults).blockLink},
		{"link blocked one way", (*faults).blockLink},
		{"answers lost", (*faults).loseAnswers},
		{"answers lost", (*faults).loseAnswers},
		{"conns cut", (*faults).cut},
	}
	if !v.gentle {
		list = append(list,
			fault{"copies and locks deleted", (*faults).deleteCopies}, fault{"copies and locks deleted", (*faults).deleteCopies},
			fault{"writes held, and their proxy", (*faults).holdWrites}, fault{"writes held, and their proxy", (*faults).holdWrites})
	}
	return list
}

// gentleFaults break nothing that strict mode's promise of ordered reads relies on: no pause is as long as a lease, no lock gets lost.
func gentleFaults() []fault {
	return []fault{
		{"memcached stuttering", (*faults).stutterServer},
		{"proxy stuttering", (*faults).stutterProxy},
		{"proxy killed", (*faults).killProxy},
		{"chunks deleted", (*faults).deleteChunks},
		{"chunks damaged", (*faults).damageChunks},
	}
}

const gentlePause = 100 * time.Millisecond

// deleteGuard takes the guard from some servers.
func (f *faults) deleteGuard(rng *rand.Rand) bool {
	deleted := false
	for _, server := range rng.Perm(len(f.run.servers))[:1+rng.IntN(len(f.run.servers))] {
		deleted = f.deleteItems(server, []string{"~mcproxy.guard"}) || deleted
	}
	return deleted
}

// deleteCopies takes copies, leases and locks from a server, most of them or a few.
func (f *faults) deleteCopies(rng *rand.Rand) bool {
	server := rng.IntN(len(f.run.servers))
	return f.deleteItems(server, f.items(server, "~mcproxy.r.", 1+rng.IntN(4), rng))
}

func (f *faults) takeLink(rng *rand.Rand) (l *link, give func()) {
	i := f.take("link", len(f.run.links), 3, rng)
	if i < 0 {
		return nil, nil
	}
	return f.run.links[i], func() { f.give("link", i) }
}

// slowLink makes the way between a proxy and a server long for a while.
func (f *faults) slowLink(rng *rand.Rand) bool {
	l, give := f.takeLink(rng)
	if l == nil {
		return false
	}
	defer give()
	most := []time.Duration{10, 50, 300, 1000}[rng.IntN(4)] * time.Millisecond
	if f.run.variant.gentle {
		most = min(most, gentlePause/4)
	}
	l.slow(most)
	f.wait(time.Duration(200+rng.IntN(1800)) * time.Millisecond)
	l.slow(0)
	return true
}

// blockLink holds back what a proxy sends to a server, or what it is answered.
func (f *faults) blockLink(rng *rand.Rand) bool {
	l, give := f.takeLink(rng)
	if l == nil {
		return false
	}
	defer give()
	release := l.hold(direction(rng.IntN(2)))
	f.pause(rng)
	release()
	return true
}

// holdWrites keeps what a proxy has sent to a server from arriving until the proxy, which is stopped meanwhile, knows nothing that is true any
// more: others have given keys copies. Then it arrives, is answered, and the proxy goes on.
func (f *faults) holdWrites(rng *rand.Rand) bool {
	i := f.take("proxy", len(f.run.proxies), 1, rng)
	if i < 0 {
		return false
	}
	defer f.give("proxy", i)
	at := i*servers + rng.IntN(servers)
	if !f.takeThis("link", at) {
		return false
	}
	defer f.give("link", at)
	release := f.run.links[at].hold(toServer)
	f.wait(time.Duration(5+rng.IntN(100)) * time.Millisecond)
	f.run.proxies[i].pause()
	f.wait(time.Duration(700+rng.IntN(1000)) * time.Millisecond)
	release()
	f.wait(time.Duration(5+rng.IntN(50)) * time.Millisecond)
	f.run.proxies[i].resume()
	return true
}

// loseAnswers breaks conns between requests and their answers.
func (f *faults) loseAnswers(rng *rand.Rand) bool {
	l, give := f.takeLink(rng)
	if l == nil {
		return false
	}
	defer give()
	l.lose(1 + rng.IntN(3))
	f.wait(time.Duration(50+rng.IntN(200)) * time.Millisecond)
	l.lose(0)
	return true
}

// slowWrite is the longest that a write may take for strict mode to promise that reads do not go back past it. Longer, and its proxy may
// have known for too long what it began with.
const slowWrite = int64(100 * time.Millisecond)

// promised gives one key's history without what strict mode does not promise: reads that saw a write before it was acknowledged, if that
// took long, or has not come. slow are the writes that this was about.
func promised(ops []history.Op) (kept []history.Op, slow int) {
	from := map[history.ID]int64{} // of slow writes: when reads of them count
	for i := range ops {
		op := &ops[i]
		switch {
		case op.ID == 0 || op.Outcome == history.Refused:
		case op.Outcome != history.Done:
			from[op.ID] = 1<<63 - 1
		case op.Return-op.Call > slowWrite:
			from[op.ID] = op.Return
		}
	}
	for _, op := range ops {
		early := false
		for _, id := range op.Pieces {
			early = early || op.Call < from[id]
		}
		if !early {
			kept = append(kept, op)
		}
	}
	return kept, len(from)
}

func TestPromised(t *testing.T) {
	const ms = int64(time.Millisecond)
	slow := history.Op{Kind: history.Write, ID: 1, Call: 0, Return: 200 * ms}
	lost := history.Op{Kind: history.Write, ID: 2, Outcome: history.Lost, Return: ms}
	fast := history.Op{Kind: history.Write, ID: 3, Return: ms}
	refused := history.Op{Kind: history.Write, ID: 4, Outcome: history.Refused, Return: 900 * ms}
	sees := func(call int64, ids ...history.ID) history.Op {
		return history.Op{Kind: history.Read, Pieces: ids, Call: call, Return: call + 1}
	}
	ops := []history.Op{
		slow, lost, fast, refused, sees(199*ms, 1), sees(200*ms, 1), sees(900*ms, 2), sees(0, 3), sees(0, 4), sees(100*ms, 1, 3), sees(300*ms, 1, 3),
	}
	kept, n := promised(ops)
	var got []string
	for _, op := range kept {
		if op.Kind == history.Read {
			got = append(got, fmt.Sprint(op.Call/ms, op.Pieces))
		}
	}
	if want := "[200 [1] 0 [3] 0 [4] 300 [1 3]]"; fmt.Sprint(got) != want || n != 2 || len(kept) != 8 {
		t.Errorf("promised kept the reads %v, want %s; %d slow writes, want 2; %d operations, want 8", got, want, n, len(kept))
	}
}
