//go:build !race

package proxy

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/pool"
)

// Requests of BenchmarkWatching: a client sends so many at a time, and a round has so many.
const (
	watchPipeline = 16
	watchRound    = 256 * watchPipeline
)

// A watchedLoad is a worker, and a client of it that asks for keys that are all alike.
type watchedLoad struct {
	kernel   *cannedKernel
	worker   *worker
	keys     *rand.Rand
	inQuery  []int // where in the requests the keys' digits stand
	inAnswer []int
	sent     int
}

const watchDigits = "000000"

func newWatchedLoad(b *testing.B, verb string, off bool) *watchedLoad {
	k := &cannedKernel{answer: []byte("VERSION 1.6.18\r\nEND\r\n"), request: []byte("get key\r\n")}
	l := &watchedLoad{kernel: k, keys: rand.New(rand.NewPCG(1, 2)), worker: cannedWorkerOf(b, k, pool.Config{
		Name: "main", HotKeysOff: off, Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1"}},
	})}
	k.exchange(b, l.worker) // opens the conn
	k.client.wrote = 0
	query, answer := "get mcb:000000"+watchDigits+"\r\n", "VALUE mcb:000000"+watchDigits+" 0 100\r\n"+strings.Repeat("v", 100)+"\r\nEND\r\n"
	if verb == "set" {
		query, answer = "set mcb:000000"+watchDigits+" 0 0 100\r\n"+strings.Repeat("v", 100)+"\r\n", "STORED\r\n"
	}
	for i := range watchPipeline {
		l.inQuery = append(l.inQuery, i*len(query)+len("get mcb:000000"))
		if verb == "get" {
			l.inAnswer = append(l.inAnswer, i*len(answer)+len("VALUE mcb:000000"))
		}
	}
	k.request, k.answer = []byte(strings.Repeat(query, watchPipeline)), []byte(strings.Repeat(answer, watchPipeline))
	return l
}

// round sends watchRound requests, each for one of a million keys.
func (l *watchedLoad) round(b *testing.B) {
	for range watchRound / watchPipeline {
		for i, at := range l.inQuery {
			digits := l.kernel.request[at : at+len(watchDigits)]
			n := l.keys.Uint32N(1_000_000)
			for j := range digits {
				digits[j] = '0' + byte(n%10)
				n /= 10
			}
			if l.inAnswer != nil {
				copy(l.kernel.answer[l.inAnswer[i]:], digits)
			}
		}
		l.kernel.exchange(b, l.worker)
		l.sent += len(l.kernel.answer)
	}
}

// window ends one, as the watcher of the pool does.
func (l *watchedLoad) window(number int) {
	l.worker.pools[0].Freeze(int64(number) * int64(time.Second))
	l.worker.pools[0].Release()
}

// threadTime is the CPU time of this thread: what others do on the machine is not in it.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// BenchmarkWatching is what a request costs a worker when keys are watched, and when they are not, while none is hot: watched-ns,
// unwatched-ns, and watching-ns, their difference. Both take turns, and a figure is that of the round which a tenth of all rounds are faster
// than: others on the machine make rounds slower, by the caches that they empty, and never faster.
func BenchmarkWatching(b *testing.B) {
	for _, verb := range []string{"get", "set"} {
		b.Run(verb, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			sides := [2]*watchedLoad{newWatchedLoad(b, verb, false), newWatchedLoad(b, verb, true)}
			var times [2][]float64 // ns a request, of each round: watched, unwatched
			for i := 0; b.Loop(); i++ {
				for turn := range sides {
					side := (turn + i) % 2
					begun := threadTime(b)
					sides[side].round(b)
					times[side] = append(times[side], float64(threadTime(b)-begun)/watchRound)
				}
				if i%32 == 31 { // 250 ms at half a million requests a second
					sides[0].window(i)
				}
			}
			for _, side := range sides {
				if got := side.kernel.client.wrote; got != side.sent {
					b.Fatalf("the client got %d bytes, want %d", got, side.sent)
				}
			}
			var tenth [2]float64
			for i := range times {
				slices.Sort(times[i])
				tenth[i] = times[i][len(times[i])/10]
			}
			b.ReportMetric(tenth[0], "watched-ns")
			b.ReportMetric(tenth[1], "unwatched-ns")
			b.ReportMetric(tenth[0]-tenth[1], "watching-ns")
		})
	}
}
