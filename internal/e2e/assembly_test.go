//go:build !race

package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcproxy/internal/loopback"
	"mcproxy/internal/memcachedtest"
)

var (
	largeClients = flag.Int("large-clients", 24, "clients of TestLargeValuesMemory")
	largeValue   = flag.Int("large-value", 4<<20, "bytes of each of its values")
	largeBudget  = flag.Int("large-budget", 8<<20, "bytes of its proxy's budget")
	largeTimeout = flag.Duration("large-timeout", 10*time.Second, "its proxy's timeout for backends")
	largeRounds  = flag.Int("large-rounds", 2, "sets and gets of each of its clients")
)

// TestLargeValuesMemory has many clients set and get large values at once, far more than the budget holds, each a key of its own
// and one that all share. Every value must be right, none refused, and the program's memory bounded: by the budget, as much
// again that the garbage collector has not come round to, and what is kept for reuse.
func TestLargeValuesMemory(t *testing.T) {
	const backends = 4
	admin := loopback.Address(t)
	var list []string
	for range backends {
		list = append(list, strconv.Quote(memcachedtest.Start(t, "-m", "2048").Addr()))
	}
	pid, ep := startProgramOf(t, fmt.Sprintf("[admin]\naddress = %q\n\n[proxy]\nassembly = \"%dB\"\nassembly_wait = \"30s\"\n\n"+
		"[pools.main]\ntimeout = \"%v\"\nstall_timeout = \"10s\"\nbackends = [%s]\n\n[pools.main.split]\nenabled = true\n",
		admin, *largeBudget, *largeTimeout, strings.Join(list, ", ")))
	ep.dial(t).ask(t, fmt.Sprintf("set shared 7 0 %d\r\n%s\r\n", *largeValue, bytes.Repeat([]byte{'s'}, *largeValue)), "STORED\r\n")
	before := residentMemory(t, pid)

	var most atomic.Int64
	ended := make(chan struct{})
	var watch, clients sync.WaitGroup
	watch.Go(func() { // ends with ended
		for {
			select {
			case <-ended:
				return
			case <-time.After(10 * time.Millisecond):
				most.Store(max(most.Load(), residentMemory(t, pid)))
			}
		}
	})
	began := time.Now()
	for i := range *largeClients {
		clients.Go(func() { setAndGetLarge(t, ep, i) })
	}
	clients.Wait()
	took := time.Since(began)
	close(ended)
	watch.Wait()

	m := assemblyMetrics(t, admin)
	grown := most.Load() - before
	t.Logf("%.0f timeouts, %.0f calls failed; %.0f chunks missing, %.0f retries", m["mcproxy_backend_call_timeouts_total"],
		m["mcproxy_backend_call_failures_total"], m["mcproxy_split_chunks_missing_total"], m["mcproxy_split_retries_total"])
	bytesMoved := float64(*largeClients) * float64(*largeRounds) * float64(*largeValue) * 3
	t.Logf("%d clients, %d rounds of values of %d bytes in %v (%.0f MB/s): resident memory grew by %.1f MiB at most; %.0f waits; the budget of %.0f bytes held %.0f at most",
		*largeClients, *largeRounds, *largeValue, took, bytesMoved/1e6/took.Seconds(), float64(grown)/(1<<20),
		m["mcproxy_assembly_waits_total"], m["mcproxy_assembly_limit_bytes"], m["mcproxy_assembly_peak_bytes"])
	if m["mcproxy_assembly_peak_bytes"] > float64(*largeBudget) || m["mcproxy_assembly_limit_bytes"] != float64(*largeBudget) {
		t.Errorf("the budget held %.0f bytes", m["mcproxy_assembly_peak_bytes"])
	}
	if m["mcproxy_assembly_bytes"] != 0 || m["mcproxy_assembly_waiting"] != 0 || m["mcproxy_assembly_expired_total"] != 0 {
		t.Errorf("when all is over: %v", m)
	}
	if m["mcproxy_assembly_waits_total"] == 0 {
		t.Error("nobody had to wait: the test proves nothing")
	}
	// The collector comes round when the heap has doubled. Free buffers are kept for reuse, by each worker, as many as were in use.
	if limit := 2*int64(*largeBudget) + min(int64(*largeBudget), 128<<20) + largeOverhead; grown > limit {
		t.Errorf("resident memory grew by %d MiB, more than %d", grown>>20, limit>>20)
	}
}

// largeOverhead is what the program may take beside: buffers of conns, and what it needs to live.
const largeOverhead = 64 << 20

// setAndGetLarge sets values and reads them back.
func setAndGetLarge(t *testing.T, ep endpoint, number int) {
	rng := rand.New(rand.NewPCG(1, uint64(number)))
	conn, err := ep.connect()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	value := make([]byte, *largeValue)
	ask := func(request []byte, want string, size int) []byte {
		if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Error(err)
			return nil
		}
		if _, err := conn.Write(request); err != nil {
			t.Errorf("client %d: %v", number, err)
			return nil
		}
		answer := make([]byte, size)
		n, err := io.ReadAtLeast(conn, answer, min(5, size))
		if err == nil && strings.HasPrefix(string(answer[:n]), want) {
			_, err = io.ReadFull(conn, answer[n:])
		}
		if err != nil || !strings.HasPrefix(string(answer), want) {
			t.Errorf("client %d: %.30q: %v, answered %.60q", number, request, err, answer[:n])
			return nil
		}
		return answer
	}
	for round := range *largeRounds {
		for i := 0; i+8 <= len(value); i += 8 {
			v := rng.Uint64()
			for j := range 8 {
				value[i+j] = byte(v >> (8 * j))
			}
		}
		request := append(append(fmt.Appendf(nil, "set large%d %d 0 %d\r\n", number, round, len(value)), value...), "\r\n"...)
		if ask(request, "STORED\r\n", 8) == nil {
			return
		}
		head := fmt.Sprintf("VALUE large%d %d %d\r\n", number, round, len(value))
		answer := ask(fmt.Appendf(nil, "get large%d\r\n", number), head, len(head)+len(value)+len("\r\nEND\r\n"))
		if answer == nil {
			return
		}
		if want := string(value) + "\r\nEND\r\n"; string(answer[len(head):]) != want {
			t.Errorf("client %d: round %d: another value came back", number, round)
			return
		}
		head = fmt.Sprintf("VALUE shared 7 %d\r\n", len(value))
		if answer = ask([]byte("get shared\r\n"), head, len(head)+len(value)+len("\r\nEND\r\n")); answer == nil {
			return
		}
		if bytes.Count(answer[len(head):], []byte{'s'}) != len(value) {
			t.Errorf("client %d: another value of shared came back", number)
		}
	}
}

// residentMemory is a process's, in bytes.
func residentMemory(t *testing.T, pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Error(err)
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Error(err)
	}
	return pages * int64(os.Getpagesize())
}

// assemblyMetrics asks a program for its metrics, summed over their labels.
func assemblyMetrics(t *testing.T, admin string) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]float64)
	for _, m := range regexp.MustCompile(`(?m)^(mcproxy_\w+)(?:\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Error(err)
		}
		found[m[1]] += v
	}
	return found
}
