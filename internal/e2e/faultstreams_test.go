//go:build !race

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	babblers    = 6  // clients at once that send random streams
	askers      = 24 // clients at once that ask backends which answer with random streams
	askersKeys  = 8  // of each
	madBackends = 8
)

// A tag says whose a value is. Whoever is told another's has been told what is not theirs.
var tag = regexp.MustCompile(`<w:[0-9a-f]{16}>`)

func newTag(rng *rand.Rand) string { return fmt.Sprintf("<w:%016x>", rng.Uint64()) }

// randomStreams sends random streams to a running proxy, from clients and from backends at once, beside owners that must notice nothing.
func randomStreams(t *testing.T, binary string) {
	seed := seed(t)
	mad := make([]string, madBackends)
	var answered atomic.Int64
	for i := range mad {
		mad[i] = fmt.Sprintf("%q", startMad(t, seed+uint64(i), &answered))
	}
	r := startRunning(t, binary, fmt.Sprintf(`
[[routes]]
prefix = "mad"
pool = "mad"
[pools.default]
backends = [%q]
timeout = "5s"
stall_timeout = "5s"
[pools.mad]
backends = [%s]
timeout = "20ms"
connections = 4
failure_limit = 1000000
stall_timeout = "100ms"
`, startMemcached(t).Addr(), strings.Join(mad, ", ")))
	witness := newOwners(t, r.endpoint, seed, false)
	for _, o := range witness.list {
		o.noneBroken = true
	}
	witness.start()

	var found findings
	var working sync.WaitGroup
	var begun, asked, hits atomic.Int64
	half := int64(*streamsFlag / 2)
	start := time.Now()
	for i := range babblers {
		working.Go(func() { // ends after half the streams
			b := babbler{rng: rand.New(rand.NewPCG(seed, 200+uint64(i))), ep: r.endpoint}
			b.tag = newTag(b.rng)
			for n := begun.Add(1); n <= half; n = begun.Add(1) {
				if err := b.stream(); err != nil {
					found.add("random stream %d of a client: %v", n, err)
					return
				}
			}
		})
	}
	for i := range askers {
		working.Go(func() { // ends after half the streams
			a := asker{rng: rand.New(rand.NewPCG(seed, 300+uint64(i))), ep: r.endpoint}
			a.tag = newTag(a.rng)
			for answered.Load() < half {
				asked.Add(1)
				hit, err := a.ask()
				if err != nil {
					found.add("with backends that answer at random: %v", err)
					return
				}
				if hit {
					hits.Add(1)
				}
			}
		})
	}
	working.Wait()
	took := time.Since(start)
	witness.end(t)
	found.tell(t)
	t.Logf("%d random streams from clients, %d from backends, in %v; %d requests to those, of which %d found a value; beside them %v",
		half, answered.Load(), took.Round(time.Millisecond), asked.Load(), hits.Load(), witness)
	if hits.Load() == 0 {
		t.Error("no backend has said anything that is right: the run says little")
	}
	if n := r.sum(r.figures(), "mcproxy_client_errors_total"); n == 0 {
		t.Error("the proxy has refused nothing: the run says little")
	}
}

// A babbler sends random streams, made of the words of the protocol and of bytes that are none.
type babbler struct {
	rng *rand.Rand
	ep  endpoint
	tag string
}

var babble = []string{
	"get", "gets", "gat", "gats", "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr", "touch", "mg", "ms", "md", "ma", "mn", "me",
	"stats", "version", "verbosity", "flush_all", "quit", "shutdown", "watch", "lru", "slabs", "cache_memlimit", "noreply", "0", "1", "5", "18", "19",
	"99999", "70000", "-1", "4294967295", "18446744073709551616", "99999999999", "v", "k", "f", "t", "s", "q", "O1", "T0", "N0", "b", "c", "S5", "MA", "I", "E7", " ", "  ", "\r\n", "\r\n", "\r\n",
	"\n", "\r", "\x00", "\x80", "\xff\xff", "VALUE", "END\r\n", "STORED\r\n", "VA 5\r\n", "GET / HTTP/1.1\r\n", "PROXY TCP4",
}

