package chrometest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Page is one tab.
type Page struct {
	tb testing.TB
	*tab
}

// For gives the page to a subtest, which fails in place of the test.
func (p *Page) For(tb testing.TB) *Page { return &Page{tb, p.tab} }

type tab struct {
	browser *Browser
	session string

	mu       sync.Mutex
	problems []string // guarded by mu: errors that scripts threw, and what the console or the policy complained of
	requests []string // guarded by mu: URLs that were asked for
}

// A View is how a page is looked at.
type View struct {
	Width, Height int
	Scale         float64 // device pixels a pixel; 0 is 1
	Dark          bool
}

type object = map[string]any

// Open opens a page and waits until it has loaded.
func (b *Browser) Open(url string, view View) *Page {
	b.tb.Helper()
	var target struct {
		ID string `json:"targetId"`
	}
	b.must("", "Target.createTarget", object{"url": "about:blank"}, &target)
	var attached struct {
		Session string `json:"sessionId"`
	}
	b.must("", "Target.attachToTarget", object{"targetId": target.ID, "flatten": true}, &attached)
	p := &Page{b.tb, &tab{browser: b, session: attached.Session}}
	b.mu.Lock()
	b.pages[p.session] = p.tab
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.must(domain+".enable", nil, nil)
	}
	p.Look(view)
	p.must("Page.navigate", object{"url": url}, nil)
	p.Wait(`document.readyState === "complete" && location.href !== "about:blank"`)
	return p
}

func (p *Page) must(method string, params, result any) {
	p.tb.Helper()
	if err := p.browser.call(p.session, method, params, result); err != nil {
		p.tb.Fatal(err)
	}
}

// event takes what the browser tells unasked.
func (p *tab) event(method string, params json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch method {
	case "Runtime.exceptionThrown":
		p.problems = append(p.problems, "exception: "+string(params))
	case "Log.entryAdded":
		var e struct {
			Entry struct{ Level, Text, URL string }
		}
		if json.Unmarshal(params, &e) == nil && (e.Entry.Level == "error" || e.Entry.Level == "warning") {
			p.problems = append(p.problems, e.Entry.Level+": "+e.Entry.Text+" "+e.Entry.URL)
		}
	case "Network.requestWillBeSent":
		var e struct {
			Request struct{ URL string }
		}
		if json.Unmarshal(params, &e) == nil {
			p.requests = append(p.requests, e.Request.URL)
		}
	}
}

// Problems gives what scripts threw and what the browser complained of so far.
func (p *Page) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.problems...)
}

// Forget lets go of the problems that a text is part of.
func (p *Page) Forget(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = slices.DeleteFunc(p.problems, func(s string) bool { return strings.Contains(s, text) })
}

// Requests gives the URLs that the page has asked for.
func (p *Page) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// Look changes how the page is looked at.
func (p *Page) Look(view View) {
	p.tb.Helper()
	scale := view.Scale
	if scale == 0 {
		scale = 1
	}
	p.must("Emulation.setDeviceMetricsOverride", object{"width": view.Width, "height": view.Height, "deviceScaleFactor": scale, "mobile": false}, nil)
	scheme := "light"
	if view.Dark {
		scheme = "dark"
	}
	p.must("Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}}}, nil)
}

// Eval runs an expression in the page, waits for it if it is a promise, and unpacks its value into result, which may be nil.
func (p *Page) Eval(expression string, result any) {
	p.tb.Helper()
	if err := p.eval(expression, result); err != nil {
		p.tb.Fatal(err)
	}
}

func (p *Page) eval(expression string, result any) error {
	var out struct {
		Result struct {
			Value json.RawMessage
		}
		Exception *struct {
			Text      string
			Exception struct{ Description string }
		} `json:"exceptionDetails"`
	}
	err := p.browser.call(p.session, "Runtime.evaluate", object{"expression": expression, "awaitPromise": true, "returnByValue": true}, &out)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", expression, err)
	case out.Exception != nil:
		return fmt.Errorf("%s: %s %s", expression, out.Exception.Text, out.Exception.Exception.Description)
	case result == nil || out.Result.Value == nil:
		return nil
	}
	return json.Unmarshal(out.Result.Value, result)
}

// Text gives the visible text of the first element that a selector finds; "" if it finds none.
func (p *Page) Text(selector string) string {
	p.tb.Helper()
	var text string
	p.Eval(fmt.Sprintf("(document.querySelector(%q) || {innerText: ''}).innerText", selector), &text)
	return text
}

// Wait waits until an expression is true.
func (p *Page) Wait(expression string) {
	p.tb.Helper()
	deadline := time.Now().Add(Timeout)
	for {
		var ok bool
		err := p.eval("!!("+expression+")", &ok)
		if ok {
			return
		}
		if time.Now().After(deadline) {
			var text string
			p.Eval("document.body.innerText", &text)
			p.tb.Fatalf("waited in vain for %s (last error: %v); problems: %q; the page says:\n%s", expression, err, p.Problems(), text)
		}
		time.Sleep(20 * time.Millisecond) // until the next look
	}
}

// Press presses and releases a key, such as "a", "Tab", "Enter" or "ArrowRight".
func (p *Page) Press(key string) {
	p.tb.Helper()
	codes := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
	event := object{"type": "keyDown", "key": key}
	if code, ok := codes[key]; ok {
		event["windowsVirtualKeyCode"], event["code"] = code, key
		if key == "Enter" {
			event["text"] = "\r"
		}
	} else {
		event["text"] = key
	}
	p.must("Input.dispatchKeyEvent", event, nil)
	p.must("Input.dispatchKeyEvent", object{"type": "keyUp", "key": key}, nil)
}

// Type presses the keys of a text.
func (p *Page) Type(text string) {
	p.tb.Helper()
	p.must("Input.insertText", object{"text": text}, nil)
}

// Picture writes a PNG of the page to a file: of what is in view, or, if whole, of all there is.
func (p *Page) Picture(file string, whole bool) {
	p.tb.Helper()
	var shot struct{ Data string }
	p.must("Page.captureScreenshot", object{"format": "png", "captureBeyondViewport": whole}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, png, 0o644)
	}
	if err != nil {
		p.tb.Fatal(err)
	}
}
