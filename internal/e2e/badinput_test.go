package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// memoryBound is what a broken client may make the process grow by while it lasts, in bytes: the largest request line,
// the largest value, and some.
const memoryBound = 256 << 20

// A witness is checked traffic beside a broken client: nobody else may notice.
type witness struct {
	*chaos
	before uint64 // bytes of heap in use
	most   uint64
	bound  uint64 // by which it may grow
}

func newWitness(ep endpoint) *witness {
	w := &witness{bound: memoryBound, chaos: newChaos(ep, 2*time.Second, false), before: heap()}
	w.start(1, 2)
	return w
}

// heap is the process's heap in use, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// end checks that the witness noticed nothing, and that the memory came back.
func (w *witness) end(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(answerTimeout); w.answers("STORED") < 50 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // it has hardly begun
	}
	w.finish()
	for _, p := range w.problems {
		t.Errorf("another client noticed: %s", p)
	}
	if w.tally["NOT_STORED"] > 0 || w.tally["NS"] > 0 || w.tally["STORED"] == 0 {
		t.Errorf("another client was told %v", w.tally)
	}
	if w.most > w.before+w.bound {
		t.Errorf("the heap grew by %d MiB, more than %d", (w.most-w.before)>>20, w.bound>>20)
	}
	for deadline := time.Now().Add(answerTimeout); ; time.Sleep(10 * time.Millisecond) {
		now := heap()
		if now < w.before+16<<20 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("%d MiB of heap were not given back", (now-w.before)>>20)
			break
		}
	}
}

// look measures the heap while something is going on.
func (w *witness) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.most = max(w.most, m.HeapInuse)
}

// TestBadInputClients lets clients do what no client should, each beside a witness.
func TestBadInputClients(t *testing.T) {
	s := startService(t, 1)
	for name, client := range map[string]func(*testing.T, *service, *witness){
		"line too long":            badLongLine,
		"retrieval without an end": badEndlessGet,
		"long keys":                badLongKeys,
		"every byte in a key":      badKeyBytes,
		"lengths":                  badLengths,
		"a value over the bound":   badLargeValue,
		"stops in mid-value":       badHalfValue,
		"one byte at a time":       badSlowWriter,
		"100,000 keys":             badManyKeys,
		"1,000 commands at once":   badPipeline,
		"comes and goes":           badVisits,
		"resets":                   badResets,
		"half-closes":              badHalfClose,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWitness(s.endpoint)
			client(t, s, w)
			w.look()
			w.end(t)
		})
	}
}

// TestBadInputNeverReads is a case of its own, with a short timeout and little memory: a client that pipelines large answers
// must neither make others wait for them nor have them kept for it.
func TestBadInputNeverReads(t *testing.T) {
	s := startService(t, 1)
	if !s.memcached {
		p := poolOf(s.servers...)
		p.Backend.Timeout = time.Second
		s = startProxy(t, p)
	}
	w := newWitness(s.endpoint)
	w.bound = 160 << 20 // 117 MiB were seen on a busy machine
	badNeverReads(t, s, w)
	w.look()
	w.end(t)
}

// wantEnd checks that the conn is closed after text.
func wantEnd(t *testing.T, c *client, what, text string) {
	t.Helper()
	if got, err := c.rest(time.Now().Add(answerTimeout)); err != nil || string(got) != text {
		t.Errorf("%s: got %s, %v; want %q and the end", what, quote(got), err, text)
	}
}

func badLongLine(t *testing.T, s *service, _ *witness) {
	for _, text := range []string{strings.Repeat("x", 3000), "set " + strings.Repeat("k", 5000), strings.Repeat("mg x ", 1<<16), "\x00" + strings.Repeat("\xff", 4000)} {
		c := s.dial(t)
		_, _ = c.Write([]byte(text)) // it may be cut short
		wantEnd(t, c, text[:10], "")
	}
}

// badEndlessGet sends a line that never ends: retrievals may be of any length, but not of any memory.
func badEndlessGet(t *testing.T, s *service, w *witness) {
	if s.memcached {
		return // which takes it all
	}
	c := s.dial(t)
	chunk := []byte(strings.Repeat("key ", 1<<18))
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Write([]byte("get "))
	for sent := 0; err == nil && sent < 256<<20; sent += len(chunk) {
		_, err = c.Write(chunk)
		w.look()
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("256 MiB of a line were taken: %v", err)
	}
}

