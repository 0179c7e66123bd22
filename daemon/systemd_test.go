package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
)

// TestFeed has the watchdog fed as long as the probe succeeds, and not while it fails or takes too long.
func TestFeed(t *testing.T) {
	dir, err := os.MkdirTemp("", "feed") // not t.TempDir: a socket's path has room for 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var fails, hangs atomic.Bool
	var probes atomic.Int64
	probe := func(ctx context.Context) error {
		probes.Add(1)
		if hangs.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		if fails.Load() {
			return errors.New("a worker does not answer")
		}
		return nil
	}
	s := &systemd{address: path, watchdog: 20 * time.Millisecond, log: zap.NewNop()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		s.feed(ctx, probe)
	}()
	fed := func() bool {
		t.Helper()
		text := make([]byte, 100)
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(text)
		return err == nil && string(text[:n]) == "WATCHDOG=1"
	}
	for range 3 {
		if !fed() {
			t.Fatal("the watchdog is not fed")
		}
	}
	for what, bad := range map[string]*atomic.Bool{"fails": &fails, "hangs": &hangs} {
		bad.Store(true)
		for from := probes.Load(); probes.Load() < from+2; { // the one under way has ended
			time.Sleep(time.Millisecond)
		}
		drained := make([]byte, 100)
		for conn.SetReadDeadline(time.Now().Add(5*time.Millisecond)) == nil { // one that is over lets nothing be read
			if _, err := conn.Read(drained); err != nil {
				break
			}
		}
		for from := probes.Load(); probes.Load() < from+3; {
			time.Sleep(time.Millisecond)
		}
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(drained); err == nil {
			t.Errorf("the probe %s, and the watchdog is told %q", what, drained[:n])
		}
		bad.Store(false)
		if !fed() {
			t.Error("the watchdog is not fed again")
		}
	}
	cancel()
	<-done
}
