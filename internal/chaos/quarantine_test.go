package chaos

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
	"mcproxy/protocol"
)

var aloneFlag = flag.Bool("alone", false, "have TestReturnedServerIsQuarantined show also what two proxies do that do not agree")

// TestReturnedServerIsQuarantined stops a server under writes through two proxies that look elsewhere for its keys, and lets it go on with all
// that it held: no read gives a value older than a write that was acknowledged before, through whichever proxy.
func TestReturnedServerIsQuarantined(t *testing.T) {
	r := newReturnRun(t, buildProxy(t))
	r.outage()
	if n := r.stale.Load(); n > 0 {
		t.Errorf("%d reads were too old, one of them: %v", n, r.example.Load())
	}
	if !*aloneFlag {
		return
	}
	r = newReturnRun(t, buildAlone(t))
	for range 5 {
		if r.outage(); r.stale.Load() > 0 {
			t.Logf("without it %d of %d reads are too old, one of them: %v", r.stale.Load(), r.reads.Load(), r.example.Load())
			return
		}
	}
	t.Error("proxies that do not agree are not found: the test sees nothing")
}

// buildAlone builds a proxy that judges alone whether a server is used again.
func buildAlone(t testing.TB) (binary string) {
	t.Helper()
	path, err := filepath.Abs("../../placement/gate.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const rule = "case !backend.SpeaksMeta(version):"
	if !strings.Contains(string(source), rule) {
		t.Fatalf("%s has no %q", path, rule)
	}
	dir := t.TempDir()
	broken := filepath.Join(dir, "gate.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{broken: strings.Replace(string(source), rule, "case true:", 1), filepath.Join(dir, "overlay.json"): string(overlay)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if binary, err = build(dir, "-overlay", filepath.Join(dir, "overlay.json")); err != nil {
		t.Fatal(err)
	}
	return binary
}

const returnKeys = 24

// returnRun is two proxies over three servers, with clients that write ever higher numbers.
type returnRun struct {
	t       *testing.T
	servers []*memcachedtest.Server
	proxies [2]*proxyProcess
	keys    [returnKeys]returnKey
	reads   atomic.Int64
	stale   atomic.Int64
	example atomic.Value // of a stale read
}

// returnKey is what is known of one key.
type returnKey struct {
	name string

	mu    sync.Mutex   // guards what follows
	last  int          // the last number that was acknowledged
	acked map[int]bool // those that were
	by    [2]int       // how many were, by proxy
}

func newReturnRun(t *testing.T, binary string) *returnRun {
	r := &returnRun{t: t}
	var addresses []string
	for range 3 {
		s := memcachedtest.Start(t)
		r.servers = append(r.servers, s)
		addresses = append(addresses, strconv.Quote(s.Addr()))
	}
	for i := range r.proxies {
		r.proxies[i] = startProxy(t, binary, fmt.Sprintf("[pools.main]\nbackends = [%s]\non_down = \"eject\"\non_error = \"error\"\n", strings.Join(addresses, ", ")))
	}
	for i := range r.keys {
		r.keys[i].name, r.keys[i].acked = fmt.Sprintf("key-%d", i), make(map[int]bool)
	}
	return r
}

// outage has clients write and read until the first server was stopped, was written to elsewhere, came back and is used again.
func (r *returnRun) outage() {
	r.t.Helper()
	done := make(chan struct{})
	var clients sync.WaitGroup
	for i := range r.keys {
		clients.Go(func() { r.write(&r.keys[i], done) })
	}
	for range 6 {
		clients.Go(func() { r.read(done) })
	}
	defer clients.Wait()
	defer close(done)
	r.await("all keys are written", func() bool { return r.written(r.all()) })
	r.await("the first server is used", func() bool { return len(r.there()) > 0 })
	mine := r.there()
	r.servers[0].Pause()
	begun := time.Now()
	r.forget()
	r.await("its keys are written elsewhere", func() bool { return r.written(mine) })
	time.Sleep(time.Until(begun.Add(3 * time.Second)))
	r.servers[0].Resume()
	r.forget()
	r.await("it is used again, by both", func() bool { return len(r.there()) > 0 && r.written(r.all()) })
}

func (r *returnRun) await(what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(2 * startTimeout); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not within a minute: %s", what)
		}
	}
}

func (r *returnRun) all() (keys []*returnKey) {
	for i := range r.keys {
		keys = append(keys, &r.keys[i])
	}
	return keys
}

// there are the keys that the first server has.
func (r *returnRun) there() (keys []*returnKey) {
	for _, k := range r.all() {
		if r.servers[0].Command("get "+k.name) != protocol.End {
			keys = append(keys, k)
		}
	}
	return keys
}

// forget has keys count as not written.
func (r *returnRun) forget() {
	for _, k := range r.all() {
		k.mu.Lock()
		k.by = [2]int{}
		k.mu.Unlock()
	}
}

// written says whether each of the keys was written through both proxies.
func (r *returnRun) written(keys []*returnKey) bool {
	for _, k := range keys {
		k.mu.Lock()
		by := k.by
		k.mu.Unlock()
		if by[0] < 3 || by[1] < 3 {
			return false
		}
	}
	return true
}

// write writes a key through either proxy, one number after the other.
func (r *returnRun) write(k *returnKey, done chan struct{}) {
	for n := 1 + k.last; ; n++ {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(rand.Int64N(int64(20 * time.Millisecond)))):
		}
		i := rand.IntN(2)
		value := strconv.Itoa(n)
		got := ask(r.proxies[i].address, []string{fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", k.name, len(value), value)})
		if len(got) == 1 && got[0]+"\r\n" == protocol.Stored {
			k.mu.Lock()
			k.last, k.acked[n] = n, true
			k.by[i]++
			k.mu.Unlock()
		}
	}
}

// read reads keys through either proxy.
func (r *returnRun) read(done chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(rand.Int64N(int64(4 * time.Millisecond)))):
		}
		k, i := &r.keys[rand.IntN(len(r.keys))], rand.IntN(2)
		k.mu.Lock()
		last := k.last
		k.mu.Unlock()
		got := ask(r.proxies[i].address, []string{"get " + k.name + "\r\n"})
		if len(got) != 1 {
			continue
		}
		n, err := strconv.Atoi(got[0])
		if err != nil {
			continue // a miss, or an error
		}
		r.reads.Add(1)
		k.mu.Lock()
		acked := k.acked[n]
		k.mu.Unlock()
		if n < last && acked { // one that was not acknowledged may have been carried out later
			r.stale.Add(1)
			r.example.Store(fmt.Sprintf("%s had %d and was read as %d through proxy %d", k.name, last, n, i+1))
		}
	}
}