func badLongKeys(t *testing.T, s *service, _ *witness) {
	c := s.dial(t)
	long := strings.Repeat("k", 1900)
	c.ask(t, "get "+strings.Repeat("k", 1<<20)+"\r\nmn\r\n", badFormat+"MN\r\n")
	c.ask(t, "delete "+long+"\r\nincr "+long+" 1\r\ntouch "+long+" 0\r\nmg "+long+"\r\nmd "+long+"\r\nme "+long+"\r\nmn\r\n", strings.Repeat(badFormat, 6)+"MN\r\n")
}

// badKeyBytes puts every byte value into a key: what is asked next is answered as ever.
func badKeyBytes(t *testing.T, s *service, _ *witness) {
	c := s.dial(t)
	for b := range 256 {
		key := "a" + string([]byte{byte(b)}) + "b"
		answer, closed, err := c.exchange([]byte("get " + key + "\r\nset " + key + " 0 0 1\r\na\r\nmg " + key + " v\r\ndelete " + key + "\r\nset in-step 0 0 1\r\na\r\nget in-step\r\n"))
		if err != nil || closed || !bytes.HasSuffix(answer, []byte("STORED\r\nVALUE in-step 0 1\r\na\r\nEND\r\n")) {
			t.Errorf("byte %#x: %q, closed %v, %v", b, answer, closed, err)
			c = s.dial(t)
		}
	}
}

func badLengths(t *testing.T, s *service, _ *witness) {
	c := s.dial(t)
	for _, length := range []string{"-1", "-2147483648", "x", "1e3", "0x10", "2147483646", "2147483647", "3.5"} {
		c.ask(t, "set k 0 0 "+length+"\r\nmn\r\nms k "+length+"\r\nmn\r\n", strings.Repeat(badFormat+"MN\r\n", 2))
	}
	if s.memcached {
		return // it cuts longer numbers to 32 bits, and says ERROR to none
	}
	for _, length := range []string{"", "2147483648", "4294967295", "4294967297", "9223372036854775808", "99999999999999999999999"} {
		c.ask(t, "set k 0 0 "+length+"\r\nmn\r\nms k "+length+"\r\nmn\r\n", strings.Repeat(badFormat+"MN\r\n", 2))
	}
}

// badLargeValue sends a value over the proxy's own bound: it is swallowed, not kept, and the old item is gone.
func badLargeValue(t *testing.T, s *service, w *witness) {
	c := s.dial(t)
	c.ask(t, "set large 0 0 1\r\na\r\n", "STORED\r\n")
	const size = 100 << 20
	if _, err := fmt.Fprintf(c, "set large 0 0 %d\r\n", size); err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for range size / len(chunk) {
		if _, err := c.Write(chunk); err != nil {
			t.Fatal(err)
		}
		w.look()
	}
	c.ask(t, "\r\nget large\r\n", tooLarge+"END\r\n")
}

