package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
)

// TestDifferentialSplit is TestDifferentialFourBackends with values split from 100 bytes on, and with every get sharing its
// fetch: every command meets split values.
func TestDifferentialSplit(t *testing.T) {
	if throughMemcached(t) {
		t.Log("values are split by the proxy only: nothing to check")
		return
	}
	var servers []*memcachedtest.Server
	for range 4 {
		servers = append(servers, startMemcached(t, "-I", "8m")) // for values of keys that are never split, as the one compared with
	}
	p := poolOf(servers...)
	p.Coalesce = pool.CoalesceAll
	p.Split = pool.SplitConfig{Enabled: true, Threshold: 100, Chunk: 4000}
	differSplit(t, p, servers)
}

// TestDifferentialDrill does the same while every key becomes hot and cold again all the time: values are rewritten between any two
// commands, with other numbers of copies, and chunks are read ahead.
func TestDifferentialDrill(t *testing.T) {
	if throughMemcached(t) {
		t.Log("memcached itself finds no hot keys: nothing to check")
		return
	}
	var servers []*memcachedtest.Server
	for range 4 {
		servers = append(servers, startMemcached(t, "-I", "8m")) // for values of keys that are never split, as the one compared with
	}
	p := poolOf(servers...)
	p.Coalesce = pool.CoalesceAll
	p.Split = pool.SplitConfig{Enabled: true, Threshold: 1000, Chunk: 4000}
	p.HotKeys.Window, p.HotKeys.SampleCost, p.HotKeys.Top = int64(10*time.Millisecond), 1, 1000
	p.HotDrill = 20 * time.Millisecond
	s := differSplit(t, p, servers)
	f := s.figures(t)
	t.Logf("%d promotions; split: %+v", f.Promoted, f.Split)
	if f.Promoted == 0 || f.Split.Spread == 0 || f.Split.AheadKept == 0 {
		t.Error("the drill has moved nothing: the test proves nothing about it")
	}
}

func differSplit(t *testing.T, p pool.Config, servers []*memcachedtest.Server) *service {
	s := startProxy(t, p)
	s.servers = servers
	d := &differential{name: t.Name(), seed: seed(t), service: s, direct: startMemcached(t, "-I", "8m"), perKey: true, splits: true, drilled: p.HotDrill > 0}
	alone := *commandsFlag / 5
	t.Run("one client", func(t *testing.T) { d.run(t, 1, alone) })
	t.Run("clients", func(t *testing.T) { d.run(t, *clientsFlag, *commandsFlag-alone) })
	return s
}

// TestFailedAppendLeavesNoOldValue appends so much that a value has to be split, while its home does not answer, while a backend
// for its new chunks is away, and while one that has its old chunks is. As after any write that failed, the old value must not
// come back.
func TestFailedAppendLeavesNoOldValue(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	for _, at := range []string{"home", "chunks", "old chunks"} {
		t.Run(at, func(t *testing.T) {
			servers := []*memcachedtest.Server{startMemcached(t), startMemcached(t)}
			p := failingPool(pool.OnErrorError, servers...)
			p.Split = pool.SplitConfig{Enabled: true, Threshold: 100, Chunk: 1000}
			conn := startProxy(t, p).dial(t)
			old := "old"
			if at == "old chunks" {
				old = strings.Repeat("old", 1000)
			}
			conn.ask(t, fmt.Sprintf("set k 0 0 %d\r\n%s\r\n", len(old), old), "STORED\r\n")
			home, other := servers[0], servers[1]
			if home.Command("get k") == "END\r\n" {
				home, other = other, home
			}
			away := home
			if at != "home" {
				away = other
			}
			away.Pause()
			answer, _, err := askWithNoop(conn, "append k 0 0 2000\r\n"+strings.Repeat("x", 2000)+"\r\n")
			away.Resume()
			if err != nil || !serverError.MatchString(answer) {
				t.Errorf("append: %q, %v; want a SERVER_ERROR", answer, err)
			}
			// A read says that the write before it is not settled, and then that there is nothing.
			for deadline := time.Now().Add(answerTimeout); ; {
				answer, _, err := askWithNoop(conn, "get k\r\n")
				if answer == "END\r\n" {
					return
				}
				if err != nil || !serverError.MatchString(answer) || time.Now().After(deadline) {
					t.Fatalf("get after the append had failed: %.80q, %v; want nothing", answer, err)
				}
			}
		})
	}
}

// TestCountAndTouch has a number in chunks counted and given another lifetime by one command, which also asks for the lifetime:
// memcached does what the flags say in their order.
func TestCountAndTouch(t *testing.T) {
	p := poolOf(startMemcached(t), startMemcached(t))
	p.Split = pool.SplitConfig{Enabled: true, Threshold: 100, Chunk: 4000}
	through, direct := startProxy(t, p).dial(t), endpointOf(startMemcached(t)).dial(t)
	for _, life := range []string{"0", "5000000", "1000"} {
		for _, flags := range []string{"t v T2592000", "T2592000 t v", "c t T0 k Oo", "t", "T2592000", "v k t b T-1", "t T-1 t k", "T4000000000 t k", "b k O1", "b c", "k c"} {
			key := "key "
			if strings.Contains(flags, " b") {
				key = "a2V5 "
			}
			text := "5 " + strings.Repeat("x", 5000)
			exptime := life
			if life == "5000000" {
				exptime = strconv.FormatInt(time.Now().Unix()+5000000, 10)
			}
			for _, command := range []string{fmt.Sprintf("set key 7 %s %d\r\n%s\r\n", exptime, len(text), text), "ma " + key + flags + "\r\n", "mg key t v\r\n"} {
				got, want := lifetimes.ReplaceAllStringFunc(through.says(t, command), roundLifetime), lifetimes.ReplaceAllStringFunc(direct.says(t, command), roundLifetime)
				got, want = casNumbers.ReplaceAllString(got, ""), casNumbers.ReplaceAllString(want, "")
				if got != want {
					t.Errorf("lifetime %s, %.60q: got %.100q, want %.100q", life, command, got, want)
				}
			}
		}
	}
}

var (
	lifetimes  = regexp.MustCompile(` t\d+\b`)
	casNumbers = regexp.MustCompile(` c\d+`)
)

// roundLifetime is a lifetime in thousands of seconds: two servers' clocks differ.
func roundLifetime(flag string) string {
	n, err := strconv.ParseUint(flag[len(" t"):], 10, 64)
	if err != nil {
		return flag
	}
	return fmt.Sprintf(" t%d", (n+500)/1000)
}

// TestCountWhatIsOver has a number in chunks counted, and its life ended by the same command: it was there, says memcached.
func TestCountWhatIsOver(t *testing.T) {
	p := poolOf(startMemcached(t), startMemcached(t))
	p.Split = pool.SplitConfig{Enabled: true, Threshold: 100, Chunk: 4000}
	through, direct := startProxy(t, p).dial(t), endpointOf(startMemcached(t)).dial(t)
	long := "5 " + strings.Repeat("x", 150)
	for _, command := range []string{
		fmt.Sprintf("set k 7 0 %d\r\n%s\r\n", len(long), long), "ma k T-1\r\n", "mg k v\r\n",
		fmt.Sprintf("set k 7 0 %d\r\n%s\r\n", len(long), long), "ma k v T-1 k O9\r\n", "mg k v\r\n",
	} {
		if got, want := through.says(t, command), direct.says(t, command); got != want {
			t.Errorf("%q: got %q, want %q", command, got, want)
		}
	}
}
