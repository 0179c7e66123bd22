package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/chrometest"
	"mcproxy/proxy"
)

// TestPage looks at the page as people do, in a browser.
func TestPage(t *testing.T) {
	s := newStage(time.Now().Add(-16 * time.Minute))
	web := play(t, s)
	browser := chrometest.Start(t)
	wide := chrometest.View{Width: 1280, Height: 900}
	page := browser.Open(web.URL, wide)
	page.Wait(`document.querySelectorAll("#backends tbody tr").length === 2 && document.querySelectorAll("#plots canvas").length === 4`)

	for _, tt := range []struct {
		name string
		test func(t *testing.T, s *stage, page *chrometest.Page)
	}{
		{"figures", pageFigures},
		{"hostile keys", pageHostileKeys},
		{"order", pageOrder},
		{"filter", pageFilter},
		{"lookup", pageLookup},
		{"keyboard", pageKeyboard},
		{"pools", pagePools},
		{"pause", pagePause},
		{"dead backend", pageDeadBackend},
		{"widths", pageWidths},
		{"hidden keys", pageHiddenKeys},
		{"levels out", pageLevelsOut},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, s, page.For(t)) })
	}
	if problems := page.Problems(); len(problems) > 0 {
		t.Errorf("the browser complains: %q", problems)
	}
	for _, url := range page.Requests() {
		if !strings.HasPrefix(url, web.URL+"/") && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page asks for %s", url)
		}
	}
	// The proxy goes away: the page says so, and since when.
	web.CloseClientConnections()
	web.Listener.Close()
	page.Wait(`document.querySelector("#live").dataset.state === "lost" && /no answer since \d\d:\d\d:\d\d/.test(document.querySelector("#live").textContent)`)
}

// has says, as an expression, that an element's text contains another.
func has(selector, text string) string {
	return fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.innerText.includes(%q))", selector, text)
}

func pageFigures(t *testing.T, _ *stage, page *chrometest.Page) {
	page.Wait(`document.querySelector("#live").textContent === "live"`)
	page.Wait(`document.querySelector("#skew").className.includes("uneven")`)
	if got := page.Text("#skew"); !strings.Contains(got, "1.94") || !strings.Contains(got, "b1 moves 97\u202f% of the bytes; its part would be 50\u202f%.") {
		t.Errorf("the skew says %q", got)
	}
	for _, want := range []string{"b1", "10.0.0.1:11211", "up", "1.94", "1.6.18"} {
		if got := page.Text("#backends tbody tr"); !strings.Contains(got, want) {
			t.Errorf("the first backend says %q, without %q", got, want)
		}
	}
	for selector, want := range map[string]string{
		"#keys tbody tr td.who": "10.0.9.7 93\u202f%", "#clients tbody tr": "10.0.9.7", "#events li": "10.1.0.3:11211", "#events li:last-child": "clients are accepted",
	} {
		if got := page.Text(selector); !strings.Contains(got, want) {
			t.Errorf("%s says %q, without %q", selector, got, want)
		}
	}
	if got := page.Text("#figures > div:nth-child(5)"); !strings.Contains(got, "µs") || !strings.Contains(got, "p99.9") {
		t.Errorf("the latency says %q", got)
	}
	// It moves: the counters of the stage go on, and the page with them.
	var before, after string
	page.Eval(`document.querySelector("#figures").innerText`, &before)
	page.Wait(fmt.Sprintf(`document.querySelector("#figures").innerText !== %q`, before))
	page.Eval(`document.querySelector("#plots .canvas").getAttribute("aria-label")`, &after)
	if !strings.HasPrefix(after, "Skew, now: bytes 1.9") {
		t.Errorf("the first plot is described as %q", after)
	}
	// 15 minutes are there at once.
	var seconds float64
	page.Eval(`fetch("/api/history").then((r) => r.json()).then((h) => h.times.at(-1) - h.times[0])`, &seconds)
	if seconds < 14*60 {
		t.Errorf("the history reaches back %v s", seconds)
	}
}

