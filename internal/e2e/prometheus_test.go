package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcproxy/internal/loopback"
	"mcproxy/internal/memcachedtest"
	"mcproxy/keystone"
	"mcproxy/pool"
	"mcproxy/proxy"
	"mcproxy/ring"
)

// A watched is a proxy that a Prometheus scrapes while token lists grow behind it.
type watched struct {
	endpoint
	admin string
	users []string // service users whose lists lie on the first backend
}

// startWatched runs a proxy over two memcached of its own.
func startWatched(t *testing.T, binary, tables string) *watched {
	t.Helper()
	w := &watched{admin: loopback.Address(t)}
	cfg := pool.Config{
		Name: "main", Ring: ring.Options{Kind: "cmemcache"}, Backends: backends([]*memcachedtest.Server{startMemcached(t), startMemcached(t)}),
	}
	var list strings.Builder
	for i := range cfg.Backends {
		cfg.Backends[i].Name = fmt.Sprintf("b%d", i+1)
		fmt.Fprintf(&list, "  { name = %q, address = %q },\n", cfg.Backends[i].Name, cfg.Backends[i].Address)
	}
	_, w.endpoint = runProgram(t, binary, fmt.Sprintf("[admin]\naddress = %q\n\n[proxy]\nworkers = 1\nstats_interval = \"1s\"\n\n[pools.main]\nring = \"cmemcache\"\nbackends = [\n%s]\n%s",
		w.admin, list.String(), tables))
	router, err := proxy.NewRouter(proxy.Config{Pools: []pool.Config{cfg}})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"ceilometer", "neutron", "nova"} {
		user := service
		for i := 0; router.Route([]byte(keystone.UserKey(user))).Backend != "b1"; i++ {
			user = service + "-" + strconv.Itoa(i)
		}
		w.users = append(w.users, user)
	}
	return w
}

// listBytes is how long the lists are from the start, as after days.
const listBytes = 3500 * 86

// load gives each user a list and has Keystone's requests come until the test ends.
func (w *watched) load(t *testing.T, binary string) {
	t.Helper()
	c := w.dial(t)
	defer c.Close()
	for _, user := range w.users {
		request := fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", keystone.UserKey(user), listBytes, strings.Repeat("s", listBytes))
		if answer, _, err := askWithNoop(c, request); err != nil || answer != "STORED\r\n" {
			t.Fatalf("store the list of %s: %q, %v", user, answer, err)
		}
	}
	startUntilEnd(t, binary, "bench", "--workload", "keystone-tokens", "--conns", "2", "--duration", "10m", "--users", "20",
		"--service-users", strings.Join(w.users, ","), "--list-limit", strconv.Itoa(320<<10), w.address)
}

// startUntilEnd runs a program until the test ends, and tells what it said if the test fails.
func startUntilEnd(t *testing.T, name string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v (make install-test-deps installs it)", name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		select {
		case err := <-ended:
			t.Errorf("%s %s has ended: %v\n%s", name, strings.Join(args, " "), err, said.String())
		default:
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said.String())
		}
	})
}

// hurry is how much sooner the rules of the test look than those that are shipped: minutes become seconds.
const hurry = 30

// hurriedRules are the shipped rules with all their times divided.
func hurriedRules(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/mcproxy.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
	times := regexp.MustCompile(`(\[|offset |for: )(\d+)([smh])\b`)
	return times.ReplaceAllStringFunc(string(text), func(s string) string {
		m := times.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[2])
		return m[1] + strconv.FormatInt((time.Duration(n)*units[m[3]]/hurry).Milliseconds(), 10) + "ms"
	})
}

// A prometheus is a running one.
type prometheus struct {
	t   *testing.T
	url string
}

// startPrometheus has one scrape the proxies, by name.
func startPrometheus(t *testing.T, proxies map[string]*watched) *prometheus {
	t.Helper()
	dir := t.TempDir()
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\nrule_files: [rules.yml]\n" +
		"scrape_configs:\n")
	for name, w := range proxies {
		// A job each: proxies of one job are taken to have the same servers.
		fmt.Fprintf(&config, "  - {job_name: %q, static_configs: [{targets: [%q], labels: {instance: %q}}]}\n", "mcproxy-"+name, w.admin, name)
	}
	for name, text := range map[string]string{"prometheus.yml": config.String(), "rules.yml": hurriedRules(t)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listen := loopback.Address(t)
	startUntilEnd(t, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+listen, "--log.level=warn")
	waitListening(t, listen)
	return &prometheus{t, "http://" + listen}
}

