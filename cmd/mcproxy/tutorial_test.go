package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"mcproxy/admin"
	"mcproxy/internal/chrometest"
	"mcproxy/keystone"
)

// tell has the story last as long as people would look, and be written down.
var tell = flag.Duration("tell-tutorial", 0, "load for so long before and after the reload, and write docs/tutorial-skew.md and its pictures")

const tutorialDoc = "../../docs/tutorial-skew.md"

// A story is quickstart with its load, and a browser before it.
type story struct {
	t       *testing.T
	program string // mcproxy
	page    *chrometest.Page
	url     string // of the page
	address string // of the admin endpoints
	config  string // the configuration's file
	said    string // by quickstart
}

// begin starts quickstart, and ends it with the test.
func begin(t *testing.T) *story {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, program: filepath.Join(t.TempDir(), "mcproxy")} // by which name the binary is the program
	if err := os.Symlink(self, s.program); err != nil {
		t.Fatal(err)
	}
	var out lockedBuffer
	cmd := exec.Command(s.program, "quickstart", "--workload", "keystone-tokens", "--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the program
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // an error is that it has ended
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("quickstart: %v:\n%s", err, out.String())
			}
		case <-time.After(chrometest.Timeout):
			_ = cmd.Process.Kill()
			t.Errorf("quickstart does not end:\n%s", out.String())
		}
		if left, _ := filepath.Glob(filepath.Dir(s.config)); len(left) > 0 {
			t.Errorf("quickstart leaves %q", left)
		}
	})
	for deadline := time.Now().Add(chrometest.Timeout); !strings.Contains(out.String(), "Ctrl-C ends"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("quickstart does not say what runs:\n%s", out.String())
		}
	}
	s.said = out.String() + "\n"
	found := regexp.MustCompile(`(?m)^  page +(http://(\S+)/) .*\n  config +(\S+) `).FindStringSubmatch(s.said)
	if found == nil {
		t.Fatalf("quickstart does not say where the page is:\n%s", s.said)
	}
	s.url, s.address, s.config = found[1], found[2], found[3]
	return s
}

// run runs a command, and gives what it prints.
func (s *story) run(args ...string) string {
	s.t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.Command(s.program, append(args, "--admin", s.address)...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("mcproxy %q: %v: %s", args, err, &errOut)
	}
	return out.String()
}