func pageHostileKeys(t *testing.T, _ *stage, page *chrometest.Page) {
	page.Wait(has("#keys td.key", `<img\x20src=x\x20onerror="document.title='pwned'">`))
	page.Wait(has("#keys td.key", `a"'/></script><script>document.title='pwned'</script>`))
	var title string
	var images, scripts int
	page.Eval(`document.title`, &title)
	page.Eval(`document.images.length`, &images)
	page.Eval(`document.scripts.length`, &scripts)
	if title != "mcproxy" || images != 0 || scripts != 1 {
		t.Errorf("keys made HTML: title %q, %d images, %d scripts", title, images, scripts)
	}
	// And if one did, its script would not run.
	page.Eval(`document.body.append(Object.assign(document.createElement("div"), { innerHTML: "<img src=nowhere onerror='document.title=1'>" }))`, nil)
	page.Eval(`Object.assign(document.createElement("script"), { textContent: "document.title = 2" }).isConnected || document.body.append(Object.assign(document.createElement("script"), { textContent: "document.title = 2" }))`, nil)
	page.Wait(`document.images.length === 1`)
	page.Eval(`document.title`, &title)
	if title != "mcproxy" {
		t.Errorf("a script that is not the page's has run")
	}
	page.Eval(`document.body.lastChild.remove(), document.images[0].parentNode.remove()`, nil)
	page.Forget("Content Security Policy") // that the browser has said so is what was wanted
}

// keyOrder gives the keys that the table shows.
func keyOrder(page *chrometest.Page) []string {
	var keys []string
	page.Eval(`[...document.querySelectorAll("#keys td.key")].map((e) => e.innerText.slice(0, 10))`, &keys)
	return keys
}

func pageOrder(t *testing.T, _ *stage, page *chrometest.Page) {
	if got := keyOrder(page); len(got) != 5 || got[0] != "7f1b0ffb2b" {
		t.Errorf("by bytes the keys are %q", got)
	}
	requests := `[...document.querySelectorAll("#keys th button")].find((b) => b.textContent === "Requests")`
	page.Eval(requests+`.click()`, nil)
	down := keyOrder(page)
	page.Eval(requests+`.click()`, nil)
	up := keyOrder(page)
	if down[0] != "front-page" || up[len(up)-1] != "front-page" {
		t.Errorf("by requests the keys are %q and %q", down, up)
	}
	var sorted string
	page.Eval(requests+`.closest("th").getAttribute("aria-sort")`, &sorted)
	if sorted != "ascending" {
		t.Errorf("a column that is sorted says %q", sorted)
	}
	page.Eval(`[...document.querySelectorAll("#keys th button")].find((b) => b.textContent === "Bytes").click()`, nil)
}

func pageFilter(t *testing.T, _ *stage, page *chrometest.Page) {
	for _, tt := range []struct {
		word string
		want []string
	}{
		{"READ-HOT", []string{"front-page"}},
		{"write-hot", []string{`<img\x20sr`}},
		{"oversized", []string{"7f1b0ffb2b", `a"'/></scr`}},
		{"no such thing", nil},
	} {
		page.Press("/")
		page.Eval(`document.querySelector("#filter").select()`, nil)
		page.Type(tt.word)
		if got := keyOrder(page); !slices.Equal(got, tt.want) {
			t.Errorf("filtered by %q the keys are %q, want %q", tt.word, got, tt.want)
		}
	}
	if got := page.Text("#keys .empty"); got != "No key matches the filter." {
		t.Errorf("an empty table says %q", got)
	}
	page.Press("Escape")
	if got := keyOrder(page); len(got) != 5 {
		t.Errorf("after Esc there are %q", got)
	}
	page.Eval(`document.activeElement.blur()`, nil)
}

