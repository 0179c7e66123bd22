package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write docs/hot-keys.md")

const hotKeysDoc = "../../docs/hot-keys.md"

// serveJSON answers the same to every request, as the admin address of a proxy would. It gives HOST:PORT.
func serveJSON(t *testing.T, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestHotKeysDoc has the command show the JSON that docs/hot-keys.md shows: it must give the table that the page has. (The
// JSON is held to the endpoint by package admin.)
func TestHotKeysDoc(t *testing.T) {
	text, err := os.ReadFile(hotKeysDoc)
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(text)
	if shown == nil {
		t.Fatalf("%s shows no JSON", hotKeysDoc)
	}
	var out, errOut bytes.Buffer
	if code := run([]string{"hotkeys", "--all", "--admin", serveJSON(t, string(shown[1]))}, nil, &out, &errOut); code != exitOK {
		t.Fatalf("hotkeys ended with %d: %s", code, &errOut)
	}
	const prompt = "```\n$ mcproxy hotkeys --all\n"
	head, rest, found := strings.Cut(string(text), prompt)
	got, tail, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatalf("%s has no block %q", hotKeysDoc, prompt)
	}
	if *update {
		if err := os.WriteFile(hotKeysDoc, []byte(head+prompt+out.String()+"```\n"+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(out.String(), got); diff != "" {
		t.Errorf("%s is out of date; run go test ./cmd/mcproxy -run HotKeysDoc -update (-want +got):\n%s", hotKeysDoc, diff)
	}
}

func TestHotKeysOfStrangers(t *testing.T) {
	long := strings.Repeat("k", 300)
	tests := []struct {
		name, answer string
		code         int
		want         string
	}{
		{
			"what moves the cursor", `{"pools":[{"pool":"p","watched":true,"at":"2026-01-01T00:00:00Z","keys":[{"key":"a\u001b[2Jb","hot":true,"kind":"\u0007"}]}]}`,
			exitOK, "a?[2Jb",
		},
		{
			"a long key", `{"pools":[{"pool":"p","watched":true,"at":"2026-01-01T00:00:00Z","keys":[{"key":"begin` + long + `end","hot":true}]}]}`,
			exitOK, "begin" + long[:35] + "…" + long[:16] + "end ",
		},
		{"no pools", `{"pools":[]}`, exitOK, ""},
		{"no JSON", `hello`, exitError, "but not as mcproxy's [admin] address does"},
		{"another JSON", `{"pools":5}`, exitError, "but not as mcproxy's [admin] address does"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			code := run([]string{"hotkeys", "--admin", serveJSON(t, tt.answer)}, nil, &out, &out)
			if code != tt.code || !strings.Contains(out.String(), tt.want) || strings.ContainsAny(out.String(), "\x1b\x07") {
				t.Errorf("answer %s: exit code %d, %q; want %d and %q", tt.answer, code, &out, tt.code, tt.want)
			}
		})
	}
}

// openTerminal gives both ends of a terminal of so many columns and lines.
func openTerminal(t *testing.T, columns, lines int) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(lines)}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// TestHotKeysOnATerminal shows more keys than a small terminal has lines, twice: each picture must fit, and the second must lie
// over the first.
func TestHotKeysOnATerminal(t *testing.T) {
	const columns, lines = 40, 10
	master, slave := openTerminal(t, columns, lines)
	var table strings.Builder
	for i := range 50 {
		fmt.Fprintf(&table, "%03d %s\n", i, strings.Repeat("é", 60))
	}
	s := newScreen(slave)
	if !s.terminal {
		t.Fatal("a terminal is not known as one")
	}
	for range 2 {
		if err := s.show([]byte(table.String())); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.show([]byte("short\n")); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for strings.Count(got.String(), wrap) < 3 {
		if _, err := io.CopyN(&got, master, 1); err != nil {
			t.Fatal(err)
		}
	}
	pictures := strings.SplitAfter(got.String(), wrap)[:3]
	for i, p := range pictures {
		begin := noWrap + toFirstLine
		if i == 0 {
			begin = noWrap + clearScreen
		}
		rest, ok := strings.CutPrefix(p, begin)
		if !ok || !strings.HasSuffix(rest, clearBelow+wrap) || strings.Contains(rest, clearScreen) {
			t.Errorf("picture %d is not written over the one before: %q", i+1, p)
		}
		rest = strings.TrimSuffix(rest, clearBelow+wrap)
		n := 0
		for line := range strings.Lines(rest) {
			n++
			text, ok := strings.CutSuffix(strings.TrimRight(line, "\r\n"), clearLine)
			if !ok || len([]rune(text)) >= columns {
				t.Errorf("picture %d: line %q leaves something old, or is too wide", i+1, line)
			}
		}
		if n >= lines {
			t.Errorf("picture %d has %d lines, and the terminal %d", i+1, n, lines)
		}
	}
	if want := "… 44 more lines" + clearLine; !strings.Contains(pictures[1], want) {
		t.Errorf("the second picture does not say %q: %q", want, pictures[1])
	}
	if !strings.Contains(pictures[2], "\nshort"+clearLine) {
		t.Errorf("the third picture: %q", pictures[2])
	}
}
