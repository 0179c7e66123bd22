package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mcproxy/internal/loopback"
)

// running is mcproxy as a process, with its admin endpoints.
type running struct {
	endpoint
	t     *testing.T
	pid   int
	admin string
}

// startRunning starts the program with a configuration that lacks the listener and the admin endpoints; it ends with the test.
func startRunning(t *testing.T, binary, config string) *running {
	t.Helper()
	r := &running{t: t, admin: loopback.Address(t)}
	r.pid, r.endpoint = runProgram(t, binary, fmt.Sprintf("[admin]\naddress = %q\npprof = true\n\n%s", r.admin, config))
	return r
}

// figures are the samples of /metrics, by name and labels as they stand there.
type figures map[string]float64

// get reads what is under a path of the admin address. Its conn does not stay. A proxy whose workers are too busy to tell is asked again.
func (r *running) get(path string) []byte {
	r.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: answerTimeout}
	start := time.Now()
	resp, err := client.Get("http://" + r.admin + path)
	for err == nil && resp.StatusCode != http.StatusOK && time.Since(start) < answerTimeout {
		resp.Body.Close()
		resp, err = client.Get("http://" + r.admin + path)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if took := time.Since(start); took > time.Second {
		r.t.Logf("%s took %v", path, took.Round(time.Millisecond))
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return body
}

// figures reads /metrics.
func (r *running) figures() figures {
	r.t.Helper()
	f := figures{}
	lines := bufio.NewScanner(bytes.NewReader(r.get("/metrics")))
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			r.t.Fatalf("/metrics: %q: %v", line, err)
		}
		f[line[:at]] = value
	}
	if err := lines.Err(); err != nil {
		r.t.Fatal(err)
	}
	return f
}

// sum adds up the samples of a metric that have all of labels, each written as `pool="main"`. One that has none fails the test: the
// name is wrong.
func (r *running) sum(f figures, name string, labels ...string) float64 {
	r.t.Helper()
	sum, found := 0.0, false
	for series, value := range f {
		bare, list, _ := strings.Cut(series, "{")
		if bare != name {
			continue
		}
		found = true
		has := true
		for _, label := range labels {
			has = has && strings.Contains(list, label)
		}
		if has {
			sum += value
		}
	}
	if !found {
		r.t.Errorf("/metrics has no %s", name)
	}
	return sum
}

// findings are what goroutines of a test found wrong: the first few, and how many.
type findings struct {
	mu    sync.Mutex // guards both
	first []string
	count int
}

func (f *findings) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count++; f.count <= 10 {
		f.first = append(f.first, fmt.Sprintf(format, args...))
	}
}

// tell fails the test with them.
func (f *findings) tell(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, text := range f.first {
		t.Error(text)
	}
	if f.count > len(f.first) {
		t.Errorf("and %d more", f.count-len(f.first))
	}
}
