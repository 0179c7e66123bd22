package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A harness runs loads. Everything that it measures is a child, or one of a user's rivals.
type harness struct {
	opts        *options
	out         io.Writer
	cores       []int             // that this process could use at its start, >= 2
	programs    map[string]string // paths, by name
	descriptors uint64            // that a process may open
	pinned      map[int]string    // this process and a user's rivals, and the cores that they had
	repeated    []string          // what had to be done again in this load, and why
}

// newHarness finds the programs and the cores, and moves this process and the user's rivals to theirs.
func newHarness(ctx context.Context, opts *options, out io.Writer) (*harness, error) {
	h := &harness{opts: opts, out: out, programs: map[string]string{}, pinned: map[int]string{}}
	cores, err := allowedCores("self")
	if err != nil {
		return nil, err
	}
	if h.cores, err = parseCores(cores); err != nil {
		return nil, err
	}
	if len(h.cores) < 2 {
		return nil, fmt.Errorf("this process may use the CPUs %s: needs at least 2, one for the proxy and one for everything else", cores)
	}
	var missing []error
	names := []string{"taskset", "prlimit", "strace", "memcached"}
	for _, rival := range opts.against {
		names = append(names, programOf(rival))
	}
	for _, name := range names {
		path, err := findProgram(name)
		if err != nil {
			missing = append(missing, err)
		}
		h.programs[name] = path
	}
	if opts.binary, err = filepath.Abs(opts.binary); err != nil {
		return nil, err
	}
	if _, err := os.Stat(opts.binary); err != nil {
		missing = append(missing, fmt.Errorf("%w; make build makes it", err))
	}
	if err := errors.Join(missing...); err != nil {
		return nil, err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	h.descriptors = limit.Max
	if err := h.pinAll(ctx); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// pinAll moves this process to the load's core, and the user's rivals to that of the proxies.
func (h *harness) pinAll(ctx context.Context) error {
	if err := h.pin(ctx, os.Getpid(), h.loadCores()); err != nil {
		return err
	}
	for _, rival := range h.opts.rivals {
		err := askVersion(ctx, rival.address)
		if err == nil {
			err = h.pin(ctx, rival.pid, h.proxyCores(1))
		}
		if err != nil {
			return fmt.Errorf("rival %s: %w", rival.name, err)
		}
	}
	return nil
}

// pin moves all threads of a process, until close.
func (h *harness) pin(ctx context.Context, pid int, cores string) error {
	before, err := allowedCores(strconv.Itoa(pid))
	if err != nil {
		return err
	}
	if err := h.taskset(ctx, pid, cores); err != nil {
		return err
	}
	h.pinned[pid] = before
	return nil
}

func (h *harness) taskset(ctx context.Context, pid int, cores string) error {
	_, err := output(ctx, h.programs["taskset"], "-acp", cores, strconv.Itoa(pid))
	return err
}

// close gives everybody the cores back that they had.
func (h *harness) close() {
	for pid, cores := range h.pinned {
		if err := h.taskset(context.Background(), pid, cores); err != nil {
			h.say("cannot give process %d the cores %s back: %v", pid, cores, err)
		}
	}
}

// proxyCores are the first n cores, in the form of taskset.
func (h *harness) proxyCores(n int) string {
	var names []string
	for _, core := range h.cores[:min(n, len(h.cores))] {
		names = append(names, strconv.Itoa(core))
	}
	return strings.Join(names, ",")
}

// loadCores is the last core: of the load generator, the memcacheds and this process.
func (h *harness) loadCores() string { return strconv.Itoa(h.cores[len(h.cores)-1]) }

func (h *harness) chosen(name string) bool { return h.opts.chosen(name) }

func (h *harness) say(format string, args ...any) {
	fmt.Fprintf(h.out, "bench-rivals: "+format+"\n", args...)
}

// needDescriptors is an error if a process may not hold that many conns.
func (h *harness) needDescriptors(conns int) error {
	if need := uint64(conns) + 200; h.descriptors < need {
		return fmt.Errorf("a process may open %d files here, %d conns need %d: raise ulimit -Hn", h.descriptors, conns, need)
	}
	return nil
}

// measure runs one load.
func (h *harness) measure(ctx context.Context, l load) (*findings, error) {
	f := &findings{}
	h.repeated = nil
	defer func() {
		for _, why := range h.repeated {
			f.note("Measured again: %s", why)
		}
	}()
	for _, t := range l.traffic {
		if err := h.compare(ctx, t, l.targets, f); err != nil {
			return f, err
		}
	}
	if l.also != nil {
		return f, l.also(ctx, h, f)
	}
	return f, nil
}

// compare measures mcproxy and each rival in alternating pairs.
func (h *harness) compare(ctx context.Context, t traffic, targets []target, f *findings) error {
	fl, err := h.startFleet(ctx, usualBackends, memcachedMemory)
	if err != nil {
		return err
	}
	defer fl.close()
	mcproxy, rivals, err := fl.startAll(ctx)
	if err != nil {
		return err
	}
	if err := h.fill(ctx, t, slices.Concat(fl.memcacheds, addresses(h.opts.rivals))); err != nil {
		return err
	}
	var all []sampled
	var ratios []compared
	mine := sampled{name: ours}
	for _, rival := range rivals {
		pairs, err := h.alternate(ctx, subject{mcproxy, t}, subject{rival, t})
		if err != nil {
			return err
		}
		theirs := sampled{name: rival.name}
		for _, p := range pairs {
			mine.samples = append(mine.samples, p.a)
			theirs.samples = append(theirs.samples, p.b)
		}
		all = append(all, theirs)
		ratios = append(ratios, compared{rival: rival, pairs: pairs})
	}
	f.verdicts = append(f.verdicts, judge(t, targets, ratios)...)
	f.tables = append(f.tables, figuresTable(t.label, append([]sampled{mine}, all...)), ratiosTable(t.label, ratios))
	return nil
}

// A subject is one side of a pair.
type subject struct {
	proxy   proxy
	traffic traffic
}

func (s subject) String() string { return prefixed(s.traffic.label, s.proxy.name) }

// alternate measures a, b, a, b …
func (h *harness) alternate(ctx context.Context, a, b subject) ([]pair, error) {
	var pairs []pair
	for i := range h.opts.pairs {
		var first, second sample
		err := h.persist(ctx, func() (err error) {
			if first, err = h.sample(ctx, a); err != nil {
				return err
			}
			second, err = h.sample(ctx, b)
			return err
		})
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{first, second})
		h.say("%s, %s, pair %d of %d: user %.2f : %.2f µs, total %.2f : %.2f µs, %.0f : %.0f requests/s", a, b, i+1, h.opts.pairs,
			first.user, second.user, first.total(), second.total(), first.rate, second.rate)
	}
	return pairs, nil
}

// attempts is how often something is tried that other load on the machine can spoil.
const attempts = 3

// persist runs attempt again while it fails, so often, and remembers why.
func (h *harness) persist(ctx context.Context, attempt func() error) error {
	for i := 1; ; i++ {
		err := attempt()
		if err == nil || ctx.Err() != nil || i == attempts {
			return err
		}
		h.repeated = append(h.repeated, err.Error())
		h.say("again, as: %v", err)
	}
}

func addresses(proxies []proxy) []string {
	var all []string
	for _, p := range proxies {
		all = append(all, p.address)
	}
	return all
}

// starts reports whether the rival is started here.
func (h *harness) starts(rival string) bool { return slices.Contains(h.opts.against, rival) }
