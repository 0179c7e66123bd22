package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStrace(t *testing.T) {
	text, err := os.ReadFile("testdata/strace.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseStrace(string(text))
	want := calls{"sendto": 4000, "recvfrom": 4002, "epoll_pwait": 4000, "futex": 50}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("parseStrace: %v (-want +got):\n%s", err, diff)
	}
	if got.total() != 12052 || got.carrying().total() != 12002 {
		t.Errorf("%v calls, %v of them carrying, want 12052 and 12002", got.total(), got.carrying().total())
	}
	for name, change := range map[string][2]string{
		"a line lost":      {" 30.00    0.038000           9      4002         2 recvfrom\n", ""},
		"the end lost":     {"100.00    0.127335          10     12052        27 total\n", ""},
		"a number in text": {"4002", "many"},
		"a short line":     {"         2 recvfrom", ""},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if got, err := parseStrace(changed); err == nil || changed == string(text) {
			t.Errorf("%s: parseStrace = %v, want an error", name, got)
		}
	}
	if got, err := parseStrace(""); err == nil {
		t.Errorf("parseStrace of nothing = %v, want an error", got)
	}
}

func TestCallsText(t *testing.T) {
	c := calls{"sendto": 2, "recvfrom": 2, "epoll_pwait": 2.25, "futex": 0.009}
	if got, want := c.String(), "epoll_pwait 2.25, recvfrom 2.00, sendto 2.00"; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
}
