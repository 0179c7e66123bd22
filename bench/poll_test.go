package bench

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"mcproxy/bench/workload"
	"mcproxy/internal/memcachedtest"
)

func pollers(t *testing.T) map[string]func() poller {
	return map[string]func() poller{
		"system": func() poller {
			p, err := newPoller()
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		"portable": func() poller { return newPortablePoller() },
	}
}

// TestPollers sends more than any buffer holds to a peer that begins to read late, and back, and ends the stream.
func TestPollers(t *testing.T) {
	const size = 32 << 20
	for name, open := range pollers(t) {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			sent := make(chan bool, 1)
			peer := make(chan error, 1)
			go func() { // ends when all has come back, or either side closes
				conn, err := listener.Accept()
				if err != nil {
					peer <- err
					return
				}
				defer conn.Close()
				<-sent // the first write has filled what there is of buffers
				_, err = io.CopyN(conn, conn, size)
				peer <- err
			}()
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			p := open()
			s, err := p.add(7, conn)
			if err != nil {
				t.Fatal(err)
			}
			data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			out, in := data, []byte(nil)
			buf := make([]byte, 1<<20)
			watching := false
			for deadline := time.Now().Add(30 * time.Second); ; {
				if time.Now().After(deadline) {
					t.Fatalf("after 30 s %d bytes are sent and %d are back", size-len(out), len(in))
				}
				for len(out) > 0 {
					n, err := s.write(out[:min(len(out), 4<<20)])
					if errors.Is(err, errAgain) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					out = out[n:]
				}
				select {
				case sent <- true:
				default:
				}
				if wants := len(out) > 0; wants != watching {
					watching = wants
					if err := s.watchWrites(7, wants); err != nil {
						t.Fatal(err)
					}
				}
				ids, err := p.wait(nil, 10*time.Second)
				if err != nil || len(ids) == 0 || ids[0] != 7 {
					t.Fatalf("wait = %v, %v with %d bytes sent and %d back, want the conn", ids, err, size-len(out), len(in))
				}
				n, err := 0, error(nil)
				for n, err = s.read(buf); err == nil; n, err = s.read(buf) {
					in = append(in, buf[:n]...)
				}
				if errors.Is(err, io.EOF) {
					break
				}
				if !errors.Is(err, errAgain) {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(in, data) {
				t.Errorf("%d bytes came back, and are not the %d sent", len(in), len(data))
			}
			if err := <-peer; err != nil {
				t.Error(err)
			}
			s.close()
			p.close()
		})
	}
}

func TestPollerWaitsNoLonger(t *testing.T) {
	for name, open := range pollers(t) {
		p := open()
		for _, timeout := range []time.Duration{0, 100 * time.Microsecond, 20 * time.Millisecond} {
			begun := time.Now()
			if ids, err := p.wait(nil, timeout); len(ids) != 0 || err != nil {
				t.Errorf("%s: wait of nothing = %v, %v", name, ids, err)
			}
			if took := time.Since(begun); took < timeout {
				t.Errorf("%s: a wait of %v took %v", name, timeout, took)
			}
		}
		p.close()
	}
}

// TestWorkerOnPortablePoller runs a load as a system without epoll does.
func TestWorkerOnPortablePoller(t *testing.T) {
	mc := memcachedtest.Start(t, "-m", "256")
	for _, values := range []string{"100", "100KiB-900KiB"} {
		cfg := Default()
		cfg.Endpoint, cfg.Conns, cfg.Pipeline, cfg.Requests, cfg.Warmup = mc.Addr(), 10, 8, 400, 0
		cfg.Keys, cfg.SetRatio, cfg.ValueSize, cfg.Prefill, cfg.Threads = 50, 0.5, values, false, 1
		cfg.Verify, cfg.Duration, cfg.Timeout = true, 5*time.Minute, time.Minute // however busy the machine
		l, err := workload.New(&cfg.Options)
		if err != nil {
			t.Fatal(err)
		}
		addr, err := parseAddress(cfg.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		r := &run{cfg: &cfg, address: addr, streams: l.Stream}
		socks, err := r.dialAll()
		if err != nil {
			t.Fatal(err)
		}
		w, err := r.newWorker(newPortablePoller(), 0, socks)
		if err != nil {
			t.Fatal(err)
		}
		r.drivers = []driver{w}
		counted, err := r.drive(t.Context(), func(window) {})
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.Figures(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if counted.done != 400 || counted.broken != 0 || len(counted.failures) != 0 || f.Verify.Offences() != 0 || f.Verify.Checked == 0 {
			t.Errorf("%s: %d done, %d broken, %v; %+v", values, counted.done, counted.broken, counted.failures, f.Verify)
		}
	}
}