// stream sends one, and takes what is answered until the proxy has closed the conn.
func (b *babbler) stream() error {
	conn, err := b.ep.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	text := b.text()
	deadline := time.Now().Add(answerTimeout)
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write(text); err == nil {
		err = conn.Conn.(*net.TCPConn).CloseWrite()
		if err == nil && b.rng.IntN(4) == 0 {
			err = conn.Conn.(*net.TCPConn).SetLinger(0)
		}
		if err != nil && !isClosed(err) {
			return err
		}
	}
	answer, err := conn.rest(deadline)
	if err != nil && !isClosed(err) {
		return fmt.Errorf("%w; sent %s, got %s", err, quote(text), quote(answer))
	}
	for _, found := range tag.FindAll(answer, -1) {
		if string(found) != b.tag {
			return fmt.Errorf("got another's value %s, for %s: %s", found, quote(text), quote(answer))
		}
	}
	return nil
}

// isClosed says whether an error is the end of a conn that the peer has closed while we spoke.
func isClosed(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.As(err, &op) && !op.Timeout()
}

// text is up to about 40 words, mostly with blanks between them. A key is the babbler's own, or a random one that nobody else can have.
func (b *babbler) text() []byte {
	var text bytes.Buffer
	for range 1 + b.rng.IntN(40) {
		switch b.rng.IntN(12) {
		case 0: // bytes of any kind
			for range b.rng.IntN(60) {
				text.WriteByte(byte(b.rng.Uint32()))
			}
		case 1, 2:
			fmt.Fprintf(&text, "%s%d", b.tag, b.rng.IntN(4)) // a key
		case 3: // a whole request
			fmt.Fprintf(&text, "set %s%d 0 0 %d\r\n%s\r\n", b.tag, b.rng.IntN(4), len(b.tag), b.tag)
		case 4:
			fmt.Fprintf(&text, "%s %s%d v\r\n", babble[b.rng.IntN(20)], b.tag, b.rng.IntN(4))
		default:
			text.WriteString(babble[b.rng.IntN(len(babble))])
		}
		if b.rng.IntN(5) > 0 {
			text.WriteByte(' ')
		}
	}
	return text.Bytes()
}

// An asker asks mad backends for its own keys.
type asker struct {
	rng  *rand.Rand
	ep   endpoint
	tag  string
	conn *client
}

// ask sends one request, for one key or some, and judges its answer.
func (a *asker) ask() (hit bool, err error) {
	if a.conn == nil {
		if a.conn, err = a.ep.connect(); err != nil {
			return false, err
		}
	}
	keys := make([]string, 1+a.rng.IntN(3))
	for i := range keys {
		keys[i] = fmt.Sprintf("mad%s%d", a.tag, a.rng.IntN(askersKeys))
	}
	request := "get " + strings.Join(keys, " ")
	if _, err := fmt.Fprintf(a.conn, "%s\r\n", request); err != nil {
		return false, err
	}
	for {
		answer, err := a.conn.unit(time.Now().Add(answerTimeout))
		if err != nil {
			return hit, fmt.Errorf("%s: %w", request, err)
		}
		line := string(answer.line())
		if line == "END" || line == "ERROR" || strings.HasPrefix(line, "SERVER_ERROR ") || strings.HasPrefix(line, "CLIENT_ERROR ") {
			break
		}
		words := strings.Fields(line)
		if len(words) != 4 || words[0] != "VALUE" || !strings.Contains(request+" ", " "+words[1]+" ") {
			return hit, fmt.Errorf("%s: got %s", request, quote(answer))
		}
		for _, found := range tag.FindAll(answer, -1) {
			if string(found) != a.tag {
				return hit, fmt.Errorf("%s: got another's value: %s", request, quote(answer))
			}
		}
		hit = true
	}
	if a.rng.IntN(50) == 0 {
		a.conn.Close()
		a.conn = nil
	}
	return hit, nil
}

// A madBackend answers what it is asked with a random stream: right answers, wrong ones, other clients' values, words and bytes.
type madBackend struct {
	answered *atomic.Int64

	mu   sync.Mutex // guards what follows
	rng  *rand.Rand
	keys [64]string // asked for lately, by anybody
}

