package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

const (
	backends  = 8
	unlucky   = backends - 1 // that is stopped
	keys      = 20_000       // of all
	askedRate = "500"        // requests a second for the stopped one's keys
	timeout   = 250 * time.Millisecond
)

func (h *harness) stoppedClosed(ctx context.Context, f *rig.Findings) error {
	return h.stopped(ctx, f, loadArgs(50, 0), false)
}

func (h *harness) stoppedRate(ctx context.Context, f *rig.Findings) error {
	return h.stopped(ctx, f, loadArgs(50, h.opts.rate), false)
}

func (h *harness) stoppedAsked(ctx context.Context, f *rig.Findings) error {
	return h.stopped(ctx, f, loadArgs(50, h.opts.rate), true)
}

// stopped is one line; asked: others ask for the stopped memcached's keys all the time.
func (h *harness) stopped(ctx context.Context, f *rig.Findings, args []string, asked bool) error {
	fl, err := h.StartFleet(ctx, backends, 64)
	if err != nil {
		return err
	}
	defer fl.Close()
	proxy, err := fl.StartMcproxy(ctx, "mcproxy", rig.McproxyConfig{Workers: 1, Timeout: timeout.String()})
	if err != nil {
		return err
	}
	lost, others, err := divide(ctx, proxy.Address, fl.Memcacheds[unlucky])
	if err != nil {
		return err
	}
	files := map[string]string{}
	for name, list := range map[string][]string{"seven.keys": others, "one.keys": lost} {
		if files[name], err = fl.File(name, strings.Join(list, "\n")+"\n"); err != nil {
			return err
		}
		fill := []string{proxy.Address, "--key-file", files[name], "--value-size", "100", "--requests", "1"}
		if _, err := h.Generate(ctx, fill...); err != nil {
			return err
		}
	}
	defer fl.Resume(unlucky) // or it would not hear that it is to end
	c := comparison{
		proxy: proxy, args: append(args, "--key-file", files["seven.keys"]),
		begin: func(ctx context.Context) error {
			if err := fl.Pause(unlucky); err != nil {
				return err
			}
			return awaitDown(ctx, proxy, fl.Memcacheds[unlucky], lost[0])
		},
		end: func(ctx context.Context) error {
			if err := fl.Resume(unlucky); err != nil {
				return err
			}
			return await(ctx, "the memcached is used again", func() (bool, error) { return isUp(ctx, proxy, fl.Memcacheds[unlucky]) })
		},
	}
	if asked {
		c.beside = func(ctx context.Context) error {
			length := rig.Warmup + h.opts.Duration
			_, err := h.Generate(ctx, proxy.Address, "--key-file", files["one.keys"], "--conns", "8", "--set-ratio", "0", "--rate", askedRate, "--threads", "1",
				"--prefill=false", "--warmup", "0s", "--duration", length.String())
			if errors.Is(err, context.Canceled) {
				return nil // the load that is judged was done first
			}
			return err
		}
		f.Note("Beside it `mcproxy bench` asks for the stopped memcached's keys, %s times a second by 8 conns, in both runs of each pair.", askedRate)
	}
	p, err := h.compare(ctx, c)
	if err != nil {
		return err
	}
	if !slices.Contains(args, "--rate") { // a closed loop
		f.Verdicts = append(f.Verdicts, verdict("requests/s", 0.95, true, p.ratios(rate)))
	}
	f.Verdicts = append(f.Verdicts, verdict("p99", 1.05, false, p.ratios(p99)))
	p.tell(f, append(args, "--key-file", "SEVEN"))
	f.Note("%d keys of the %d are on the seven; the load asks for those alone. The proxy has the eighth marked as down before a run with it stopped "+
		"begins, and as up before one without.", len(others), keys)
	return nil
}

// divide stores keys through the proxy, and asks the memcached at address which of them it has.
func divide(ctx context.Context, proxy, address string) (its, others []string, err error) {
	var names []string
	var store, ask strings.Builder
	for i := range keys {
		name := fmt.Sprintf("isolation:%05d", i)
		names = append(names, name)
		fmt.Fprintf(&store, "set %s 0 0 1\r\nx\r\n", name)
		fmt.Fprintf(&ask, "mg %s\r\n", name)
	}
	stored, err := conversation(ctx, proxy, store.String(), keys)
	if err != nil {
		return nil, nil, err
	}
	for i, line := range stored {
		if line != "STORED" {
			return nil, nil, fmt.Errorf("set %s: %q", names[i], line)
		}
	}
	found, err := conversation(ctx, address, ask.String(), keys)
	if err != nil {
		return nil, nil, err
	}
	for i, line := range found {
		switch line {
		case "HD":
			its = append(its, names[i])
		case "EN":
			others = append(others, names[i])
		default:
			return nil, nil, fmt.Errorf("mg %s: %q", names[i], line)
		}
	}
	if len(its) < keys/backends/4 || len(others) < keys/2 {
		return nil, nil, fmt.Errorf("of %d keys one memcached of %d has %d", keys, backends, len(its))
	}
	return its, others, nil
}

// conversation says something that is answered with so many lines, and gives those without their ends.
func conversation(ctx context.Context, address, text string, lines int) ([]string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(awaitTimeout)); err != nil {
		return nil, err
	}
	said := make(chan error, 1)
	go func() { // ends when all is said or the conn is closed
		_, err := io.WriteString(conn, text)
		said <- err
	}()
	var got []string
	in := bufio.NewScanner(conn)
	for len(got) < lines && in.Scan() {
		got = append(got, in.Text())
	}
	if len(got) < lines {
		return nil, fmt.Errorf("%s: %d answers of %d: %w", address, len(got), lines, errors.Join(in.Err(), io.ErrUnexpectedEOF))
	}
	return got, <-said
}

// isUp says whether the proxy uses the memcached.
func isUp(ctx context.Context, p rig.Proxy, address string) (bool, error) {
	v, err := p.Metric(ctx, "mcproxy_backend_state", fmt.Sprintf("backend=%q", address), `state="up"`)
	return v == 1, err
}

// awaitDown asks for a key of a memcached that is stopped until the proxy has marked it as down.
func awaitDown(ctx context.Context, p rig.Proxy, address, key string) error {
	return await(ctx, "the memcached is down", func() (bool, error) {
		const width = 8
		text := strings.Repeat("mg "+key+"\r\n", width)
		if _, err := conversation(ctx, p.Address, text, width); err != nil {
			return false, err
		}
		up, err := isUp(ctx, p, address)
		return !up, err
	})
}
