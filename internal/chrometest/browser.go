// Package chrometest drives a headless Chromium for tests: it loads pages, runs scripts in them, presses keys and takes pictures.
//
// It speaks the Chrome DevTools Protocol over the browser's own pipes (--remote-debugging-pipe): JSON messages, each ended by a NUL. A test
// needs a dozen of the protocol's methods, and no library.
package chrometest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Timeout is how long anything may take that a browser does at once on an idle machine.
const Timeout = 90 * time.Second

// A Browser is a running Chromium. Its methods are safe for concurrent use.
type Browser struct {
	tb     testing.TB
	cmd    *exec.Cmd
	toIt   *os.File
	fromIt *os.File
	stderr string        // the file of what it complains of
	ended  chan struct{} // closed when nothing more comes from it

	mu      sync.Mutex
	id      int
	waiting map[int]chan message // guarded by mu: who waits for an answer
	pages   map[string]*tab      // guarded by mu: by session
}

// A message is the protocol's, in either direction.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// fonts names what pictures are to look best with, where it is installed: a desktop's own fonts are not, on a server.
const fonts = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<match><test name="family"><string>system-ui</string></test><edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
<match><test name="family"><string>sans-serif</string></test><edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
<match><test name="family"><string>sans</string></test><edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
<match><test name="family"><string>ui-monospace</string></test><edit name="family" mode="prepend" binding="strong"><string>JetBrains Mono</string></edit></match>
</fontconfig>`

// Start starts a browser that ends with the test. Without a Chromium the test fails, and says what to install.
func Start(tb testing.TB) *Browser {
	tb.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		tb.Fatal("chromium is not installed: make install-test-deps, or apt-get install chromium")
	}
	home := tb.TempDir()
	if err := os.MkdirAll(home+"/fontconfig", 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(home+"/fontconfig/fonts.conf", []byte(fonts), 0o644); err != nil {
		tb.Fatal(err)
	}
	theirIn, toIt, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	fromIt, theirOut, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	b := &Browser{tb: tb, toIt: toIt, fromIt: fromIt, ended: make(chan struct{}), waiting: make(map[int]chan message), pages: make(map[string]*tab)}
	b.cmd = exec.Command(path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
		"--disable-breakpad", "--hide-scrollbars", "--force-color-profile=srgb", "--lang=en-US", "--user-data-dir="+tb.TempDir(), "about:blank")
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	b.cmd.Env = append(os.Environ(), "TZ=UTC", "HOME="+home, "XDG_CONFIG_HOME="+home)
	b.stderr = filepath.Join(tb.TempDir(), "stderr")
	stderr, err := os.Create(b.stderr)
	if err != nil {
		tb.Fatal(err)
	}
	defer stderr.Close()
	b.cmd.Stderr = stderr
	if err := b.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	go b.listen() // ends when the browser has; the cleanup waits
	tb.Cleanup(b.close)
	return b
}

func (b *Browser) close() {
	gone := time.AfterFunc(Timeout, func() { _ = b.cmd.Process.Kill() })
	defer gone.Stop()
	if b.send(message{Method: "Browser.close", ID: -1}) != nil {
		_ = b.cmd.Process.Kill() // it is gone, or hangs
	}
	<-b.ended
	_ = b.cmd.Wait() // how it ends is of no interest
	b.toIt.Close()
	b.fromIt.Close()
}

// listen hands out what the browser says.
func (b *Browser) listen() {
	defer close(b.ended)
	in := bufio.NewReaderSize(b.fromIt, 1<<20)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			message
			Params json.RawMessage `json:"params"`
		}
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		waiting, page := b.waiting[m.ID], b.pages[m.Session]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case m.ID > 0 && waiting != nil:
			waiting <- m.message
		case m.Method != "" && page != nil:
			page.event(m.Method, m.Params)
		}
	}
}

func (b *Browser) send(m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = b.toIt.Write(append(text, 0))
	return err
}

// call has the browser do something, and unpacks its answer into result, which may be nil.
func (b *Browser) call(session, method string, params, result any) error {
	answer := make(chan message, 1)
	b.mu.Lock()
	b.id++
	id := b.id
	b.waiting[id] = answer
	err := b.send(message{ID: id, Session: session, Method: method, Params: params})
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-b.ended:
		said, _ := os.ReadFile(b.stderr)
		return fmt.Errorf("%s: the browser has ended: %s", method, said)
	case <-time.After(Timeout):
		return fmt.Errorf("%s: no answer from the browser", method)
	}
}

// must is call for what cannot fail.
func (b *Browser) must(session, method string, params, result any) {
	b.tb.Helper()
	if err := b.call(session, method, params, result); err != nil {
		b.tb.Fatal(err)
	}
}
