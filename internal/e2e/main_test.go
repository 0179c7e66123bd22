package e2e

import (
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

var (
	commandsFlag = flag.Int("commands", 100_000, "commands of a differential run, of all clients together")
	seedFlag     = flag.Uint64("seed", 0, "seed of the random suites; 0 takes one at random and prints it")
	clientsFlag  = flag.Int("clients", 4, "clients at once of a differential run")
	throughFlag  = flag.String("through", "proxy", "what the suites go through: proxy, or memcached (checks the suites themselves)")
)

func TestMain(m *testing.M) {
	if stage := os.Getenv(successorEnv); stage != "" {
		if err := failAsSuccessor(stage); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	go lag.run()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		os.RemoveAll(built.dir)
		os.Exit(code)
	}))
}

// seed is the run's seed; it is printed, so that a failure can be repeated.
func seed(t testing.TB) uint64 {
	s := *seedFlag
	for s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	return s
}

// throughMemcached says whether this run checks the suites, with memcached itself in the proxy's place.
func throughMemcached(t testing.TB) bool {
	switch *throughFlag {
	case "memcached":
		return true
	case "proxy":
		return false
	}
	t.Fatalf("-through=%s: want proxy or memcached", *throughFlag)
	return false
}

// program finds an executable by the first of its names that exists. A missing one fails the test and says what to
// install: nothing is skipped.
func program(t testing.TB, pkg string, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
			if path, err := exec.LookPath(dir + name); err == nil {
				return path
			}
		}
	}
	t.Fatalf("%s is not installed: run `make install-test-deps`, or `apt-get install -y %s`", names[0], pkg)
	return ""
}

// python finds the interpreter that Debian's modules belong to, and checks that module is there, from pkg.
func python(t testing.TB, pkg, module string) string {
	t.Helper()
	path := program(t, "python3", "/usr/bin/python3")
	if out, err := exec.Command(path, "-c", "import "+module).CombinedOutput(); err != nil {
		t.Fatalf("%s cannot import %s (%v): run `make install-test-deps`, or `apt-get install -y %s`\n%s", path, module, err, pkg, out)
	}
	return path
}