// startMad starts one and gives its address; it ends with the test.
func startMad(t *testing.T, seed uint64, answered *atomic.Int64) string {
	t.Helper()
	m := &madBackend{answered: answered, rng: rand.New(rand.NewPCG(seed, 400))}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var open sync.Map
	serving.Go(func() { // ends when the listener is closed; waited for below
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Store(conn, nil)
			serving.Go(func() { // ends with its conn; waited for below
				defer open.Delete(conn)
				defer conn.Close()
				m.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		for ended := false; !ended; {
			open.Range(func(conn, _ any) bool { return conn.(net.Conn).Close() != nil || true })
			done := make(chan struct{})
			go func() { // ends with those who serve
				serving.Wait()
				close(done)
			}()
			select {
			case <-done:
				ended = true
			case <-time.After(10 * time.Millisecond): // a conn that came last
			}
		}
	})
	return listener.Addr().String()
}

func (m *madBackend) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		answer, closes := m.probed(line)
		if answer == nil {
			answer, closes = m.answer(strings.Fields(line))
			m.answered.Add(1)
		}
		if _, err := conn.Write(answer); err != nil || closes {
			return
		}
	}
}

// probed is the answer to a probe, mostly: a backend that never answers one is down, and is asked for nothing. nil: the answer is to be random.
func (m *madBackend) probed(line string) (text []byte, closes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.rng.IntN(16) == 0:
		return nil, false
	case strings.HasPrefix(line, "version"):
		return []byte("VERSION 1.6.18\r\n"), false
	case strings.HasPrefix(line, "stats"):
		return []byte("STAT version 1.6.18\r\nEND\r\n"), false
	}
	return nil, false
}

// answer is the stream for a request. It never says a wrong value in the right form: a key's value is tagged as the key is, and one that is
// announced too short is of bytes that cannot end it.
func (m *madBackend) answer(words []string) (text []byte, closes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value := func(key string) string {
		if owner := tag.FindString(key); owner != "" {
			return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\n", key, len(owner), owner)
		}
		return "VALUE nobody 0 1\r\na\r\n"
	}
	var b bytes.Buffer
	var asked []string
	if len(words) > 1 {
		asked = words[1:]
		m.keys[m.rng.IntN(len(m.keys))] = words[1]
	}
	if m.rng.IntN(3) == 0 { // as it should be, and nothing besides
		for _, key := range asked {
			b.WriteString(value(key))
		}
		b.WriteString("END\r\n")
		return b.Bytes(), false
	}
	for range 1 + m.rng.IntN(3) {
		switch m.rng.IntN(10) {
		case 0, 1, 2, 3: // the right one
			for _, key := range asked {
				b.WriteString(value(key))
			}
			b.WriteString("END\r\n")
		case 4: // another's
			b.WriteString(value(m.keys[m.rng.IntN(len(m.keys))]))
		case 5:
			b.WriteString(babble[m.rng.IntN(len(babble))])
		case 6:
			for range m.rng.IntN(100) {
				b.WriteByte(byte(m.rng.Uint32()))
			}
		case 7:
			b.WriteString([...]string{"END\r\n", "STORED\r\n", "ERROR\r\n", "SERVER_ERROR out\r\n", "CLIENT_ERROR no\r\n", "EN\r\n", "HD\r\n", "VERSION 1\r\n", "OK\r\n"}[m.rng.IntN(9)])
		case 8: // too short
			if len(asked) > 0 {
				fmt.Fprintf(&b, "VALUE %s 0 %d\r\n%s\r\n", asked[0], m.rng.IntN(40), strings.Repeat("z", 43))
			}
		case 9: // too long, and the end
			if len(asked) > 0 {
				fmt.Fprintf(&b, "VALUE %s 0 %d\r\nabc\r\n", asked[0], 50+m.rng.IntN(1000))
			}
			return b.Bytes(), true
		}
		if m.rng.IntN(2) == 0 {
			break
		}
	}
	return b.Bytes(), m.rng.IntN(16) > 0 // most end it, for what is not whole keeps the conn until the deadline
}
