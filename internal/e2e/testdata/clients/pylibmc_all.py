"""pylibmc (Debian: python3-pylibmc, on libmemcached) against one endpoint, with each of the behaviors that change what
it sends."""

import sys
import threading

import pylibmc

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
    "float": 3.25,
    "list": [None, 1, "two", b"three", 4.5],
    "dict": {"a": 1, "b": [1, 2, {"c": (1, 2)}]},
}

# pylibmc sends a bool as an integer, and brings back an integer.
BOOLS = {"true": (True, 1), "false": (False, 0)}

BEHAVIORS = {
    "plain": {},
    "nodelay": {"tcp_nodelay": True, "verify_keys": True},
    "noblock": {"no_block": True, "tcp_nodelay": True},
    "cas": {"cas": True},
    "ketama": {"ketama": True, "cas": True, "tcp_nodelay": True, "tcp_keepalive": True},
    "weighted": {"ketama_weighted": True, "hash": "md5", "retry_timeout": 1, "failure_limit": 3},
}


def values(mc, name):
    for kind, value in VALUES.items():
        key = "%s:value:%s" % (name, kind)
        true("set " + key, mc.set(key, value))
        equal("get " + key, mc.get(key), value)
    for kind, (value, number) in BOOLS.items():
        true("set " + kind, mc.set(name + ":bool", value))
        equal("get " + kind, mc.get(name + ":bool"), number)
    for size in SIZES:
        value = pattern(size)
        true("%s set %d bytes" % (name, size), mc.set(name + ":size", value))
        equal("%s get %d bytes" % (name, size), mc.get(name + ":size"), value)
    text = "compress me " * 10000
    true("set compressed", mc.set(name + ":compressed", text, min_compress_len=100, compress_level=6))
    equal("get compressed", mc.get(name + ":compressed"), text)
    longest = name.ljust(250, "k")
    true("set with the longest key", mc.set(longest, b"v"))
    equal("get with the longest key", mc.get(longest), b"v")
    equal("get of a miss", mc.get(name + ":nothing"), None)
    equal("get of a miss with a default", mc.get(name + ":nothing", 7), 7)
    true("key in client", longest in mc)
    false("missing key in client", name + ":nothing" in mc)
    mc[name + ":item"] = "x"
    equal("item access", mc[name + ":item"], "x")
    del mc[name + ":item"]
    equal("get after del", mc.get(name + ":item"), None)


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
    true("delete", mc.delete(key))
    false("delete again", mc.delete(key))
    equal("get after delete", mc.get(key), None)


def cas(mc, name):
    key = name + ":cas"
    true("set for cas", mc.set(key, "a"))
    value, unique = mc.gets(key)
    equal("gets", value, "a")
    true("cas", mc.cas(key, "b", unique))
    false("cas with a number that is old", mc.cas(key, "c", unique))
    equal("get after cas", mc.get(key), "b")
    equal("gets of a miss", mc.gets(name + ":none"), (None, None))


def counters(mc, name):
    key = name + ":count"
    true("set a number", mc.set(key, 10))
    equal("incr", mc.incr(key), 11)
    equal("incr by 5", mc.incr(key, 5), 16)
    equal("decr", mc.decr(key), 15)
    equal("decr below 0", mc.decr(key, 100), 0)
    raises("incr a miss", pylibmc.NotFound, mc.incr, name + ":none")
    raises("decr a miss", pylibmc.NotFound, mc.decr, name + ":none")
    equal("set two numbers", mc.set_multi({"a": 1, "b": 2}, key_prefix=name + ":"), [])
    mc.incr_multi(["a", "b"], key_prefix=name + ":", delta=3)
    equal("incr_multi", mc.get_multi(["a", "b"], key_prefix=name + ":"), {"a": 4, "b": 5})


def many(mc, name):
    wanted = {key: "value of " + key for key in keys(name + ":many", 200)}
    wanted[name + ":many:number"] = 7
    wanted[name + ":many:bytes"] = pattern(3000)
    equal("set_multi", mc.set_multi(wanted), [])
    equal("get_multi", mc.get_multi(list(wanted) + [name + ":none"]), wanted)
    fresh = {key: "fresh" for key in keys(name + ":fresh", 5)}
    equal("add_multi", mc.add_multi(fresh), [])
    equal("add_multi again", sorted(mc.add_multi(fresh)), sorted(fresh))
    true("delete_multi", mc.delete_multi(list(wanted)))
    equal("get_multi after delete_multi", mc.get_multi(list(wanted)), {})
    false("delete_multi of misses", mc.delete_multi(list(wanted)))
    large = {key: pattern(200000 + i) for i, key in enumerate(keys(name + ":large", 20))}
    equal("set_multi of large values", mc.set_multi(large), [])
    equal("get_multi of large values", mc.get_multi(list(large)), large)


