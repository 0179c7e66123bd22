package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mcproxy/protocol"
)

// Options say what to read, and how.
type Options struct {
	Servers    []Server
	Top        int           // how many of the largest keys to list, 0..MaxTop
	Separators string        // bytes that end a key's prefix
	Timeout    time.Duration // a server that says nothing for so long has failed
	Limit      time.Duration // the whole may take so long

	// Progress is told twice a second or so how far it is, one call after the other; may be nil.
	Progress func(Progress)
	// Owner names whose a key is, or gives ""; may be nil.
	Owner func(key string) string
}

// Bounds of Options.
const (
	MaxServers = 1000
	MaxTop     = 10_000
	atOnce     = 16 // servers read at a time
	perServer  = 10 // of the largest keys and prefixes that are kept of each server
)

// Default gives the options that a command starts with.
func Default() Options {
	return Options{Top: 20, Separators: ":/|_-.", Timeout: 5 * time.Second, Limit: 30 * time.Minute}
}

// Check says what is wrong with the options.
func (o *Options) Check() error {
	switch {
	case len(o.Servers) == 0:
		return errors.New("no servers")
	case len(o.Servers) > MaxServers:
		return fmt.Errorf("%d servers; at most %d are possible", len(o.Servers), MaxServers)
	case o.Top < 0 || o.Top > MaxTop:
		return fmt.Errorf("top is %d; 0 to %d is possible", o.Top, MaxTop)
	case o.Timeout <= 0 || o.Limit <= 0:
		return errors.New("timeouts must be above 0s")
	}
	seen := map[string]bool{}
	for i := range o.Servers {
		s := &o.Servers[i]
		if seen[s.Address] {
			return fmt.Errorf("server %s is named twice", s.Address)
		}
		seen[s.Address] = true
	}
	return nil
}

// Progress says how far a run is.
type Progress struct {
	Keys     int64 // read
	Expected int64 // of the servers that have said how many they have
	Servers  int   // read to the end, or failed
	Of       int
}

// Line says it in a line, without a line end.
func (p Progress) Line() string {
	const width = 30
	done := 0.0
	if p.Expected > 0 {
		done = min(1, float64(p.Keys)/float64(p.Expected))
	}
	full := int(done * width)
	return fmt.Sprintf("[%s%s] %3.0f %%  %d of about %d keys, %d of %d servers",
		strings.Repeat("#", full), strings.Repeat(".", width-full), 100*done, p.Keys, p.Expected, p.Servers, p.Of)
}

// progressEvery is how often Options.Progress is told.
const progressEvery = 500 * time.Millisecond

// A run reads servers.
type run struct {
	options        Options
	keys, expected atomic.Int64
	servers        atomic.Int64

	mu    sync.Mutex
	total *tally // of all servers that have been read, guarded by mu
}

// A reading is what one server gave. Its own goroutine alone writes it.
type reading struct {
	server Server
	report ServerReport
	tally  *tally
}

// Run reads the servers. A server that fails is reported as failed beside the others; the error is of the options, or of ctx.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("the time limit of %v is over", o.Limit))
	defer cancel()
	r := &run{options: o, total: newTally(o.Top)}
	readings := make([]reading, len(o.Servers))
	var group sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i := range o.Servers {
		readings[i].server = o.Servers[i]
		group.Go(func() { // ends with the server's dump, or with the context
			places <- struct{}{}
			r.read(limited, &readings[i])
			<-places
			r.servers.Add(1)
		})
	}
	all := make(chan struct{})
	go func() { // ends with the readers
		group.Wait()
		close(all)
	}()
	r.watch(all)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r.newReport(readings), nil
}

// watch tells the progress until all are done.
func (r *run) watch(all <-chan struct{}) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-all:
			return
		case <-tick.C:
			if r.options.Progress != nil {
				r.options.Progress(Progress{
					Keys: r.keys.Load(), Expected: r.expected.Load(), Servers: int(r.servers.Load()), Of: len(r.options.Servers),
				})
			}
		}
	}
}

// read reads one server.
func (r *run) read(ctx context.Context, to *reading) {
	to.tally = newTally(r.options.Top)
	to.report = ServerReport{Server: to.server.label(), Address: to.server.Address, Pools: to.server.Pools}
	if err := r.dump(ctx, to); err != nil {
		to.report.Error = err.Error()
	}
	r.mu.Lock()
	r.total.merge(to.tally)
	r.mu.Unlock()
	to.tally.shrink(perServer)
}

func (r *run) dump(ctx context.Context, to *reading) error {
	c, err := dial(ctx, &to.server, r.options.Timeout)
	if err != nil {
		return err
	}
	defer c.close()
	stats, err := c.stats("")
	if err != nil {
		return err
	}
	out := &to.report
	out.Version = protocol.EscapeKey(stats["version"])
	out.Items, out.ItemBytes = number(stats, "curr_items"), number(stats, "bytes")
	out.LimitBytes, out.Evictions = number(stats, "limit_maxbytes"), number(stats, "evictions")
	r.expected.Add(out.Items)
	now := number(stats, "time")
	if now == 0 {
		return errors.New("its stats have no time, as a memcached's have: is this a proxy? name the servers behind it")
	}
	each := func(record record) {
		to.tally.add(record, out.Server, now, r.options.Separators)
		r.keys.Add(1)
	}
	limit := 4*out.Items + 100_000 // while it is read it may grow
	out.Source = metadump
	err = c.metadump(limit, each)
	if errors.Is(err, errNoCrawler) {
		out.Source = cachedump
		out.Note = "has no lru_crawler metadump: stats cachedump shows at most 2 MiB of lines of each class of items, of newer servers only the keys " +
			"that were not used lately, and the sizes of values alone"
		return c.cachedump(now-number(stats, "uptime"), limit, each)
	}
	return err
}
