package durable_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcproxy/internal/durable"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("DURABLE_TEST_FILE"); path != "" {
		putUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// open opens a set, and closes it with the test.
func open(t *testing.T, path string) (s *durable.Set, members []string, torn int64) {
	t.Helper()
	s, members, torn, err := durable.Open(path, durable.Options{Fail: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	slices.Sort(members)
	return s, members, torn
}

func waitSafe(t *testing.T, s *durable.Set) {
	t.Helper()
	for end := time.Now().Add(time.Minute); s.Safe() < s.Asked(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not become safe")
		}
	}
}

func TestMembersStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, members, _ := open(t, path)
	if len(members) > 0 {
		t.Errorf("a new set has %q", members)
	}
	s.Put("a")
	s.Put("b\x00\n")
	s.Put("a")
	s.Put("c")
	s.Drop("c")
	s.Drop("never")
	s.Close()
	s, members, torn := open(t, path)
	if want := []string{"a", "b\x00\n"}; !slices.Equal(members, want) || torn != 0 {
		t.Errorf("after a restart there are %q, %d bytes torn; want %q", members, torn, want)
	}
	s.Drop("a")
	s.Close()
	if _, members, _ = open(t, path); !slices.Equal(members, []string{"b\x00\n"}) {
		t.Errorf("after another there are %q", members)
	}
}

// TestTornTail cuts the file everywhere: what is before the cut is there, and nothing else.
func TestTornTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _, _ := open(t, path)
	var ends []int64
	for i := range 5 {
		s.Put(fmt.Sprintf("member%d", i))
		waitSafe(t, s)
		ends = append(ends, s.Figures().Bytes)
	}
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		for _, junk := range []string{"", "\x00\x00\x00\x00", "\x05\x00\x00\x00junkjunkjunk"}[cut%3:][:1] {
			cutPath := filepath.Join(t.TempDir(), "cut")
			if err := os.WriteFile(cutPath, append(slices.Clone(whole[:cut]), junk...), 0o600); err != nil {
				t.Fatal(err)
			}
			want := 0
			for _, e := range ends {
				if e <= int64(cut) {
					want++
				}
			}
			if int64(cut) < ends[0]-16 && junk != "" {
				continue // not even the head is there
			}
			c, members, _ := open(t, cutPath)
			if len(members) != want {
				t.Fatalf("cut at %d, then %q: %d members, want %d", cut, junk, len(members), want)
			}
			c.Put("more")
			c.Close()
			c, members, torn := open(t, cutPath)
			if len(members) != want+1 || torn != 0 {
				t.Fatalf("cut at %d: after another member there are %q, %d torn", cut, members, torn)
			}
			c.Close()
		}
	}
}

// TestFileDoesNotGrow puts and drops for long.
func TestFileDoesNotGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _, _ := open(t, path)
	s.Put("stays")
	for i := range 60 {
		for j := range 200 {
			s.Put(fmt.Sprintf("%d %d %s", i, j, strings.Repeat("x", 100)))
		}
		for j := range 200 {
			s.Drop(fmt.Sprintf("%d %d %s", i, j, strings.Repeat("x", 100)))
		}
		waitSafe(t, s)
	}
	s.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 2<<20 {
		t.Errorf("the file has %d bytes", info.Size())
	}
	if _, members, _ := open(t, path); !slices.Equal(members, []string{"stays"}) {
		t.Errorf("%d members", len(members))
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _, _ := open(t, path)
	go func() { // ends when it has closed the set
		time.Sleep(50 * time.Millisecond)
		s.Close()
	}()
	open(t, path) // waits for the other
	if _, _, _, err := durable.Open(path, durable.Options{}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a file that is in use: %v", err)
	}
}

func TestForeignFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	const text = "root:x:0:0:root:/root:/bin/bash\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := durable.Open(path, durable.Options{}); err == nil {
		t.Error("it was opened")
	}
	if now, _ := os.ReadFile(path); string(now) != text {
		t.Errorf("it was changed to %q", now)
	}
}

// TestBrokenDiskHoldsNobodyUp takes the directory away, so that the file cannot be written anew.
func TestBrokenDiskHoldsNobodyUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 100)
	s, _, _, err := durable.Open(filepath.Join(dir, "journal"), durable.Options{Fail: func(err error) { failed <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for i := 0; s.Figures().Errors == 0; i++ { // until it is to be written anew
		s.Put(fmt.Sprint(i, strings.Repeat("x", 60_000)))
		s.Drop(fmt.Sprint(i, strings.Repeat("x", 60_000)))
		waitSafe(t, s)
	}
	if err := <-failed; err == nil {
		t.Error("nobody was told")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Put("last")
	s.Close()
	if _, members, _ := open(t, filepath.Join(dir, "journal")); !slices.Equal(members, []string{"last"}) {
		t.Errorf("after it was mended there are %q", members)
	}
}

// putUntilKilled is another process: it tells what is safe, and goes on.
func putUntilKilled(path string) {
	s, _, _, err := durable.Open(path, durable.Options{})
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		s.Put(fmt.Sprint(i))
		if i%3 == 0 {
			s.Drop(fmt.Sprint(i - 100))
		}
		for s.Safe() < s.Asked() && i%7 == 0 {
			time.Sleep(10 * time.Microsecond)
		}
		if i%7 == 0 {
			fmt.Println(i)
		}
	}
}

// TestKilled kills a process that puts members, again and again: what it said was safe is there.
func TestKilled(t *testing.T) {
	for round := range 5 {
		path := filepath.Join(t.TempDir(), "journal")
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), "DURABLE_TEST_FILE="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		safe, lines := -1, bufio.NewScanner(out)
		for n := rand.IntN(200); n >= 0 && lines.Scan(); n-- {
			fmt.Sscan(lines.Text(), &safe)
		}
		cmd.Process.Kill()
		for lines.Scan() {
			fmt.Sscan(lines.Text(), &safe)
		}
		cmd.Wait()
		_, members, _ := open(t, path)
		there := make(map[string]bool)
		for _, m := range members {
			there[m] = true
		}
		for i := range safe + 1 {
			if dropped := (i+100)%3 == 0; !dropped && !there[fmt.Sprint(i)] {
				t.Fatalf("round %d: %d was safe, up to %d all were, and is gone", round, i, safe)
			}
		}
	}
}
