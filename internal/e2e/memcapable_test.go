package e2e

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestClientsMemcapable runs libmemcached's own test of servers: what memcached passes, the proxy must pass.
func TestClientsMemcapable(t *testing.T) {
	capable := program(t, "libmemcached-tools", "memccapable", "memcapable")
	want := memcapable(t, capable, endpointOf(startMemcached(t)))
	if len(want) < 25 {
		t.Fatalf("memcached itself is given %d verdicts: %v", len(want), want)
	}
	got := memcapable(t, capable, startService(t, 1).endpoint)
	for name, passed := range want {
		if passed && !got[name] {
			t.Errorf("%s: failed, and memcached itself passes", name)
		}
	}
}

// verdict is a line of memcapable's output: a name padded to 40 columns, and "[pass]" if so. What failed is told on
// standard error, in between.
var verdict = regexp.MustCompile(`(ascii.{35})(\[pass\])?`)

func memcapable(t *testing.T, program string, ep endpoint) map[string]bool {
	ctx, cancel := context.WithTimeout(context.Background(), programTimeout)
	defer cancel()
	host, port, _ := strings.Cut(ep.address, ":")
	cmd := exec.CommandContext(ctx, program, "-h", host, "-p", port, "-a", "-v", "-t", "5")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	verdicts := map[string]bool{}
	for _, m := range verdict.FindAllStringSubmatch(string(out), -1) {
		verdicts[strings.TrimSpace(m[1])] = m[2] != ""
	}
	t.Logf("%s: %d verdicts, %v %s", ep, len(verdicts), err, complaints.String())
	if err != nil {
		t.Logf("%s", out)
	}
	return verdicts
}
