"""pymemcache (Debian: python3-pymemcache) against one endpoint: Client, PooledClient, and HashClient with one server."""

import sys
import threading

from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError

from check import (LARGEST, SIZES, TOO_LARGE, done, equal, eventually, fail, false, keys, pattern, raises, true)

VALUES = {
    "str": "hello",
    "empty_str": "",
    "unicode": "h\u00e9llo \u2603",
    "bytes": b"\x00\x01\xff\r\n",
    "empty_bytes": b"",
    "int": 42,
    "negative": -7,
    "large_int": 1 << 80,
    "true": True,
    "float": 3.25,
    "list": [None, 1, "two", b"three", 4.5],
    "dict": {"a": 1, "b": [1, 2, {"c": (1, 2)}]},
}


def values(mc, name):
    for kind, value in VALUES.items():
        key = "%s:value:%s" % (name, kind)
        true("set " + key, mc.set(key, value))
        equal("get " + key, mc.get(key), value)
    for size in SIZES:
        value = pattern(size)
        true("%s set %d bytes" % (name, size), mc.set(name + ":size", value))
        equal("%s get %d bytes" % (name, size), mc.get(name + ":size"), value)
    longest = name.ljust(250, "k")
    true("set with the longest key", mc.set(longest, b"v"))
    equal("get with the longest key", mc.get(longest), b"v")
    equal("get of a miss", mc.get(name + ":nothing"), None)
    equal("get of a miss with a default", mc.get(name + ":nothing", 7), 7)


def conditional(mc, name):
    key, none = name + ":cond", name + ":none"
    true("add", mc.add(key, "1"))
    false("add again", mc.add(key, "2"))
    true("replace", mc.replace(key, "3"))
    false("replace a miss", mc.replace(none, "x"))
    true("append", mc.append(key, "4"))
    true("prepend", mc.prepend(key, "2"))
    equal("get after append and prepend", mc.get(key), "234")
    false("append to a miss", mc.append(none, "x"))
    false("prepend to a miss", mc.prepend(none, "x"))
    value, unique = mc.gets(key)
    equal("gets", value, "234")
    equal("cas", mc.cas(key, "new", unique), True)
    equal("cas with a number that is old", mc.cas(key, "newer", unique), False)
    equal("cas of a miss", mc.cas(none, "x", unique), None)
    equal("get after cas", mc.get(key), "new")
    equal("gets of a miss", mc.gets(none), (None, None))
    equal("delete", mc.delete(key), True)
    equal("delete again", mc.delete(key), False)
    equal("get after delete", mc.get(key), None)


def counters(mc, name):
    key = name + ":count"
    true("set a number", mc.set(key, 10))
    equal("incr", mc.incr(key, 1), 11)
    equal("incr by 5", mc.incr(key, 5), 16)
    equal("decr", mc.decr(key, 1), 15)
    equal("decr below 0", mc.decr(key, 100), 0)
    equal("incr a miss", mc.incr(name + ":none", 1), None)
    equal("decr a miss", mc.decr(name + ":none", 1), None)
    true("set the largest number", mc.set(key, 18446744073709551615))
    equal("incr wraps", mc.incr(key, 1), 0)
    true("set text", mc.set(key, "text"))
    raises("incr of text", MemcacheClientError, mc.incr, key, 1)
    equal("get after the error", mc.get(key), "text")


def many(mc, name):
    wanted = {key: "value of " + key for key in keys(name + ":many", 200)}
    wanted[name + ":many:bytes"] = pattern(3000)
    equal("set_many", mc.set_many(wanted), [])
    equal("get_many", mc.get_many(list(wanted) + [name + ":none"]), wanted)
    equal("set_multi", mc.set_multi(wanted), [])
    equal("get_multi", mc.get_multi(list(wanted)), wanted)
    got = mc.gets_many(list(wanted)[:5])
    equal("gets_many", {key: value for key, (value, _) in got.items()}, dict(list(wanted.items())[:5]))
    key = list(wanted)[0]
    equal("cas with a number of gets_many", mc.cas(key, "swapped", got[key][1]), True)
    equal("delete_many", mc.delete_many(list(wanted)), True)
    equal("get_many after delete_many", mc.get_many(list(wanted)), {})
    large = {key: pattern(200000 + i) for i, key in enumerate(keys(name + ":large", 20))}
    equal("set_many of large values", mc.set_many(large), [])
    equal("get_many of large values", mc.get_many(list(large)), large)
    equal("delete_multi", mc.delete_multi(list(large)), True)
    equal("get_many after delete_multi", mc.get_many(list(large)), {})


