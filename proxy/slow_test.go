package proxy_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"mcproxy/pool"
	"mcproxy/proxy"
)

// lateBackend answers gets with a value, after a while; setting ends with the test.
func lateBackend(t *testing.T, late time.Duration) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // ends when the listener is closed
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends when the proxy closes the conn
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					answer := "VERSION 1.6.18\r\n"
					if key, ok := strings.CutPrefix(strings.TrimSpace(line), "get "); ok {
						time.Sleep(late)
						answer = "VALUE " + key + " 0 3\r\nabc\r\nEND\r\n"
					}
					if _, err := conn.Write([]byte(answer)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// TestSlowLog looks for a slow call in the log, with its key or with its key's hash, and in the figures.
func TestSlowLog(t *testing.T) {
	for _, tt := range []struct {
		hidden bool // by hide_keys
		level  zapcore.Level
	}{{false, zap.DebugLevel}, {true, zap.DebugLevel}, {false, zap.InfoLevel}} {
		core, logged := observer.New(tt.level)
		srv, err := proxy.New(proxy.Config{
			Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}}, Workers: 1, StatsInterval: -1, SlowCall: 20 * time.Millisecond,
			Pools: []pool.Config{{
				Name: "main", HideKeys: tt.hidden,
				Backends: []pool.BackendConfig{{Name: "b", Network: "tcp", Address: lateBackend(t, 40*time.Millisecond)}},
			}},
		}, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- srv.Serve(ctx) }()
		client := dial(t, "tcp", srv.Addrs()[0].String())
		client.ask(t, "get token\"\x7f", "VALUE token\"\x7f 0 3")
		for deadline := time.Now().Add(20 * time.Second); logged.FilterMessage("slow call").Len() == 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no slow call was logged")
			}
		}
		snap, err := srv.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n := snap.Pools[0].Backends[0].Slow; n != 1 {
			t.Errorf("%d slow calls are counted, want 1", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		fields := logged.FilterMessage("slow call").All()[0].ContextMap()
		wantKey := proxy.EscapeKey("token\"\x7f")
		if tt.hidden || tt.level > zap.DebugLevel {
			wantKey = "b" // no key of 16 hex digits
			if key, _ := fields["key"].(string); len(key) == 16 {
				wantKey = key
			}
		}
		took, _ := fields["took"].(time.Duration)
		if fields["pool"] != "main" || fields["backend"] != "b" || fields["verb"] != "get" || fields["key"] != wantKey || fields["bytes"] != int64(3) ||
			took < 39*time.Millisecond {
			t.Errorf("%+v: logged %v, want the key %s", tt, fields, wantKey)
		}
	}
}
