package main

import (
	"os/exec"
	"strings"
	"testing"

	"mcproxy/internal/memcachedtest"
)

// skewTutorial is the page of the hunt for a skew.
const skewTutorial = "../../docs/tutorial-token-skew.md"

// skewedServers has the libraries of Kilo's Keystone fill two memcacheds: the users' token lists, and tokens of which the first server gets more.
const skewedServers = `
import sys, datetime, hashlib, memcache, pickle
from dogpile.cache.api import CachedValue
servers, users = sys.argv[1:3], sys.argv[3:]
client = memcache.Client(servers, pickleProtocol=0)
def key(text): return hashlib.sha1(text.encode()).hexdigest()
def store(name, value): assert client.set(key(name), CachedValue(value, {"ct": 1461685284.976144, "v": 1}))
end = datetime.datetime(2016, 4, 26, 16, 41, 18)
for n, (user, length) in enumerate(u.split(":") for u in users):
    count = int(length) // 80
    tokens = [("%032x" % (n << 64 | i * 0x9e3779b97f4a7c15 % (1 << 64)), (end - datetime.timedelta(seconds=(count - 1 - i) * 3600 / max(count, 1))).strftime("%Y-%m-%dT%H:%M:%S.000000Z")) for i in range(count)]
    while len(pickle.dumps(CachedValue(tokens, {"ct": 1461685284.976144, "v": 1}), 0)) > int(length): del tokens[:10]
    store("usertokens-" + user, tokens)
stored = [0, 0]
for i in range(400):
    token = "386c0e0a01bb4069904d9c11771516a2" if i == 0 else hashlib.md5(b"%d" % i).hexdigest()
    hash = memcache.cmemcache_hash(key("token-" + token).encode()) % 2
    if i and stored[hash] >= [24, 16][hash]: continue
    stored[hash] += 1
    store("token-" + token, {"access": {"token": {"id": token, "expires": "2016-04-26T16:41:18Z"}, "catalog": "x" * 10000}})
`

// TestSkewTutorial runs the commands of docs/tutorial-token-skew.md on two memcacheds as they were filled then: they must print what the page shows.
func TestSkewTutorial(t *testing.T) {
	one, other := memcachedtest.Start(t), memcachedtest.Start(t)
	users := usersBlock.FindStringSubmatch(read(t, skewTutorial))
	if users == nil {
		t.Fatalf("%s has no users.txt", skewTutorial)
	}
	args := []string{"-c", skewedServers, one.Addr(), other.Addr()}
	for line := range strings.Lines(users[1]) {
		fields := strings.Fields(line)
		args = append(args, fields[0]+":"+fields[2])
	}
	if out, err := exec.Command("/usr/bin/python3", args...).CombinedOutput(); err != nil {
		t.Fatalf("python3: %v (make install-test-deps installs what it needs)\n%s", err, out)
	}
	replay(t, []string{skewTutorial}, users[1], strings.NewReplacer("10.0.0.11:11211", one.Addr(), "10.0.0.12:11211", other.Addr()),
		strings.NewReplacer(one.Addr(), "10.0.0.11:11211", other.Addr(), "10.0.0.12:11211"))
}