def silent(mc, name):
    """noreply: no answer may come, or every later answer would be off by one."""
    key = name + ":silent"
    true("set noreply", mc.set(key, "a", noreply=True))
    equal("get after set noreply", mc.get(key), "a")
    true("add noreply on an item", mc.add(key, "b", noreply=True))
    true("replace noreply", mc.replace(key, "c", noreply=True))
    true("append noreply", mc.append(key, "d", noreply=True))
    true("prepend noreply", mc.prepend(key, "b", noreply=True))
    equal("get after silent writes", mc.get(key), "bcd")
    equal("incr noreply of text", mc.incr(key, 1, noreply=True), None)
    equal("cas noreply with a wrong number", mc.cas(key, "x", 1, noreply=True), True)
    equal("get after silent errors", mc.get(key), "bcd")
    true("touch noreply", mc.touch(key, 1000, noreply=True))
    true("delete noreply", mc.delete(key, noreply=True))
    equal("get after delete noreply", mc.get(key), None)
    wanted = {k: "v" for k in keys(key, 50)}
    equal("set_many noreply", mc.set_many(wanted, noreply=True), [])
    equal("get_many after it", mc.get_many(list(wanted)), wanted)
    equal("delete_many noreply", mc.delete_many(list(wanted), noreply=True), True)
    equal("get_many after delete_many noreply", mc.get_many(list(wanted)), {})
    true("set above the limit, noreply", mc.set(key, b"x" * TOO_LARGE, noreply=True))
    equal("get: nothing was stored", mc.get(key), None)


def expiry(mc, name):
    true("set for 1 s", mc.set(name + ":short", "x", expire=1))
    true("set for an hour", mc.set(name + ":hour", "y", expire=3600))
    true("set, then touch to 1 s", mc.set(name + ":touched", "z"))
    equal("touch", mc.touch(name + ":touched", 1), True)
    equal("touch of a miss", mc.touch(name + ":none", 1), False)
    true("set in the past", mc.set(name + ":past", "x", expire=-1))
    equal("get of what is past", mc.get(name + ":past"), None)
    eventually("expiry", lambda: mc.get(name + ":short"), None)
    eventually("expiry after touch", lambda: mc.get(name + ":touched"), None)
    equal("get of what has not expired", mc.get(name + ":hour"), "y")


def limits(mc, name):
    key = name + ":limit"
    true("set an item", mc.set(key, "old"))
    raises("set above the limit", MemcacheServerError, mc.set, key, b"x" * TOO_LARGE)
    equal("get: the old item is gone", mc.get(key), None)
    true("set just under the limit", mc.set(key, b"y" * LARGEST))
    equal("get just under the limit", mc.get(key), b"y" * LARGEST)


def threads(mc):
    """One PooledClient in eight threads, each with keys of its own."""
    errors = []

    def work(n):
        try:
            for i in range(200):
                key, value = "thread:%d:%d" % (n, i % 7), "%d-%d" % (n, i)
                mc.set(key, value)
                got = mc.get(key)
                if got != value:
                    errors.append((key, got, value))
                    return
        except Exception as err:
            errors.append((n, err, "no exception"))

    running = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        fail("a pooled client in threads, %r" % (errors[0][0],), errors[0][1], errors[0][2])
    true("threads", True)


def suite(mc, name):
    values(mc, name)
    conditional(mc, name)
    counters(mc, name)
    many(mc, name)
    silent(mc, name)
    expiry(mc, name)
    limits(mc, name)


def library_defaults(server):
    """Without settings the library sends noreply with every write."""
    mc = Client(server)
    true("set", mc.set("defaults", b"b"))
    true("add", mc.add("defaults", b"c"))
    equal("get", mc.get("defaults"), b"b")
    equal("set_many", mc.set_many({"defaults:x": b"1", "defaults:y": b"2"}), [])
    equal("get_many", mc.get_many(["defaults:x", "defaults:y"]), {"defaults:x": b"1", "defaults:y": b"2"})
    true("touch", mc.touch("defaults", 100))
    true("delete_many", mc.delete_many(["defaults:x", "defaults:y"]))
    equal("get_many after delete_many", mc.get_many(["defaults:x", "defaults:y"]), {})
    true("delete", mc.delete("defaults"))
    equal("get after delete", mc.get("defaults"), None)
    mc.close()


def main(endpoint):
    server = endpoint
    if not endpoint.startswith("unix:"):
        host, port = endpoint.rsplit(":", 1)
        server = (host, int(port))
    settings = dict(serde=serde.pickle_serde, default_noreply=False, no_delay=True)
    plain = Client(server, **settings)
    suite(plain, "client")
    true("version", plain.version())
    true("stats", plain.stats())
    suite(PooledClient(server, max_pool_size=4, **settings), "pooled")
    threads(PooledClient(server, max_pool_size=8, **settings))
    hashed = HashClient([server], **settings)
    suite(hashed, "hash")
    suite(HashClient([server], use_pooling=True, max_pool_size=4, **settings), "hash-pooled")
    library_defaults(server)
    true("flush_all", plain.flush_all())
    equal("get after flush_all", plain.get("client:hour"), None)
    plain.set("flush", "x")
    plain.flush_all(noreply=True)
    equal("get after flush_all noreply", plain.get("flush"), None)
    plain.quit()
    equal("get after quit, on a new connection", plain.get("flush"), None)
    hashed.quit()
    plain.close()
    done()


main(sys.argv[1])
