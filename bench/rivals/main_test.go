package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcproxy/bench/rig"
	"mcproxy/bench/rigtest"
)

// A child that is not waited for is a goroutine that leaks.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRealNutcracker measures one load against a real nutcracker. A program that is missing fails it.
func TestRealNutcracker(t *testing.T) {
	page := filepath.Join(t.TempDir(), "sub", "page.md")
	var log bytes.Buffer
	err := run(t.Context(), []string{
		"--mcproxy", rigtest.Build(t), "--pairs", "1", "--seconds", "1", "--loads", "W3", "--against", nutcracker, "--out", page,
	}, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(written)
	for _, name := range []string{ours, nutcracker} {
		row := rowOf(t, text, name, "requests/s")
		for _, column := range []string{totalTime, "requests/s", medianTime, tailTime, "resident"} {
			if v := row[column]; v <= 0 {
				t.Errorf("%s: %s is %v", name, column, v)
			}
		}
	}
	mine, theirs := rowOf(t, text, ours, totalTime), rowOf(t, text, nutcracker, totalTime)
	verdict := rowOf(t, text, "user + system : nutcracker ≤ 0.60", "figure")
	if want := mine[totalTime] / theirs[totalTime]; math.Abs(verdict["figure"]-want) > 0.02*want+0.01 {
		t.Errorf("the verdict is on %v, and the figures give %v\n%s", verdict["figure"], want, text)
	}
	if strings.Contains(text, "NaN") || !strings.Contains(text, "| user + system : haproxy ≤ 0.80 | not measured |") {
		t.Errorf("the page has figures that are none, or lacks the target for whom was not there:\n%s", text)
	}
}

// rowOf finds a row by its first cell in the first table that has the column, and gives the figures at the start of its cells.
func rowOf(t *testing.T, page, name, column string) map[string]float64 {
	t.Helper()
	var head []string
	for line := range strings.Lines(page) {
		inner, isRow := strings.CutPrefix(strings.TrimSpace(line), "| ")
		cells := strings.Split(strings.TrimSuffix(inner, " |"), " | ")
		switch {
		case !isRow:
			head = nil
		case head == nil:
			head = cells
		case cells[0] == name && slices.Contains(head, column):
			row := map[string]float64{}
			for i, cell := range cells[1:] {
				figure, _, _ := strings.Cut(cell, " ")
				if v, err := strconv.ParseFloat(figure, 64); err == nil {
					row[head[i+1]] = v
				}
			}
			return row
		}
	}
	t.Fatalf("the page has no row %q in a table with a column %q:\n%s", name, column, page)
	return nil
}

// TestRealStrace counts the system calls of lone gets.
func TestRealStrace(t *testing.T) {
	opts := &options{Options: rig.Options{Binary: rigtest.Build(t), Pairs: 1, Duration: time.Second}, against: []string{nutcracker}}
	var log bytes.Buffer
	h, err := newHarness(t.Context(), opts, &log)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	fl, err := h.startFleet(t.Context(), 1, 64)
	if err != nil {
		t.Fatal(err)
	}
	defer fl.Close()
	mcproxy, rivals, err := fl.startAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lone := traffic{conns: 1, pipeline: 1, keys: 10, multiget: 1, valueSize: 100}
	if err := h.fill(t.Context(), lone, fl.Memcacheds); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		proxy rig.Proxy
		want  float64 // read in their sources: two turns, each with a wait, a read and a write; twemproxy has six more
	}{{mcproxy, 6}, {rivals[0], 12}} {
		got, err := h.callsPerRequest(t.Context(), subject{test.proxy, lone}, 200)
		if err != nil {
			t.Fatal(err)
		}
		if n := got.carrying().total(); math.Abs(n-test.want) > 0.5 {
			t.Errorf("%s: %.2f system calls for a lone get, want %v: %v", test.proxy.Name, n, test.want, got)
		}
	}
}

// TestInterrupt stops a comparison in the middle of a run: it ends soon, and leaves neither processes nor files.
func TestInterrupt(t *testing.T) {
	binary := rigtest.Build(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	page := filepath.Join(t.TempDir(), "page.md")
	ctx, cancel := context.WithCancel(t.Context())
	log := &waiter{word: "pair 1 of", found: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"--mcproxy", binary, "--pairs", "1000", "--loads", "W3", "--seconds", "1", "--against", nutcracker, "--out", page}, log)
	}()
	select {
	case <-log.found:
	case err := <-done:
		t.Fatalf("ended by itself: %v\n%s", err, log)
	}
	cancel()
	select {
	case err := <-done:
		if err == nil || err.Error() != "interrupted" {
			t.Errorf("run: %v, want interrupted", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("still running 30 s after it was interrupted\n%s", log)
	}
	if _, err := os.Stat(page); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a page was written of no load: %v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
	if left := childrenOf(t, os.Getpid()); len(left) > 0 {
		t.Errorf("processes left behind: %q", left)
	}
}

// childrenOf are the processes that a process has started and that are not gone.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Fatalf("no processes in /proc: %v", err)
	}
	var children []string
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			children = append(children, string(text))
		}
	}
	return children
}

// A waiter closes found when the word is written.
type waiter struct {
	rig.Tail
	word  string
	found chan struct{}
	seen  bool
}

func (w *waiter) Write(p []byte) (int, error) {
	n, err := w.Tail.Write(p)
	if !w.seen && strings.Contains(w.String(), w.word) {
		w.seen = true
		close(w.found)
	}
	return n, err
}

func TestMissing(t *testing.T) {
	for _, test := range []struct{ name, args, want string }{
		{"mcproxy", "--mcproxy /nowhere/mcproxy", "make build makes it"},
		{"a rival's process", "--mcproxy /bin/true --rival x=127.0.0.1:1,2147483647", "rival x: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			args := append(strings.Fields(test.args), "--against", "none", "--out", filepath.Join(t.TempDir(), "page.md"))
			if err := run(t.Context(), args, &log); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("run(%q) = %v, want an error with %q", args, err, test.want)
			}
		})
	}
}