// A sample is one series of an answer to a query, or an alert.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

// query asks for the present value of an expression.
func (p *prometheus) query(expr string) []sample {
	p.t.Helper()
	var answer struct {
		Status, Error string
		Data          struct{ Result []sample }
	}
	resp, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable { // it starts
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Status != "success" {
		p.t.Fatalf("%s: %s %s %v", expr, answer.Status, answer.Error, err)
	}
	return answer.Data.Result
}

// waitFor waits until an expression has a value, and gives what it is.
func (p *prometheus) waitFor(expr string, within time.Duration) []sample {
	p.t.Helper()
	for begun := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		if got := p.query(expr); len(got) > 0 {
			p.t.Logf("after %.1f s: %s: %d", time.Since(begun).Seconds(), expr, len(got))
			return got
		}
		if time.Since(begun) > within {
			p.t.Fatalf("nothing in %v: %s; alerts: %v; skew: %v", within, expr, p.query("ALERTS"), p.query("mcproxy:backend_skew_bytes:ratio5m"))
		}
	}
}

// healthyRules says which rules Prometheus could not evaluate.
func (p *prometheus) healthyRules() {
	p.t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	resp, err := http.Get(p.url + "/api/v1/rules")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		p.t.Fatal(err)
	}
	n := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			n++
			if r.Health != "ok" {
				p.t.Errorf("rule %s: %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if n < 25 {
		p.t.Errorf("Prometheus has %d rules", n)
	}
}

// TestPrometheusAlerts has a real Prometheus watch two proxies before token lists that lie on one of two memcached, as Keystone made
// them: one that splits large values, and one that does not. The alerts say so of the one that does not, and of it alone.
func TestPrometheusAlerts(t *testing.T) {
	binary := buildProgram(t)
	proxies := map[string]*watched{
		"whole": startWatched(t, binary, ""),
		"split": startWatched(t, binary, "[pools.main.split]\nenabled = true\n"),
	}
	p := startPrometheus(t, proxies)
	p.waitFor(`count(up == 1) == 2`, answerTimeout)
	for _, w := range proxies {
		w.load(t, binary)
	}
	const soon = 30 * time.Second
	hot := p.waitFor(`ALERTS{alertname="HotKey",alertstate="firing",instance="whole",kind="byte-hot"}`, soon)
	large := p.waitFor(`ALERTS{alertname="OversizedValue",alertstate="firing",instance="whole",action="passed"}`, soon)
	lists := make([]string, 0, 3)
	for _, user := range proxies["whole"].users {
		lists = append(lists, keystone.UserKey(user))
	}
	for _, s := range slices.Concat(hot, large) {
		if !slices.Contains(lists, s.Metric["key"]) {
			t.Errorf("%s fires for %s, which is no user's list", s.Metric["alertname"], s.Metric["key"])
		}
	}
	for _, s := range p.waitFor(`ALERTS{alertname="BackendImbalance",alertstate="firing",of="bytes",instance="whole"}`, 4*soon) {
		if s.Metric["backend"] != "b1" {
			t.Errorf("BackendImbalance fires for %s, and the lists lie on b1", s.Metric["backend"])
		}
	}
	// The other proxy has had as long, under load. It was looked at, and no alert came.
	p.waitFor(`sum by (instance) (mcproxy:backend_bytes:rate5m{instance="split"}) > 1e6 and on (instance) min_over_time(sum by (instance) (mcproxy:backend_bytes:rate5m{instance="split"})[10s:1s]) > 1e6`, 4*soon)
	for _, alert := range []string{`BackendImbalance",of="bytes`, `OversizedValue`, `HotKeyNotRelieved`} {
		if got := p.query(fmt.Sprintf(`max_over_time(ALERTS{alertstate="firing",instance="split",alertname="%s"}[10m])`, alert)); len(got) > 0 {
			t.Errorf("with splitting on: %v", got)
		}
	}
	for _, s := range p.query(`max by (instance) (mcproxy:backend_skew_bytes:ratio5m)`) {
		t.Logf("busiest backend's bytes over its share, %s: %v", s.Metric["instance"], s.Value[1])
	}
	if got := p.query(`ALERTS{alertstate="firing",alertname=~"MetricsAbsent|BackendDown|BackendErrorRatio|RingMismatch|ReloadFailed|ItemsRefused"}`); len(got) > 0 {
		t.Errorf("alerts that nothing was done for: %v", got)
	}
	p.healthyRules()
}
