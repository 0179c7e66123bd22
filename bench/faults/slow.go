package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"mcproxy/bench/rig"
)

const (
	slowClients = 1000
	slowValue   = 1_000_000 // bytes
	slowLimit   = 64 << 20  // bytes: what the proxy may hold of values and answers
	slowEach    = 64 << 10  // bytes of the process beside that, for each slow client

	// slowAsked is how often each asks for a whole value: more than one, so that there is always another to wait for.
	slowAsked = 4
)

func (h *harness) slowWhole(ctx context.Context, f *rig.Findings) error {
	return h.slow(ctx, f, strings.Repeat("get large\r\n", slowAsked), "mcproxy_held_peak_bytes", rig.McproxyConfig{
		Workers: 1, Limits: fmt.Sprintf("bytes = \"%dB\"\n", slowLimit), Pool: uncoalesced,
	})
}

func (h *harness) slowChunks(ctx context.Context, f *rig.Findings) error {
	return h.slow(ctx, f, "get large\r\n", "mcproxy_assembly_peak_bytes", rig.McproxyConfig{
		Workers: 1, Proxy: fmt.Sprintf("assembly = \"%dB\"\n", slowLimit), Pool: uncoalesced + "[pools.main.split]\nenabled = true\n",
	})
}

// uncoalesced has each client of a value wait for bytes of its own: with one copy for all of them nothing comes near the limit.
const uncoalesced = "[pools.main.coalesce]\nmode = \"off\"\n"

// slow is one line: what slow clients ask for, and the metric of what the proxy held at most.
func (h *harness) slow(ctx context.Context, f *rig.Findings, ask, held string, cfg rig.McproxyConfig) error {
	if err := h.NeedDescriptors(2 * h.opts.clients); err != nil {
		return err
	}
	fl, err := h.StartFleet(ctx, 2, 256)
	if err != nil {
		return err
	}
	defer fl.Close()
	proxy, err := fl.StartMcproxy(ctx, "mcproxy", cfg)
	if err != nil {
		return err
	}
	large := fmt.Sprintf("set large 0 0 %d\r\n%s\r\n", slowValue, strings.Repeat("x", slowValue))
	if got, err := conversation(ctx, proxy.Address, large, 1); err != nil || got[0] != "STORED" {
		return fmt.Errorf("set large: %q, %w", got, err)
	}
	args := loadArgs(16, h.opts.rate, "--keys", "10000")
	if _, err := h.Generate(ctx, append([]string{proxy.Address, "--prefill=true", "--requests", "20000"}, args...)...); err != nil {
		return err
	}
	idle, err := rig.ReadResident(proxy.PID)
	if err != nil {
		return err
	}
	var now *crowd
	var most int64
	defer func() { now.leave() }()
	p, err := h.compare(ctx, comparison{
		proxy: proxy, args: args,
		begin: func(ctx context.Context) (err error) {
			if now, err = come(ctx, proxy.Address, h.opts.clients, ask); err != nil {
				return err
			}
			return awaitRest(ctx, proxy)
		},
		end: func(ctx context.Context) error {
			resident, err := rig.ReadResident(proxy.PID)
			if err != nil {
				return err
			}
			most = max(most, resident)
			if err := now.leave(); err != nil {
				return err
			}
			return await(ctx, "the slow clients are gone", func() (bool, error) {
				n, err := proxy.Metric(ctx, "mcproxy_client_conns")
				return n == 0, err
			})
		},
	})
	if err != nil {
		return err
	}
	peak, err := proxy.Metric(ctx, held)
	if err != nil {
		return err
	}
	allowance := float64(slowLimit + slowEach*h.opts.clients)
	f.Verdicts = append(f.Verdicts,
		verdict("p99", 1.10, false, p.ratios(p99)),
		rig.Verdict{What: "memory that slow clients add at most", Limit: allowance, Text: rig.Mebibytes, Figure: rig.SpreadOf([]float64{float64(most - idle)})},
	)
	p.tell(f, args)
	f.Note("The limit is %d MiB; the proxy held up to %s of values and answers (`%s`).", slowLimit>>20, rig.Mebibytes(peak), held)
	f.Note("A run with slow clients begins when they all have asked and the proxy can give none of them more; then each reads one byte a second.")
	return nil
}

// awaitRest waits until what can be given to slow clients has been.
func awaitRest(ctx context.Context, p rig.Proxy) error {
	const still = 300 * time.Millisecond
	sent, since := -1.0, time.Now()
	return await(ctx, "the slow clients have what they take", func() (bool, error) {
		now, err := p.Metric(ctx, "mcproxy_client_sent_bytes_total")
		if now > sent+2*slowClients { // some bytes a second are read
			sent, since = now, time.Now()
		}
		return time.Since(since) > still, err
	})
}

// A crowd is slow clients.
type crowd struct {
	conns   []*net.TCPConn
	stop    chan struct{}
	reading sync.WaitGroup
	err     error // of reading, until that has ended
}

// come has n clients ask, and read a byte a second each from then on.
func come(ctx context.Context, address string, n int, ask string) (*crowd, error) {
	c := &crowd{stop: make(chan struct{})}
	var dialer net.Dialer
	for range n {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			c.conns = append(c.conns, conn.(*net.TCPConn))
			err = c.conns[len(c.conns)-1].SetReadBuffer(4096) // the kernel's least
		}
		if err == nil {
			_, err = conn.Write([]byte(ask))
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	c.reading.Go(c.read) // ends with leave, which waits for it
	return c, nil
}

// read reads a byte of each once a second, in hundredths.
func (c *crowd) read() {
	const parts = 100
	tick := time.NewTicker(time.Second / parts)
	defer tick.Stop()
	for part := 0; ; part = (part + 1) % parts {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		for i := part; i < len(c.conns); i += parts {
			if err := readByte(c.conns[i]); err != nil {
				c.err = err
				return
			}
		}
	}
}

// readByte reads one byte if there is one. A proxy that has closed the conn is an error.
func readByte(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, failed = syscall.Read(int(fd), one[:])
		return true // it does not wait
	})
	switch {
	case err != nil:
		return err
	case errors.Is(failed, syscall.EAGAIN) || errors.Is(failed, syscall.EINTR):
		return nil
	case failed == nil && n == 0:
		return errors.New("the proxy has closed the conn of a slow client")
	}
	return failed
}

// leave ends them, and tells what was wrong. It does nothing to none, nor a second time.
func (c *crowd) leave() error {
	if c == nil || c.conns == nil {
		return nil
	}
	close(c.stop)
	c.reading.Wait()
	c.close()
	c.conns = nil
	return c.err
}

func (c *crowd) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}
