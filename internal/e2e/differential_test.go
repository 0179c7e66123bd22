package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
)

// TestDifferential sends random commands to the proxy over one memcached and to another memcached directly: they must
// answer with the same bytes, but for what the deviations and the matcher name.
func TestDifferential(t *testing.T) {
	d := &differential{name: "TestDifferential", seed: seed(t), service: startService(t, 1), direct: startMemcached(t)}
	alone := *commandsFlag / 5
	t.Run("one client", func(t *testing.T) { d.run(t, 1, alone) })
	t.Run("clients", func(t *testing.T) { d.run(t, *clientsFlag, *commandsFlag-alone) })
}

// TestDifferentialFourBackends does the same with four memcached behind the proxy: each key's answers are those that one
// memcached gives, and a retrieval's are in the order of its keys.
func TestDifferentialFourBackends(t *testing.T) {
	if throughMemcached(t) {
		t.Log("four backends make one endpoint only through the proxy: nothing to check")
		return
	}
	d := &differential{name: "TestDifferentialFourBackends", seed: seed(t), service: startService(t, 4), direct: startMemcached(t), perKey: true}
	alone := *commandsFlag / 5
	t.Run("one client", func(t *testing.T) { d.run(t, 1, alone) })
	t.Run("clients", func(t *testing.T) { d.run(t, *clientsFlag, *commandsFlag-alone) })
	for i, mc := range d.service.servers {
		if mc.Stats()["cmd_set"] == "0" {
			t.Errorf("backend %d of 4 has seen no set: the test proves nothing about it", i)
		}
	}
}

// differential compares a service with a memcached.
type differential struct {
	name    string // the test's, for the instructions to repeat a failure
	seed    uint64
	service *service
	direct  *memcachedtest.Server
	perKey  bool
	crowd   bool          // others get the clients' keys meanwhile
	splits  bool          // matcher.splits
	drilled bool          // matcher.drilled
	timeout time.Duration // of a batch; 0 is answerTimeout
}

func (d *differential) stream(seed uint64) *stream {
	s := newStream(d.service.endpoint, endpointOf(d.direct), d.perKey, d.service.memcached, seed)
	if d.splits {
		s.overSplits()
		s.matcher.drilled = d.drilled
	}
	if d.timeout > 0 {
		s.timeout = d.timeout
	}
	return s
}

// run sends n commands of so many clients at once, each with keys of its own. One alone may also flush.
func (d *differential) run(t *testing.T, clients, n int) {
	start := time.Now()
	failures := d.compare(clients, n)
	if len(failures) == 0 {
		t.Logf("%d commands of %d clients, %.0f a second", n, clients, float64(n)/time.Since(start).Seconds())
		return
	}
	f := failures[0]
	t.Errorf("%d of %d clients got different answers; client %d, %v\nlast commands:\n%s", len(failures), clients, f.client, f.miss, lastCommands(f.miss.batch, 12))
	t.Log(d.shrink(f))
	t.Errorf("to repeat: go test ./internal/e2e -run '^%s$' -commands %d -clients %d -seed %d -through %s",
		d.name, *commandsFlag, *clientsFlag, d.seed, *throughFlag)
}

// failure is one client's first mismatch.
type failure struct {
	client, clients int
	miss            *mismatch
}

// compare is run without a test: it gives the first mismatch of each client.
func (d *differential) compare(clients, n int) []failure {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		failures []failure
	)
	for i := range clients {
		wg.Go(func() {
			s := d.stream(d.clientSeed(i))
			defer s.close()
			share := n / clients
			if i == 0 {
				share += n % clients
			}
			var miss *mismatch
			if err := s.run(d.generator(i, clients), share); errors.As(err, &miss) {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, failure{i, clients, miss})
			}
		})
	}
	wg.Wait()
	return failures
}

func (d *differential) clientSeed(client int) uint64 { return d.seed + uint64(client)*1_000_003 }

func (d *differential) generator(client, clients int) *generator {
	g := newGenerator(d.clientSeed(client), fmt.Sprintf("c%d", client), clients == 1)
	g.crowd = d.crowd
	return g
}

func lastCommands(batch []command, n int) string {
	var b strings.Builder
	for i := max(0, len(batch)-n); i < len(batch); i++ {
		fmt.Fprintf(&b, "  %s\n", quote(batch[i].text))
	}
	return b.String()
}

const (
	shrinkCommands = 2000             // at most so many commands before a mismatch are sent again
	shrinkTime     = 20 * time.Second // to make them fewer
	shrinkTimeout  = 2 * time.Second  // of each batch
)

// shrink looks for a short list of commands that one client alone, on emptied servers, gets different answers to.
func (d *differential) shrink(f failure) string {
	g := d.generator(f.client, f.clients)
	end := f.miss.first + len(f.miss.batch)
	var list []command
	for i := range end {
		if c := g.next(); i >= end-shrinkCommands {
			list = append(list, c)
		}
	}
	err := d.replay(list)
	if err == nil {
		return fmt.Sprintf("the last %d commands alone, on emptied servers, get the same answers", len(list))
	}
	deadline := time.Now().Add(shrinkTime)
	for size := max(1, len(list)/2); ; size /= 2 {
		for at := 0; at < len(list) && time.Now().Before(deadline); {
			fewer := slices.Concat(list[:at], list[min(len(list), at+size):])
			if e := d.replay(fewer); e != nil && len(fewer) > 0 {
				list, err = fewer, e
			} else {
				at += size
			}
		}
		if size <= 1 {
			break
		}
	}
	return fmt.Sprintf("%d commands are enough, on emptied servers:\n%s%v", len(list), lastCommands(list, 40), err)
}

// replay sends a list of commands to emptied servers.
func (d *differential) replay(list []command) error {
	for _, ep := range []endpoint{d.service.endpoint, endpointOf(d.direct)} {
		c, err := ep.connect()
		if err != nil {
			return err
		}
		_, _, err = c.exchange([]byte("flush_all\r\n"))
		c.Close()
		if err != nil {
			return err
		}
	}
	s := d.stream(d.seed)
	s.timeout = shrinkTimeout
	defer s.close()
	for len(list) > 0 {
		var b batch
		for len(b.list) < min(len(list), 100) && b.add(list[len(b.list)]) {
		}
		if err := s.send(b.list); err != nil {
			return err
		}
		list = list[len(b.list):]
	}
	return nil
}

// TestDifferentialEachLine sends each broken line at least once for a key without an item, with text and with a number.
func TestDifferentialEachLine(t *testing.T) {
	d := &differential{seed: 1, service: startService(t, 1), direct: startMemcached(t), timeout: 2 * time.Second}
	g := newGenerator(1, "each", false)
	for _, setup := range []string{"delete %N noreply\r\n", "set %N 5 0 4 noreply\r\ntext\r\n", "set %N 0 0 2 noreply\r\n10\r\n"} {
		for _, line := range slices.Concat(brokenLines, brokenMetaLines) {
			c := g.fill("%N") // takes a key
			key := string(c.text)
			fill := strings.NewReplacer("%N", key, "%K", key, "%L", strings.Repeat("L", 251))
			s := d.stream(1)
			batch := []command{{text: []byte(fill.Replace(setup))}, {text: []byte(fill.Replace(line))}, {text: []byte(fill.Replace("mg %K k v f\r\n"))}}
			if err := s.send(batch); err != nil {
				t.Errorf("%s after %q: %v", quote(batch[1].text), batch[0].text, err)
			}
			s.close()
		}
	}
}
