package chaos

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
	"mcproxy/placement/quarantine"
)

// ask sends requests of one line, or of one line and a value, and gives the answers' first lines, up to where the conn ends.
func ask(address string, requests []string) (answers []string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, req := range requests {
		_ = conn.SetDeadline(time.Now().Add(startTimeout))
		if _, err := conn.Write([]byte(req)); err != nil {
			return answers
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return answers
		}
		if strings.HasPrefix(line, "VALUE ") {
			if line, err = r.ReadString('\n'); err != nil {
				return answers
			}
			if end, err := r.ReadString('\n'); err != nil || end != "END\r\n" {
				return answers
			}
		}
		answers = append(answers, strings.TrimSuffix(line, "\r\n"))
	}
	return answers
}

const (
	journalClients = 8
	journalKeys    = 40 // of each client
)

// journalRun is a proxy before two servers of which one is stopped, clients that write, and a kill in the midst of that.
type journalRun struct {
	t       *testing.T
	servers []*memcachedtest.Server
	proxy   *proxyProcess
	told    map[string]string // what was answered to the last write of each key
	moves   bool              // keys of a server that is away are looked for elsewhere
}

func newJournalRun(t *testing.T, binary, journal, onDown string) *journalRun {
	r := &journalRun{t: t, servers: []*memcachedtest.Server{memcachedtest.Start(t), memcachedtest.Start(t)}, moves: onDown != "fail"}
	r.proxy = startProxy(t, binary, fmt.Sprintf(
		"[proxy]\njournal = %q\njournal_dir = %q\n[pools.main]\nbackends = [%q, %q]\non_down = %q\ntimeout = \"200ms\"\non_error = \"error\"\n",
		journal, filepath.Join(t.TempDir(), "journal"), r.servers[0].Addr(), r.servers[1].Addr(), onDown))
	return r
}

// write has all clients write one value to all their keys. After so many answers in all, kill is called. What was answered is noted.
func (r *journalRun) write(value string, answersBefore int, kill func()) {
	r.told = make(map[string]string)
	var clients sync.WaitGroup
	var mu sync.Mutex // guards told, left
	left := answersBefore
	for c := range journalClients {
		clients.Go(func() {
			for i := range journalKeys {
				key := fmt.Sprintf("key-%d-%d", c, i)
				got := ask(r.proxy.address, []string{fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(value), value)})
				mu.Lock()
				if len(got) == 1 {
					r.told[key] = got[0]
					if left--; left == 0 && kill != nil {
						kill()
					}
				}
				mu.Unlock()
			}
		})
	}
	clients.Wait()
}

// read gives what all keys have that something was told of, through the proxy.
func (r *journalRun) read() map[string]string {
	values := make(map[string]string)
	for key := range r.told {
		got := ask(r.proxy.address, []string{"get " + key + "\r\n"})
		if len(got) != 1 {
			r.t.Fatalf("get %s is not answered", key)
		}
		values[key] = got[0]
	}
	return values
}

// waitServed waits until every key can be read again, where it belongs.
func (r *journalRun) waitServed() {
	r.waitRead()
	if !r.moves {
		return
	}
	settled := string((&quarantine.Item{State: quarantine.Settled}).Append(nil)[:6])
	for _, s := range r.servers {
		for end := time.Now().Add(startTimeout); !strings.Contains(s.Command("get "+quarantine.Key), settled); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				r.t.Fatal("a server is not used again")
			}
		}
	}
	r.waitRead()
}

// waitRead waits until every key can be read.
func (r *journalRun) waitRead() {
	for end := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) {
		bad := 0
		for _, v := range r.read() {
			if strings.HasPrefix(v, "SERVER_ERROR") {
				bad++
			}
		}
		if bad == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%d keys cannot be read", bad)
		}
	}
}

// outage stops a server, writes while it is stopped, kills the proxy in the midst of that, and lets both go on.
func (r *journalRun) outage(before, value string) (old, failed int) {
	r.write(before, -1, nil) // perhaps too early
	r.waitServed()
	r.write(before, -1, nil)
	for key, told := range r.told {
		if told != "STORED" {
			r.t.Fatalf("%s: %s", key, told)
		}
	}
	r.servers[0].Pause()
	r.write(value, journalClients*journalKeys*2/3, r.proxy.kill)
	r.servers[0].Resume()
	if err := r.proxy.start(); err != nil {
		r.t.Fatal(err)
	}
	r.waitServed()
	for key, got := range r.read() {
		if r.told[key] != "STORED" {
			failed++
		}
		if got == before {
			old++
		}
	}
	return old, failed
}

// TestKilledProxyRemembers kills a proxy while writes fail, or go elsewhere: no key of which a client was told anything has its old value
// afterwards. To show that it is looked for, a journal in memory must be seen to forget.
func TestKilledProxyRemembers(t *testing.T) {
	binary := buildProxy(t)
	for _, onDown := range []string{"fail", "eject"} {
		t.Run("disk "+onDown, func(t *testing.T) {
			r := newJournalRun(t, binary, "disk", onDown)
			for round := range 2 { // in the second, what the first has left elsewhere must not be found there
				old, failed := r.outage(fmt.Sprintf("old%d", round), fmt.Sprintf("new%d", round))
				t.Logf("%d keys written, %d of them failed", len(r.told), failed)
				if failed == 0 || old > 0 {
					t.Errorf("%d writes failed, and %d old values came back", failed, old)
				}
			}
		})
	}
	t.Run("memory", func(t *testing.T) {
		if old, _ := newJournalRun(t, binary, "memory", "fail").outage("old", "new"); old == 0 {
			t.Error("nothing was forgotten: the test sees nothing")
		}
	})
}
