//go:build keystone

package keystonetest

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/loopback"
)

const (
	adminPassword = "secret"
	threads       = 8 // of each Keystone
)

// A database is what Keystones share: users, roles, and the keys of tokens. It is a directory.
type database string

// settings are keystone.conf, but for [cache]. The rounds are of the hash of passwords, which is slow for a living.
func (d database) settings() string {
	return fmt.Sprintf(`[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///%[1]s/keystone.db
[fernet_tokens]
key_repository = %[1]s/fernet
[credential]
key_repository = %[1]s/credential
[identity]
password_hash_rounds = 4
`, string(d))
}

// makeDatabase has keystone-manage make one, with a user admin.
func makeDatabase(t testing.TB) database {
	t.Helper()
	d := database(t.TempDir())
	conf := filepath.Join(string(d), "manage.conf")
	if err := os.WriteFile(conf, []byte(d.settings()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fernet", "credential"} {
		if err := os.Mkdir(filepath.Join(string(d), name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	manage := func(args ...string) {
		tool(t, exec.Command("keystone-manage", append([]string{"--config-file", conf}, args...)...))
	}
	manage("db_sync")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	manage("fernet_setup", "--keystone-user", me.Username, "--keystone-group", group.Name)
	manage("bootstrap", "--bootstrap-password", adminPassword, "--bootstrap-region-id", "RegionOne", "--bootstrap-public-url", "http://127.0.0.1:5000/v3")
	// Readers and a writer that do not wait for each other; the mode stays with the file.
	tool(t, exec.Command("/usr/bin/python3", "-c", `import sqlite3, sys; assert sqlite3.connect(sys.argv[1]).execute("pragma journal_mode=wal").fetchall() == [("wal",)]`,
		filepath.Join(string(d), "keystone.db")))
	return d
}

// copy gives a database of its own with the same contents.
func (d database) copy(t testing.TB) database {
	t.Helper()
	to := database(t.TempDir())
	if err := os.CopyFS(string(to), os.DirFS(string(d))); err != nil {
		t.Fatal(err)
	}
	return to
}

// An instance is one Keystone under uWSGI, as Debian configures it but for the number of processes and threads.
type instance struct {
	*process
	address string
	ini     string
	conf    string
}

const uwsgiSettings = `[uwsgi]
buffer-size = 65535
rem-header = Content-Length
master = true
thunder-lock = true
plugins = python3
lazy-apps = true
no-orphans = true
die-on-term = true
enable-threads = true
disable-logging = true
processes = 1
threads = %d
listen = 100
wsgi-file = /usr/bin/keystone-wsgi-public
http-socket = %s
`

// launch starts a Keystone and does not wait for it. cache is the section [cache] of its keystone.conf.
func launch(t testing.TB, d database, cache string) *instance {
	t.Helper()
	dir := t.TempDir()
	k := &instance{process: newProcess(t, dir, "keystone"), address: loopback.Address(t), ini: filepath.Join(dir, "uwsgi.ini"), conf: filepath.Join(dir, "keystone.conf")}
	for name, text := range map[string]string{k.ini: fmt.Sprintf(uwsgiSettings, threads, k.address), k.conf: d.settings() + cache} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k.start()
	return k
}

func (k *instance) start() {
	k.t.Helper()
	cmd := exec.Command("uwsgi", "--ini", k.ini)
	cmd.Env = append(os.Environ(), "OS_KEYSTONE_CONFIG_FILES="+k.conf)
	if err := k.run(cmd); err != nil {
		k.t.Fatalf("%v (make e2e-keystone installs what is needed)", err)
	}
}

// wait waits until the Keystone answers.
func (k *instance) wait() {
	k.t.Helper()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get("http://" + k.address + "/v3")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if err := k.alive(); err != nil {
			k.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("Keystone does not answer: %v\n%s", err, k.lastWords())
		}
	}
}

// exception is the last line of what Python says of an error in a log of Keystone.
var exception = regexp.MustCompile(`(?m) ERROR \S+ ([\w.]+(?:Error|Exception|NotFound|Unauthorized)\b.*)$`)

// complaints are the errors in the log, counted.
func (k *instance) complaints() string {
	text, err := os.ReadFile(k.logName)
	if err != nil {
		return err.Error()
	}
	count := map[string]int{}
	for _, found := range exception.FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(found[1], "TokenNotFound") { // what a test asks for
			count[found[1]]++
		}
	}
	var lines []string
	for line, n := range count {
		lines = append(lines, fmt.Sprintf("%d times %s", n, line))
	}
	slices.Sort(lines)
	return strings.Join(lines[:min(len(lines), 20)], "\n")
}
