package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
)

// A naiveProxy does what a simple proxy does: it answers a miss when its one server is silent or away, tries again half a
// second later, and keeps no record of the writes that were lost. The chaos must see old values come back.
type naiveProxy struct {
	target    endpoint
	downUntil atomic.Int64 // Unix nanoseconds
}

func startNaiveProxy(t testing.TB, target endpoint) endpoint {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &naiveProxy{target: target}
	var conns sync.WaitGroup
	done := make(chan struct{})
	go func() { // ends when the listener is closed; waited for below
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.serve(conn) }) // ends when the client closes
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		conns.Wait()
	})
	return endpoint{"tcp", listener.Addr().String()}
}

func (p *naiveProxy) serve(conn net.Conn) {
	defer conn.Close()
	var server *client
	defer func() {
		if server != nil {
			server.Close()
		}
	}()
	in := bufio.NewReader(conn)
	for {
		request, err := readRequest(in)
		if err != nil {
			return
		}
		answer, err := p.ask(&server, request)
		if err != nil {
			if !errors.Is(err, errDown) {
				p.downUntil.Store(time.Now().Add(500 * time.Millisecond).UnixNano())
			}
			if server != nil {
				server.Close()
				server = nil
			}
			answer = failedAnswer(request)
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

var errDown = errors.New("down")

func (p *naiveProxy) ask(server **client, request []byte) ([]byte, error) {
	if time.Now().UnixNano() < p.downUntil.Load() {
		return nil, errDown
	}
	if *server == nil {
		c, err := p.target.connect()
		if err != nil {
			return nil, err
		}
		*server = c
	}
	if _, err := (*server).Write(request); err != nil {
		return nil, err
	}
	var answer []byte
	for {
		u, err := (*server).unit(time.Now().Add(failingTimeout))
		if err != nil {
			return nil, err
		}
		answer = append(answer, u...)
		if !bytes.HasPrefix(u, []byte("VALUE ")) {
			return answer, nil
		}
	}
}

// readRequest reads one of the commands that the chaos sends.
func readRequest(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(line))
	size := ""
	switch words[0] {
	case "set":
		size = words[4]
	case "ms":
		size = words[2]
	default:
		return line, nil
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		return nil, err
	}
	block := make([]byte, n+2)
	if _, err := io.ReadFull(in, block); err != nil {
		return nil, err
	}
	return append(line, block...), nil
}

func failedAnswer(request []byte) []byte {
	verb, _, _ := strings.Cut(string(request), " ")
	return []byte(map[string]string{
		"get": "END\r\n", "mg": "EN\r\n", "set": "NOT_STORED\r\n", "ms": "NS\r\n", "delete": "NOT_FOUND\r\n", "incr": "NOT_FOUND\r\n",
	}[verb])
}

// TestNoticesFailingBackend shows that the chaos sees old values come back through a naive proxy, and that it sees broken
// answers.
func TestNoticesFailingBackend(t *testing.T) {
	t.Run("no journal", func(t *testing.T) {
		mc := memcachedtest.Start(t)
		c := newChaos(startNaiveProxy(t, endpointOf(mc)), failingLimit, false)
		c.start(seed(t), 8)
		time.Sleep(300 * time.Millisecond)
		mc.Pause()
		time.Sleep(600 * time.Millisecond)
		mc.Resume()
		time.Sleep(700 * time.Millisecond) // the proxy tries again
		c.finish()
		c.wantProblem(t, "STALE")
	})
	for name, f := range faults {
		if name == "says a miss" {
			continue // a cache may
		}
		t.Run(name, func(t *testing.T) {
			c := newChaos(startRelay(t, endpointOf(memcachedtest.Start(t)), every(200, f)), failingLimit, false)
			c.patience = time.Second
			c.start(seed(t), 2)
			for end := time.Now().Add(20 * time.Second); c.noticed() == 0 && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
			}
			c.stop.Store(true)
			c.clients.Wait()
			c.wantProblem(t, "")
		})
	}
}

// noticed is how many problems there are so far.
func (c *chaos) noticed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func (c *chaos) wantProblem(t *testing.T, text string) {
	t.Helper()
	for _, p := range c.problems {
		if strings.Contains(p, text) {
			t.Logf("noticed, among %d: %.200s", c.count, p)
			return
		}
	}
	t.Errorf("nothing noticed with %q, of %d problems; answers %v", text, c.count, c.tally)
}