func (s *story) get(path string, to any) {
	s.t.Helper()
	resp, err := http.Get(s.url + strings.TrimPrefix(path, "/"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(to); err != nil {
		s.t.Fatal(err)
	}
}

// A scene is what was measured of one part of the story.
type scene struct {
	skew    float64            // of bytes, over the part's last seconds
	share   map[string]float64 // of each backend, of the bytes
	bytes   map[string]float64 // a second
	latency admin.Latency
}

// measure looks back so many samples.
func (s *story) measure(samples int) scene {
	s.t.Helper()
	var h admin.History
	s.get("/api/history", &h)
	var status admin.Status
	s.get("/api/status", &status)
	sc := scene{share: map[string]float64{}, bytes: map[string]float64{}, latency: status.Pools[0].Latency[0]}
	from := max(0, len(h.Times)-samples)
	sum, most := 0.0, 0.0
	for _, b := range h.Pools[0].Backends {
		v := 0.0
		for i := from; i < len(h.Times); i++ {
			if b.Sent[i].Known() {
				v += float64(b.Sent[i] + b.Received[i])
			}
		}
		sc.share[b.Backend], sc.bytes[b.Backend] = v, v/float64(len(h.Times)-from)
		sum, most = sum+v, max(most, v)
	}
	for name := range sc.share {
		sc.share[name] /= sum
	}
	sc.skew = most * float64(len(sc.share)) / sum
	return sc
}

// TestTutorial tells the story of docs/tutorial-skew.md: one of two servers drowns in bytes, the page and the terminal show it, and why, and
// whose doing it is; splitting is turned on; and the graph levels out.
func TestTutorial(t *testing.T) {
	s := begin(t)
	view := chrometest.View{Width: 1280, Height: 1000, Scale: 1.5}
	s.page = chrometest.Start(t).Open(s.url, view)
	key := keystone.UserKey("ceilometer")

	// The page shows the skew, the key and its client's address.
	s.page.Wait(`document.querySelector("#skew.uneven") && parseFloat(document.querySelector("#skew .value").innerText) > 1.75`)
	row := fmt.Sprintf(`[...document.querySelectorAll("#keys tbody tr")].find((tr) => tr.innerText.includes(%q))`, key)
	s.page.Wait(row + ` && ["oversized", "byte-hot", "splitting is off", "127.0.1.1", "b1"].every((word) => ` + row + `.innerText.includes(word))`)
	s.rest()
	before := s.measure(s.samples())
	if before.skew < 1.75 {
		t.Errorf("the skew is %.3f before splitting, and was to be that of one server that has nearly all", before.skew)
	}
	// And so does the terminal.
	backends, keys := s.run("top", "--once", "--tab", "backends"), s.run("top", "--once", "--tab", "keys")
	for text, want := range map[string]string{backends: "SKEW", keys: "127.0.1.1 "} {
		if !strings.Contains(text, want) {
			t.Errorf("top does not say %q:\n%s", want, text)
		}
	}
	if !regexp.MustCompile(key + ` +byte-hot oversized .* splitting is off`).MatchString(keys) {
		t.Errorf("top does not show the list of ceilometer:\n%s", keys)
	}
	s.picture("before", view)

	// Splitting is turned on.
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte("enabled = false"), []byte("enabled = true"), 1)
	if err := os.WriteFile(s.config, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	reload := s.run("reload")
	if !strings.Contains(reload, "pools.main.split.enabled: false → true") {
		t.Errorf("reload says %s", reload)
	}

	// The graph levels out, and the key's row says why.
	s.page.Wait(`document.querySelector("#skew").className === "skew" && parseFloat(document.querySelector("#skew .value").innerText) < 1.15`)
	s.page.Wait(row + ` && /split into \d+ chunks/.test(` + row + `.innerText)`)
	s.rest()
	after, evened := scene{}, ""
	for deadline := time.Now().Add(chrometest.Timeout); ; time.Sleep(time.Second) { // figures are means of seconds, that of the reload among them
		after, evened = s.measure(min(s.samples(), 4)), s.run("top", "--once", "--tab", "backends")
		if after.skew <= 1.15 && strings.Contains(evened, "Even: the busiest backend") || time.Now().After(deadline) {
			break
		}
	}
	if *tell > 0 {
		after = s.measure(s.samples())
	}
	if after.skew > 1.15 {
		t.Errorf("the skew is %.3f after splitting", after.skew)
	}
	s.page.Eval(row+`.querySelector("button").click()`, nil)
	s.page.Wait(`/Done\s+split into \d+ chunks/.test(document.querySelector("#found").innerText) && /Value\s+(39\d|400)\s*KiB/.test(document.querySelector("#found").innerText)`)
	if !strings.Contains(evened, "Even: the busiest backend") {
		t.Errorf("top does not say that the load is even:\n%s", evened)
	}
	s.picture("after", view)
	if *tell > 0 {
		s.picture("dark", chrometest.View{Width: 1280, Height: 1000, Scale: 1.5, Dark: true})
		s.picture("narrow", chrometest.View{Width: 400, Height: 900, Scale: 1.5})
		s.write(before, after, map[string]string{"quickstart": s.said, "backends": backends, "keys": keys, "reload": reload, "after": evened})
	}
	if problems := s.page.Problems(); len(problems) > 0 {
		t.Errorf("the browser complains: %q", problems)
	}
}

// rest lets the load go on while the story is told to people.
func (s *story) rest() {
	if *tell > 0 {
		time.Sleep(*tell)
	}
}

// samples is how far back a scene is measured: most of it.
func (s *story) samples() int { return max(5, int(*tell/time.Second)-10) }

// picture takes one for the docs.
func (s *story) picture(name string, view chrometest.View) {
	if *tell == 0 {
		return
	}
	s.page.Look(view)
	time.Sleep(2500 * time.Millisecond) // the plots are drawn anew with the next figures
	s.page.Eval("window.scrollTo(0, 0)", nil)
	s.page.Picture("../../docs/images/skew-"+name+".png", name != "narrow")
}

// write puts what was measured and printed into the document.
func (s *story) write(before, after scene, printed map[string]string) {
	doc, err := os.ReadFile(tutorialDoc)
	if err != nil {
		s.t.Fatal(err)
	}
	put := func(name, text string) {
		block := regexp.MustCompile(`(?s)<!-- ` + name + ` -->.*?<!-- end -->`)
		if !block.Match(doc) {
			s.t.Fatalf("%s has no place for %s", tutorialDoc, name)
		}
		doc = block.ReplaceAllLiteral(doc, []byte("<!-- "+name+" -->\n\n"+text+"\n\n<!-- end -->"))
	}
	for name, text := range printed {
		// The ports of this run, and where its file was, are nobody's concern.
		text = strings.NewReplacer(s.config, "/tmp/mcproxy-quickstart-1/proxy.toml", s.address, "127.0.0.1:9151").Replace(text)
		text = regexp.MustCompile(`(?m)^(  address +)\S+ `).ReplaceAllString(text, "${1}127.0.0.1:11210 ")
		put(name, "```\n"+strings.TrimRight(aligned(text), "\n")+"\n```")
	}
	mib := func(v float64) string { return fmt.Sprintf("%.1f MiB/s", v/(1<<20)) }
	ms := func(v admin.Figure) string { return fmt.Sprintf("%.2f ms", 1e3*float64(v)) }
	put("figures", fmt.Sprintf("| | splitting off | splitting on |\n|---|---|---|\n"+
		"| skew of bytes, busiest ÷ mean | %.2f | %.2f |\n| b1's part of the bytes | %.1f %% | %.1f %% |\n| b1 | %s | %s |\n| b2 | %s | %s |\n"+
		"| a request's p50 | %s | %s |\n| a request's p99 | %s | %s |",
		before.skew, after.skew, 100*before.share["b1"], 100*after.share["b1"], mib(before.bytes["b1"]), mib(after.bytes["b1"]),
		mib(before.bytes["b2"]), mib(after.bytes["b2"]), ms(before.latency.P50), ms(after.latency.P50), ms(before.latency.P99), ms(after.latency.P99)))
	if err := os.WriteFile(tutorialDoc, doc, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// aligned has the columns of what quickstart runs be as wide as they are now.
func aligned(text string) string {
	head := regexp.MustCompile(`(?m)(^  (address|page|config|b\d) .*\n)+`)
	return head.ReplaceAllStringFunc(text, func(table string) string {
		var b strings.Builder
		w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		for line := range strings.Lines(table) {
			fmt.Fprintln(w, "  "+strings.Join(regexp.MustCompile(` {2,}`).Split(strings.TrimSpace(line), -1), "\t"))
		}
		_ = w.Flush() // to memory
		return b.String()
	})
}

// TestTutorialDoc holds the document to what the story is about, and its pictures to being there.
func TestTutorialDoc(t *testing.T) {
	doc, err := os.ReadFile(tutorialDoc)
	if err != nil {
		t.Fatal(err)
	}
	skew := regexp.MustCompile(`(?m)^\| skew of bytes, busiest ÷ mean \| ([\d.]+) \| ([\d.]+) \|$`).FindSubmatch(doc)
	if skew == nil {
		t.Fatalf("%s has no figures; make tutorial", tutorialDoc)
	}
	if before, after := string(skew[1]), string(skew[2]); before < "1.75" || after > "1.15" {
		t.Errorf("%s tells of a skew of %s that became %s", tutorialDoc, before, after)
	}
	pictures := regexp.MustCompile(`(images/[a-z-]+\.png)`).FindAllString(string(doc), -1)
	if len(pictures) != 4 {
		t.Errorf("%s shows %q", tutorialDoc, pictures)
	}
	for _, file := range pictures {
		if _, err := os.Stat(filepath.Join(filepath.Dir(tutorialDoc), file)); err != nil {
			t.Error(err)
		}
	}
	// What it has people type is what the test runs.
	for _, typed := range []string{"```\nmcproxy quickstart --workload keystone-tokens\n```", "`mcproxy top`", "`--once`"} {
		if !strings.Contains(string(doc), typed) {
			t.Errorf("%s does not say %s", tutorialDoc, typed)
		}
	}
}