def expiry(mc, name):
    true("set for 1 s", mc.set(name + ":short", "x", time=1))
    true("set for an hour", mc.set(name + ":hour", "y", time=3600))
    true("set, then touch to 1 s", mc.set(name + ":touched", "z"))
    equal("touch", mc.touch(name + ":touched", 1), True)
    equal("touch of a miss", mc.touch(name + ":none", 1), False)
    eventually("expiry", lambda: mc.get(name + ":short"), None)
    eventually("expiry after touch", lambda: mc.get(name + ":touched"), None)
    equal("get of what has not expired", mc.get(name + ":hour"), "y")


def limits(mc, name):
    key = name + ":limit"
    true("set an item", mc.set(key, "old"))
    raises("set above the limit", pylibmc.TooBig, mc.set, key, b"x" * TOO_LARGE)
    equal("get: the old item is gone", mc.get(key), None)
    true("set just under the limit", mc.set(key, b"y" * LARGEST))
    equal("get just under the limit", mc.get(key), b"y" * LARGEST)


def silent(server):
    """libmemcached's noreply: no answer may come, or every later answer would be off by one."""
    mc = pylibmc.Client([server], behaviors={"_noreply": True})
    reader = pylibmc.Client([server])
    for i in range(100):
        mc.set("silent:%d" % i, i)
    mc.delete("silent:0")
    mc.delete("silent:none")
    eventually("set and delete with noreply", lambda: reader.get_multi(keys("silent", 100)),
               {"silent:%d" % i: i for i in range(1, 100)})
    mc.disconnect_all()
    reader.disconnect_all()


def buffered(server):
    """buffer_requests: writes go out in one packet, some time later."""
    mc = pylibmc.Client([server], behaviors={"buffer_requests": True})
    for i in range(100):
        raises("a buffered set says so", pylibmc.Error, mc.set, "buffered:%d" % i, i)
    equal("get after buffered sets", mc.get_multi(keys("buffered", 100)), {"buffered:%d" % i: i for i in range(100)})
    mc.disconnect_all()


def pools(mc):
    """ClientPool and ThreadMappedPool in eight threads, each with keys of its own."""
    errors = []

    def work(reserve, name, n):
        try:
            for i in range(200):
                with reserve() as client:
                    key, value = "%s:%d:%d" % (name, n, i % 7), "%d-%d" % (n, i)
                    client.set(key, value)
                    got = client.get(key)
                    if got != value:
                        errors.append((key, got, value))
                        return
        except Exception as err:
            errors.append((n, err, "no exception"))

    shared, mapped = pylibmc.ClientPool(mc, 8), pylibmc.ThreadMappedPool(mc)
    running = [threading.Thread(target=work, args=(reserve, name, n)) for n in range(4)
               for reserve, name in ((lambda: shared.reserve(block=True), "shared"), (mapped.reserve, "mapped"))]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        fail("a pool in threads, %r" % (errors[0][0],), errors[0][1], errors[0][2])
    true("threads", True)


def main(endpoint):
    server = endpoint[len("unix:"):] if endpoint.startswith("unix:") else endpoint
    for name, behaviors in BEHAVIORS.items():
        mc = pylibmc.Client([server], behaviors=behaviors)
        values(mc, name)
        conditional(mc, name)
        counters(mc, name)
        many(mc, name)
        if name in ("plain", "cas"):  # the others send the same
            expiry(mc, name)
        limits(mc, name)
        if behaviors.get("cas"):
            cas(mc, name)
        mc.disconnect_all()
        equal("get on a new connection", mc.get(name + ":compressed"), "compress me " * 10000)
        mc.disconnect_all()
    silent(server)
    buffered(server)
    mc = pylibmc.Client([server])
    pools(mc)
    true("get_stats", mc.get_stats()[0][1])
    true("flush_all", mc.flush_all())
    equal("get after flush_all", mc.get("plain:compressed"), None)
    mc.disconnect_all()
    done()


main(sys.argv[1])
