package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcproxy/inspect"
	"mcproxy/internal/memcachedtest"
	"mcproxy/keystone"
)

// examples are the pages whose examples are run.
var examples = []string{"../../docs/inspect.md", "../../docs/keystone-tools.md"}

// consoleBlock is an example: a command, and what it prints.
var consoleBlock = regexp.MustCompile("(?s)```console\n\\$ (mcproxy [^\n]*)\n(.*?)```\n")

// asksNobody are the commands to which servers are names.
var asksNobody = regexp.MustCompile(`^mcproxy keystone (key|whose|skew) `)

// usersBlock is the file that examples name.
var usersBlock = regexp.MustCompile("(?s)```users.txt\n(.*?)```\n")

// exampleList is a token list as Kilo's Keystone stores it: a token every 9 seconds for 75 minutes of a day long ago.
const exampleList = `
import sys, datetime, memcache
from dogpile.cache.api import CachedValue
start = datetime.datetime(2015, 6, 1, 12, 0, 0)
tokens = [("%032x" % i, (start + datetime.timedelta(seconds=9 * i)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")) for i in range(500)]
def store(server, key, value):
    assert memcache.Client([server], pickleProtocol=0).set(key, CachedValue(value, {"ct": 1433160000.5, "v": 1}))
one, other, ceilometer, neutron, token = sys.argv[1:]
store(one, ceilometer, tokens)
store(other, neutron, tokens[:40])
store(other, token, {"access": {"token": {"id": "secret", "expires": "2015-06-01T13:00:00Z"}, "user": {"name": "nova", "roles": []}}})
`

// exampleServers starts the memcacheds that the examples ask.
func exampleServers(t *testing.T) (one, other *memcachedtest.Server) {
	t.Helper()
	one, other = memcachedtest.Start(t), memcachedtest.Start(t)
	cmd := exec.Command("/usr/bin/python3", "-c", exampleList, one.Addr(), other.Addr(), keystone.UserKey("7d2bb33e0a484c5b9cd1ef7a0a9e3a8d"),
		keystone.UserKey("c2d1a8f0b4e94f0fa51f6c1f2e6a9b37"), keystone.TokenKey("9f8d2c3b4a5e4f6d8c7b6a5e4d3c2b1a"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("python3: %v (make install-test-deps installs what it needs)\n%s", err, out)
	}
	one.Command("set visits/2015-06-01 0 3600 5\r\n12345")
	other.Command("set " + keystone.RegionKey("tokens") + " 0 0 3\r\nabc")
	return one, other
}

// TestToolDocs runs the examples of docs/inspect.md and docs/keystone-tools.md on real memcacheds: they must print what the pages show. The servers' ports are
// written as 11211 and 11212, and what a clock or a version makes differ as in the pages.
func TestToolDocs(t *testing.T) {
	one, other := exampleServers(t)
	toDocs := strings.NewReplacer(one.Addr(), "127.0.0.1:11211", other.Addr(), "127.0.0.1:11212")
	fromDocs := strings.NewReplacer("127.0.0.1:11211", one.Addr(), "127.0.0.1:11212", other.Addr())
	users := usersBlock.FindStringSubmatch(read(t, examples[1]))
	if users == nil {
		t.Fatalf("%s has no users.txt", examples[1])
	}
	replay(t, examples, users[1], fromDocs, toDocs)
}

// replay runs the examples of pages, and compares what they print with what the pages show, or writes it there with -update. fromDocs and
// toDocs put the servers' real addresses for those of the pages, and back.
func replay(t *testing.T, pages []string, users string, fromDocs, toDocs *strings.Replacer) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.txt"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text := read(t, page)
		n := 0
		now := consoleBlock.ReplaceAllStringFunc(text, func(block string) string {
			n++
			parts := consoleBlock.FindStringSubmatch(block)
			from, to := fromDocs, toDocs
			if asksNobody.MatchString(parts[1]) {
				from, to = strings.NewReplacer(), strings.NewReplacer()
			}
			args := strings.Fields(from.Replace(parts[1]))[1:]
			for i := range args {
				if args[i] == "users.txt" {
					args[i] = filepath.Join(dir, args[i])
				}
			}
			var out bytes.Buffer
			if code := run(args, nil, &out, &out); code != exitOK {
				t.Errorf("%s: %q ended with %d: %s", page, parts[1], code, &out)
			}
			return fmt.Sprintf("```console\n$ %s\n%s```\n", parts[1], steady(to.Replace(out.String())))
		})
		if n == 0 {
			t.Errorf("%s has no examples", page)
		}
		if *update {
			if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(now, text); diff != "" {
			t.Errorf("%s is out of date; run go test ./cmd/mcproxy -run %s -update (-want +got):\n%s", page, t.Name(), diff)
		}
	}
}

// steady takes away what is another each time: ages, versions, and the blanks at the ends of lines.
func steady(text string) string {
	text = regexp.MustCompile(`\b\d s ago`).ReplaceAllString(text, "1 s ago")
	text = regexp.MustCompile(`\b1\.\d\.\d\d\b`).ReplaceAllString(text, "1.6.18")
	text = regexp.MustCompile(`in 59 min\b|in 60 min\b`).ReplaceAllString(text, "in 59 min")
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, "")
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestToolJSONIsDocumented: the pages name every field that the commands print.
func TestToolJSONIsDocumented(t *testing.T) {
	for page, of := range map[string][]reflect.Type{
		examples[0]: {reflect.TypeFor[inspect.Report]()},
		examples[1]: {reflect.TypeFor[listJSON](), reflect.TypeFor[topUser](), reflect.TypeFor[topJSON]()},
	} {
		names := map[string]bool{}
		for _, one := range of {
			jsonNames(one, names)
		}
		if len(names) < 15 {
			t.Fatalf("only %d names were found for %s", len(names), page)
		}
		text := read(t, page)
		for name := range names {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s does not speak of `%s`", page, name)
			}
		}
	}
}

// jsonNames gives the names of all JSON fields of a type of ours, and of what it holds.
func jsonNames(of reflect.Type, names map[string]bool) {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		jsonNames(of.Elem(), names)
	case reflect.Struct:
		if !strings.HasPrefix(of.PkgPath(), "mcproxy/") && of.PkgPath() != "main" || strings.HasSuffix(of.PkgPath(), "admin") {
			return // another page's
		}
		for field := range of.Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
				names[name] = true
			}
			if field.IsExported() || field.Anonymous {
				jsonNames(field.Type, names)
			}
		}
	}
}