func pageLookup(t *testing.T, _ *stage, page *chrometest.Page) {
	// By the keyboard alone; the key has a byte that no text has.
	page.Press("k")
	page.Type(`my\xffkey<b>`)
	page.Press("Enter")
	page.Wait(has("#found", `my\xffkey<b>`))
	got := page.Text("#found")
	for _, want := range []string{"tokens", "b1", "cmemcache, hash 12345", "395", "KiB", "59 min left", "2 s ago"} {
		if !strings.Contains(got, want) {
			t.Errorf("the lookup says %q, without %q", got, want)
		}
	}
	page.Eval(`document.activeElement.blur()`, nil)
	// By a click on a key of the table.
	page.Eval(`document.querySelector("#keys td.key button").click()`, nil)
	page.Wait(has("#found", "byte-hot for"))
	// What is no key is said to be none.
	page.Eval(`document.querySelector("#key").value = "\\q"`, nil)
	page.Eval(`document.querySelector("#lookup button").click()`, nil)
	page.Wait(has("#found", `a key has at most 250 bytes`))
	page.Eval(`document.querySelector("#found").replaceChildren()`, nil)
	page.Forget("400 (Bad Request)")
}

// pageKeyboard goes through the page with the Tab key: all that can be clicked must be reached.
func pageKeyboard(t *testing.T, _ *stage, page *chrometest.Page) {
	page.Eval(`document.activeElement.blur(), window.scrollTo(0, 0)`, nil)
	const name = `((e) => e.id || e.dataset.key || e.textContent)(document.activeElement)`
	seen := map[string]bool{}
	for range 80 {
		page.Press("Tab")
		var at string
		page.Eval(name, &at)
		seen[at] = true
	}
	for _, want := range []string{"pause", "theme", "help", "filter", "key", "Look up", "Requests", "Calls", "front-page", "To the keys"} {
		if !seen[want] {
			t.Errorf("the Tab key does not reach %q, but %v", want, seen)
		}
	}
	page.Eval(`document.activeElement.blur()`, nil)
	page.Press("?")
	page.Wait(`document.querySelector("#keyboard").open`)
	page.Press("Escape")
	page.Wait(`!document.querySelector("#keyboard").open`)
}

func pagePools(t *testing.T, _ *stage, page *chrometest.Page) {
	page.Eval(`document.querySelector('#pools [aria-checked="true"]').focus()`, nil)
	page.Press("ArrowRight")
	page.Wait(`document.querySelectorAll("#backends tbody tr").length === 12`)
	if got := page.Text("#keys .empty"); got != "No key is hot, and none has an oversized value." {
		t.Errorf("a pool without keys says %q", got)
	}
	var focused string
	page.Eval(`document.activeElement.textContent`, &focused)
	if !strings.HasPrefix(focused, "sessions") {
		t.Errorf("the focus is on %q", focused)
	}
	page.Eval(`document.activeElement.blur()`, nil)
	page.Press("[")
	page.Wait(`document.querySelectorAll("#backends tbody tr").length === 2`)
}

func pagePause(t *testing.T, _ *stage, page *chrometest.Page) {
	page.Press("p")
	page.Wait(`/^held at \d\d:\d\d:\d\d$/.test(document.querySelector("#live").textContent)`)
	var asked float64
	page.Eval(`performance.getEntriesByType("resource").length`, &asked)
	var held string
	page.Eval(`new Promise((done) => setTimeout(() => done(document.querySelector("#live").dataset.state), 1500))`, &held)
	var later float64
	page.Eval(`performance.getEntriesByType("resource").length`, &later)
	if later > asked+3 || held != "held" { // one round may have been under way
		t.Errorf("the page asked for %v things and is %q while it is held", later-asked, held)
	}
	page.Press("p")
	page.Wait(`document.querySelector("#live").textContent === "live"`)
}

