//go:build !race

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	slowCount     = 1000
	slowValue     = 1_000_000 // bytes
	slowAssembly  = 64 << 20  // the proxy's budget for them, if they are split, and its limit if they are not
	slowAllowance = 64 << 20  // what the process may take beside it: its garbage, and 64 KiB a client
	slowUnread    = 768 << 10 // what the kernel may be given for each: it has little room for clients that do not read, which all conns of the machine share
)

// slowAsked is how often each asks for a whole value: more than one, so that there is always another to wait for.
const slowAsked = 4

// arrivalTime is for how long others ask while the slow clients come.
const arrivalTime = time.Second

// heldSlack is what the proxy's limit may be passed by: 64 KiB for each worker, of which there are no more than 16 here.
const heldSlack = 1 << 20

// slowClients has 1,000 clients that ask for a value of 1 MB and read a byte a second. The process stays within the bounds that it has, and
// others are served: with values in chunks, within the budget of its configuration for them; with whole ones, within the limit.
func slowClients(t *testing.T, binary string) {
	enoughFiles(t, 3*slowCount)
	t.Run("chunks", func(t *testing.T) { slowReaders(t, binary, true) })
	t.Run("whole", func(t *testing.T) { slowReaders(t, binary, false) })
}

func slowReaders(t *testing.T, binary string, split bool) {
	r := startRunning(t, binary, fmt.Sprintf(`
[proxy]
assembly = "%dB"
[limits]
bytes = "%dB"
[pools.main]
backends = [%q, %q]
timeout = "5s"
stall_timeout = "5s"
[pools.main.split]
enabled = %v
[pools.main.coalesce] # with it they share one copy of the value, and nothing comes near the bound
mode = "off"
`, slowAssembly, slowAssembly, startMemcached(t).Addr(), startMemcached(t).Addr(), split))
	conn := r.dial(t)
	conn.ask(t, fmt.Sprintf("set large 0 0 %d\r\n%s\r\nset small 0 0 3\r\nabc\r\n", slowValue, strings.Repeat("x", slowValue)), "STORED\r\nSTORED\r\n")
	others := &load{ep: r.endpoint, rate: *rateFlag, request: func(*rand.Rand) (string, string) {
		return "get small\r\n", "VALUE small 0 3\r\nabc\r\nEND\r\n"
	}}
	arrival := &load{ep: r.endpoint, rate: *rateFlag, request: others.request}
	idle := settledRSS(t, r.pid, 0)
	var slow *slowCrowd
	var most int64
	others.compare(t, 8, func() {
		ask := "get large\r\n"
		if !split {
			ask = strings.Repeat(ask, slowAsked)
		}
		var beside sync.WaitGroup
		beside.Go(func() { arrival.run(8, arrivalTime) }) // ends by itself; waited for below
		sent := r.sum(r.figures(), "mcproxy_client_sent_bytes_total")
		slow = newSlowCrowd(t, r.endpoint, ask)
		r.awaitRest(t)
		if sent = r.sum(r.figures(), "mcproxy_client_sent_bytes_total") - sent; sent > slowCount*slowUnread {
			t.Errorf("the kernel was given %.0f bytes for each client, more than %d", sent/slowCount, slowUnread)
		}
		if !split { // a busy machine pauses before that
			until(t, "somebody is told that there is no room", func() bool { return r.sum(r.figures(), "mcproxy_client_overloaded_total", `limit="answers"`) > 0 })
		}
		beside.Wait()
		time.Sleep(time.Duration(*slowSecondFlag) * time.Second) // how long is all the same to what is judged
	}, func() {
		most = max(most, settledRSS(t, r.pid, 0))
		slow.end(t)
	})
	others.tell(t)
	arrival.tell(t)
	t.Logf("another client waited for %v at most while they came, and then for %v, the machine's delays taken off",
		max(0, arrival.longest).Round(time.Millisecond), max(0, others.longest).Round(time.Millisecond))
	f := r.figures()
	peak, refused := r.sum(f, "mcproxy_assembly_peak_bytes"), r.sum(f, "mcproxy_assembly_expired_total")
	if !split {
		peak, refused = r.sum(f, "mcproxy_held_peak_bytes"), r.sum(f, "mcproxy_client_overloaded_total", `limit="answers"`)
	}
	t.Logf("resident memory: %d KiB before, %d KiB at most with %d slow clients; the peak of what was held was %.0f KiB of %d; %.0f were told that there is no room",
		idle>>10, most>>10, slowCount, peak/1024, slowAssembly>>10, refused)
	if most > idle+slowAssembly+slowAllowance {
		t.Errorf("%d KiB with slow clients, %d KiB without: more than the bound of %d KiB and %d KiB", most>>10, idle>>10, slowAssembly>>10, slowAllowance>>10)
	}
	if peak > slowAssembly+heldSlack {
		t.Errorf("%.0f bytes were held, and the bound is %d", peak, slowAssembly)
	}
	if !split && refused == 0 {
		t.Error("nobody was told that there is no room: the bound was not reached")
	}
}

// awaitRest waits until nothing is sent to clients any more: what can be given to them has been.
func (r *running) awaitRest(t *testing.T) {
	t.Helper()
	start := time.Now()
	for sent, since := -1.0, start; time.Since(since) < 300*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		if now := r.sum(r.figures(), "mcproxy_client_sent_bytes_total"); now > sent+1000 { // some bytes a second are read
			sent, since = now, time.Now()
		}
		if time.Since(start) > 3*answerTimeout {
			t.Fatal("there is no end of what is sent to clients that do not read")
		}
	}
	t.Logf("%d clients have what they take after %v", slowCount, time.Since(start).Round(time.Millisecond))
}

// slowCrowd is the slow clients.
type slowCrowd struct {
	findings
	reading sync.WaitGroup
	stop    chan struct{}
	conns   []net.Conn
}

// newSlowCrowd has them all ask.
func newSlowCrowd(t *testing.T, ep endpoint, ask string) *slowCrowd {
	t.Helper()
	s := &slowCrowd{stop: make(chan struct{})}
	for range slowCount {
		conn, err := ep.connect()
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(ask)); err != nil {
			t.Fatal(err)
		}
		s.conns = append(s.conns, conn)
	}
	s.reading.Go(func() { // ends with stop; waited for in end
		for second := 0; ; second++ {
			select {
			case <-s.stop:
				return
			case <-time.After(time.Second):
			}
			for _, conn := range s.conns {
				var one [1]byte
				if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
					return
				}
				n, _ := conn.Read(one[:]) // one that waits for room has nothing yet
				if n == 1 && second == 0 && one[0] != 'V' && one[0] != 'S' {
					s.add("an answer begins with %q", one)
				}
			}
		}
	})
	return s
}

// end closes them.
func (s *slowCrowd) end(t *testing.T) {
	t.Helper()
	close(s.stop)
	s.reading.Wait()
	for _, conn := range s.conns {
		conn.Close()
	}
	s.tell(t)
}
