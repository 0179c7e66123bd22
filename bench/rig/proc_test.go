package rig

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 4242 4242 0 -1 4194560 1000 0 0 0 123 4567 8 9 20 0 5 0 98765 1234567890 321 18446744073709551615 1 1"
	for _, name := range []string{"(mcproxy)", "(a b)", "(a) S 1 (b)", "()"} {
		got, err := parseStat("4242 "+name+rest, 4096)
		want := Usage{User: 1230 * time.Millisecond, System: 45670 * time.Millisecond, Resident: 321 * 4096}
		if err != nil || got != want {
			t.Errorf("parseStat of %s = %+v, %v, want %+v", name, got, err, want)
		}
	}
	for _, text := range []string{"", "4242 (x", "4242 (x) S 1 2 3", strings.Replace("1 (x)"+rest, "4567", "many", 1)} {
		if got, err := parseStat(text, 4096); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", text, got)
		}
	}
}

// TestOwnUsage reads this process: its time grows when it computes, and its memory is there.
func TestOwnUsage(t *testing.T) {
	before, err := ReadUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for deadline := time.Now().Add(10 * time.Second); ; {
		for i := range 1_000_000 {
			sum += i * sum
		}
		after, err := ReadUsage(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after.User > before.User {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("user time stays at %v after 10 s of computing (%d)", after.User, sum)
		}
	}
	exact, err := ReadResident(os.Getpid())
	if err != nil || exact < 1<<20 {
		t.Errorf("readResident = %d, %v, want over 1 MiB", exact, err)
	}
}

func TestParseSize(t *testing.T) {
	const text = "55d0-7ffd ---p 00000000 00:00 0    [rollup]\nRss:               12345 kB\nPss:                9999 kB\n"
	if got, err := parseSize(text, "Rss"); err != nil || got != 12345<<10 {
		t.Errorf("parseRollup = %d, %v, want %d", got, err, 12345<<10)
	}
	for _, text := range []string{"", "Pss: 1 kB\n", "Rss: 1\n", "Rss: x kB\n"} {
		if got, err := parseSize(text, "Rss"); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseCores(t *testing.T) {
	for text, want := range map[string][]int{"0": {0}, "0-1\n": {0, 1}, "1,4-6,9": {1, 4, 5, 6, 9}} {
		if got, err := parseCores(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("parseCores(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "1-", "-1"} {
		if got, err := parseCores(text); err == nil {
			t.Errorf("parseCores(%q) = %v, want an error", text, got)
		}
	}
}