func pageDeadBackend(t *testing.T, s *stage, page *chrometest.Page) {
	s.set(func() { s.dead = true })
	page.Wait(`[...document.querySelectorAll("#backends tr.dead")].some((e) => e.innerText.includes("b2") && e.querySelector(".down").innerText === "down")`)
	page.Wait(has("#figures", "1 backend not up"))
	page.Wait(has("#pools", "✕"))
	if *pictures != "" {
		page.Picture(*pictures+"/dead.png", true)
	}
	s.set(func() { s.dead = false })
	page.Wait(`!document.querySelector("#backends tr.dead")`)
}

// pageWidths looks at narrow and wide windows, in light and in dark: nothing may stick out, and every text must be legible.
func pageWidths(t *testing.T, _ *stage, page *chrometest.Page) {
	for _, width := range []int{320, 400, 768, 1024, 1280, 1920} {
		for _, dark := range []bool{false, true} {
			page.Look(chrometest.View{Width: width, Height: 900, Dark: dark})
			page.Wait(fmt.Sprintf("innerWidth === %d", width))
			page.Wait(fmt.Sprintf("document.documentElement.scrollWidth <= %d", width)) // the plots are drawn anew a moment later
			var faint []string
			page.Eval(faintTexts, &faint)
			if len(faint) > 0 {
				t.Errorf("at %d pixels, dark %v, these texts stand out too little: %q", width, dark, faint)
			}
			if *pictures != "" {
				page.Look(chrometest.View{Width: width, Height: 900, Dark: dark, Scale: 1.5})
				time.Sleep(1200 * time.Millisecond) // the plots are drawn anew with the next figures
				page.Picture(fmt.Sprintf("%s/%d-%v.png", *pictures, width, dark), true)
			}
		}
	}
	page.Look(chrometest.View{Width: 1280, Height: 900})
}

// faintTexts finds texts with a contrast of less than 4.5 to what they stand on (WCAG 2.2, 1.4.3).
const faintTexts = `(() => {
	const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = (c) => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = c; probe.fillRect(0, 0, 1, 1); return [...probe.getImageData(0, 0, 1, 1).data].map((v) => v / 255); };
	const light = (c) => c.slice(0, 3).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
	const ground = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 0.99) return c; } return [1, 1, 1, 1]; };
	const faint = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.textContent.trim() || !e.checkVisibility() || e.closest("script, noscript, .skip")) continue;
		const [a, b] = [light(rgba(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
		if ((a + 0.05) / (b + 0.05) < 4.5) faint.add(e.innerText + " " + ((a + 0.05) / (b + 0.05)).toFixed(2));
	}
	return [...faint];
})()`

// pageHiddenKeys has the pool hide its keys: no byte of them may get to the browser.
func pageHiddenKeys(t *testing.T, s *stage, page *chrometest.Page) {
	s.set(func() {
		s.hidden = true
		s.keys = slices.Clone(s.keys)
		s.large = slices.Clone(s.large)
		for i := range s.keys {
			s.keys[i].Key = ""
		}
		for i := range s.large {
			s.large[i].Key = ""
		}
	})
	page.Wait(has("#keys td.key", "hash 0000000000000003") + ` && !document.querySelector("main").innerText.includes("front-page")`)
	page.Wait(has("#keys-note", "keys are hidden: hashes stand for them"))
	s.set(func() { s.keys, s.large = newStage(s.start).keys, newStage(s.start).large })
}

func pageLevelsOut(t *testing.T, s *stage, page *chrometest.Page) {
	s.set(func() {
		s.split = true
		s.large = []proxy.OversizedKey{{Key: "k", Hash: 9, ValueBytes: 404_200, Chunks: 7, Ops: 41, Backend: "b1", Action: "split into 7 chunks"}}
	})
	page.Wait(`document.querySelector("#skew").className === "skew"`)
	page.Wait(has("#skew", "Even: the busiest of 2 backends"))
	page.Wait(has("#keys td.what", "split into 7 chunks"))
}
