package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcproxy/admin"
)

// A terminal is a real one, tmux's, with a program on it.
type terminal struct {
	t      *testing.T
	socket string
}

// openTmux runs this binary as mcproxy on a terminal of a size.
func openTmux(t *testing.T, width, height int, args ...string) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Fatal("tmux is not installed: make install-test-deps, or apt-get install tmux")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "mcproxy") // by which name the binary is the program
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t, filepath.Join(dir, "tmux")}
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", term.socket, "kill-server").Run() }) // it may have ended
	// The screen stays when the program has ended, so that its end can be seen.
	term.tmux("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "-e", "TERM=tmux-256color", "sh", "-c",
		program+" "+strings.Join(args, " ")+"; echo ended with $?; exec sleep 600")
	return term
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// want waits until the screen says all texts.
func (term *terminal) want(texts ...string) {
	term.t.Helper()
	deadline := time.Now().Add(ioTimeout)
	for {
		screen := term.tmux("capture-pane", "-p")
		missing := ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			term.t.Fatalf("the screen does not say %q:\n%s", missing, screen)
		}
		time.Sleep(20 * time.Millisecond) // until the next look
	}
}

func (term *terminal) press(keys ...string) {
	term.t.Helper()
	term.tmux(append([]string{"send-keys"}, keys...)...)
}

// TestTopOnATerminal presses keys on a real terminal, before a proxy that is made of paper.
func TestTopOnATerminal(t *testing.T) {
	var ops atomic.Int64
	paper := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var v any
		switch req.URL.Path {
		case "/api/status":
			v = admin.Status{At: time.Now(), Start: time.Now().Add(-time.Hour), Version: "v9", Ready: true, Pools: []admin.PoolStatus{{
				Pool: "tokens", Ops: admin.Figure(ops.Add(1000)), Skew: admin.Skew{Bytes: 1.94, Busiest: "b1"},
				Backends: []admin.BackendStatus{{Backend: "b1", State: "up", Sent: 9e6, Load: 1.94}, {Backend: "b2", State: "down", Sent: 3e5, Load: .06}},
			}}, Clients: admin.ClientStatus{Addresses: []admin.AddressStatus{{Address: "10.0.9.7", Conns: 8}}}}
		case "/api/hotkeys":
			v = admin.HotKeyReport{Pools: []admin.HotKeyPool{{Pool: "tokens", Keys: []admin.HotKey{
				{Key: "usertokens-nova", Hash: "1", Hot: true, Kind: "byte-hot", Bytes: 9e6, Clients: []admin.KeyClient{{Address: "10.0.9.7", Share: 1}}},
				{Key: "front-page", Hash: "2", Hot: true, Kind: "read-hot", Bytes: 1e6},
			}}}}
		}
		_ = json.NewEncoder(w).Encode(v) // the other side sees what is missing
	}))
	defer paper.Close()

	term := openTmux(t, 100, 20, "top", "--admin", paper.Listener.Addr().String())
	term.want("mcproxy v9", "SKEW 1.94×", "b1 moves 97% of the bytes", "tokens", "1/2", "Tab next")
	before := ops.Load()
	term.want(fmt.Sprint(before + 2000)) // it goes on by itself
	term.press("Tab")
	term.want("● up", "✕ down", "× MEAN")
	term.press("3")
	term.want("usertokens-nova", "10.0.9.7 100%", "front-page")
	term.press("/")
	term.press("-l", "nova")
	term.want("/nova")
	if screen := term.tmux("capture-pane", "-p"); strings.Contains(screen, "front-page") {
		t.Errorf("the filter leaves what it should not:\n%s", screen)
	}
	term.press("Escape")
	term.want("front-page")
	term.press("4")
	term.want("ASKS MOST FOR", "usertokens-nova")
	term.press("p")
	term.want("paused")
	term.press("p")
	term.want("● live")
	term.tmux("resize-window", "-x", "40", "-y", "12")
	term.want("10.0.9.7", "Tab next")
	term.press("?")
	term.want("Tab, Shift-Tab, 1-5")
	term.press("q") // any key goes back
	term.want("10.0.9.7")
	term.press("q")
	term.want("ended with 0")

	// Ctrl-C ends it too, and leaves the terminal as it was: what is typed is seen again.
	term = openTmux(t, 100, 20, "top", "--admin", paper.Listener.Addr().String())
	term.want("SKEW 1.94×")
	term.press("C-c")
	term.want("ended with 0")
	if screen := term.tmux("capture-pane", "-p"); strings.Contains(screen, "SKEW") {
		t.Errorf("the screen is not given back:\n%s", screen)
	}
}