// badHalfValue stops in the middle of a value, on many conns, and goes away.
func badHalfValue(t *testing.T, s *service, w *witness) {
	c := s.dial(t)
	c.ask(t, "set half 0 0 3\r\nold\r\n", "STORED\r\n")
	var conns []*client
	for range 50 {
		half := s.dial(t)
		if _, err := half.Write([]byte("set half 0 0 1000000\r\n" + strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, half)
	}
	w.look()
	for _, half := range conns {
		half.Close()
	}
	c.ask(t, "get half\r\n", "VALUE half 0 3\r\nold\r\nEND\r\n")
}

// badNeverReads asks for a megabyte again and again without reading: it stops being read, and costs a bounded amount. When
// it reads at last, all is there.
func badNeverReads(t *testing.T, s *service, w *witness) {
	value := strings.Repeat("v", 1_000_000)
	c := s.dial(t)
	c.ask(t, "set million 0 0 1000000\r\n"+value+"\r\n", "STORED\r\n")
	sent := 0
	for {
		// A client that is being read again within half a second is not one that was stopped.
		if err := c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Write([]byte(strings.Repeat("get million\r\n", 100)))
		sent += n
		w.look()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil || sent > 256<<20 {
			t.Fatalf("after %d bytes of requests: %v", sent, err)
		}
	}
	want := fmt.Sprintf("VALUE million 0 1000000\r\n%s\r\n", value)
	misses := 0 // a value that took longer than the pool's timeout to come is one
	for i := range 200 {
		u, err := c.unit(time.Now().Add(answerTimeout))
		if err == nil && string(u) == want {
			u, err = c.unit(time.Now().Add(answerTimeout))
		} else {
			misses++
		}
		if err != nil || string(u) != "END\r\n" {
			t.Fatalf("answer %d: %s, %v", i, quote(u), err)
		}
	}
	w.look()
	c.Close()
	t.Logf("%d bytes of requests were taken; of 200 answers %d are misses; the heap grew by %d MiB", sent, misses, (w.most-w.before)>>20)
}

func badSlowWriter(t *testing.T, s *service, _ *witness) {
	c := s.dial(t)
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		t.Fatal(err)
	}
	request := "set slow 5 0 10\r\n0123456789\r\nget slow nothing slow\r\nmg slow v k f\r\nms slow 3 T0\r\nabc\r\nincr slow 1\r\ndelete slow\r\nfoo\r\n"
	for i := range len(request) {
		if _, err := c.Write([]byte{request[i]}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Microsecond) // so that each byte is a packet
	}
	item := "VALUE slow 5 10\r\n0123456789\r\n"
	c.ask(t, "mn\r\n", "STORED\r\n"+item+item+"END\r\nVA 10 kslow f5\r\n0123456789\r\nHD\r\n"+nonNumeric+"DELETED\r\nERROR\r\nMN\r\n")
}

// badManyKeys asks for 100,000 keys in one line, each tenth of which is there.
func badManyKeys(t *testing.T, s *service, _ *witness) {
	c := s.dial(t)
	var sets, gets, want bytes.Buffer
	gets.WriteString("get")
	for i := range 100_000 {
		key := fmt.Sprintf("many-%d", i)
		fmt.Fprintf(&gets, " %s", key)
		if i%10 == 0 {
			fmt.Fprintf(&sets, "set %s 0 0 5 noreply\r\nvalue\r\n", key)
			fmt.Fprintf(&want, "VALUE %s 0 5\r\nvalue\r\n", key)
		}
	}
	c.ask(t, sets.String(), "")
	c.ask(t, gets.String()+"\r\n", want.String()+"END\r\n")
}

func badPipeline(t *testing.T, s *service, _ *witness) {
	c := s.dial(t)
	var send, want strings.Builder
	for i := range 250 {
		fmt.Fprintf(&send, "set p%d 0 0 1\r\na\r\nget p%d\r\nfoo\r\nmg p%d v q\r\n", i, i, i)
		fmt.Fprintf(&want, "STORED\r\nVALUE p%d 0 1\r\na\r\nEND\r\nERROR\r\nVA 1\r\na\r\n", i)
	}
	c.ask(t, send.String(), want.String())
}

func badVisits(t *testing.T, s *service, _ *witness) {
	for i := range 1000 {
		c, err := s.connect()
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_, _ = c.Write([]byte("get visit\r\nset visit 0 0 5\r\nab"))
		}
		c.Close()
	}
}

// badResets breaks conns off while answers are on their way.
func badResets(t *testing.T, s *service, _ *witness) {
	s.dial(t).ask(t, "set reset 0 0 100000\r\n"+strings.Repeat("r", 100_000)+"\r\n", "STORED\r\n")
	for range 200 {
		c, err := s.connect()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(strings.Repeat("get reset\r\n", 20)))
		if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// badHalfClose sends no more, and still reads: it gets all its answers and the end.
func badHalfClose(t *testing.T, s *service, _ *witness) {
	c := s.dial(t)
	if _, err := c.Write([]byte("set fin 0 0 1\r\na\r\nget fin\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, c, "half-close", "STORED\r\nVALUE fin 0 1\r\na\r\nEND\r\n")
}
