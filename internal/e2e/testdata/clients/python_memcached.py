"""python-memcached (Debian: python3-memcache) against one endpoint."""

import sys

import memcache

from check import (LARGEST, SIZES, TOO_LARGE, done, equal, eventually, false, keys, pattern, true)

VALUES = {
    "str": "hello",
    "empty str": "",
    "unicode": "h\u00e9llo \u2603 \U0001f600",
    "bytes": b"\x00\x01\xff\r\n",
    "empty bytes": b"",
    "int": 42,
    "negative": -7,
    "large int": 1 << 80,
    "true": True,
    "false": False,
    "none in a list": [None, 1, "two", b"three", 4.5],
    "float": 3.25,
    "dict": {"a": 1, "b": [1, 2, {"c": (1, 2)}]},
    "tuple": (1, ("x", b"y")),
    "set": {1, 2, 3},
}


def values(mc):
    for name, value in VALUES.items():
        key = "value:" + name.replace(" ", "_")
        true("set " + name, mc.set(key, value))
        equal("get " + name, mc.get(key), value)
    for size in SIZES:
        value = pattern(size)
        true("set %d bytes" % size, mc.set("size", value))
        equal("get %d bytes" % size, mc.get("size"), value)
    text = "compress me " * 10000
    true("set compressed", mc.set("compressed", text, min_compress_len=100))
    equal("get compressed", mc.get("compressed"), text)
    utf8 = "cl\u00e9-\u2603"
    true("set with a UTF-8 key", mc.set(utf8, "v"))
    equal("get with a UTF-8 key", mc.get(utf8), "v")
    longest = "k" * 250
    true("set with the longest key", mc.set(longest, "v"))
    equal("get with the longest key", mc.get(longest), "v")
    equal("get of a miss", mc.get("nothing"), None)


def conditional(mc):
    true("add", mc.add("cond", "1"))
    false("add again", mc.add("cond", "2"))
    true("replace", mc.replace("cond", "3"))
    false("replace a miss", mc.replace("cond:none", "x"))
    true("append", mc.append("cond", "4"))
    true("prepend", mc.prepend("cond", "2"))
    equal("get after append and prepend", mc.get("cond"), "234")
    false("append to a miss", mc.append("cond:none", "x"))
    false("prepend to a miss", mc.prepend("cond:none", "x"))
    equal("delete", mc.delete("cond"), 1)
    equal("get after delete", mc.get("cond"), None)


def cas(endpoint):
    mc = memcache.Client([endpoint], cache_cas=True)
    other = memcache.Client([endpoint])
    true("set for cas", mc.set("cas", "a"))
    equal("gets", mc.gets("cas"), "a")
    true("cas", mc.cas("cas", "b"))
    equal("get after cas", mc.get("cas"), "b")
    equal("gets again", mc.gets("cas"), "b")
    true("set by another client", other.set("cas", "c"))
    false("cas with a number that is old", mc.cas("cas", "d"))
    equal("get after a failed cas", mc.get("cas"), "c")
    mc.disconnect_all()
    other.disconnect_all()


def counters(mc):
    true("set a number", mc.set("count", 10))
    equal("incr", mc.incr("count"), 11)
    equal("incr by 5", mc.incr("count", 5), 16)
    equal("decr", mc.decr("count"), 15)
    equal("decr below 0", mc.decr("count", 100), 0)
    equal("incr a miss", mc.incr("count:none"), None)
    equal("decr a miss", mc.decr("count:none"), None)
    true("set the largest number", mc.set("count", "18446744073709551615"))
    equal("incr wraps", mc.incr("count"), 0)


def many(mc):
    wanted = {key: "value of " + key for key in keys("many", 200)}
    wanted["many:number"] = 7
    wanted["many:bytes"] = pattern(3000)
    equal("set_multi", mc.set_multi(wanted), [])
    equal("get_multi", mc.get_multi(list(wanted) + ["many:none"]), wanted)
    part = {"1": "one", "2": "two"}
    equal("set_multi with a prefix", mc.set_multi(part, key_prefix="prefix:"), [])
    equal("get_multi with a prefix", mc.get_multi(["1", "2", "3"], key_prefix="prefix:"), part)
    equal("delete_multi", mc.delete_multi(list(wanted)), 1)
    equal("get_multi after delete_multi", mc.get_multi(list(wanted)), {})
    equal("delete_multi of misses", mc.delete_multi(list(wanted)), 1)
    equal("delete_multi with time 0", mc.delete_multi(["1", "2"], time=0, key_prefix="prefix:"), 1)
    equal("get_multi after delete_multi with a prefix", mc.get_multi(["1", "2"], key_prefix="prefix:"), {})
    large = {key: pattern(200000 + i) for i, key in enumerate(keys("large", 20))}
    equal("set_multi of large values", mc.set_multi(large), [])
    equal("get_multi of large values", mc.get_multi(list(large)), large)


def silent(mc):
    """noreply: no answer may come, or every later answer would be off by one."""
    true("set noreply", mc.set("silent", "a", noreply=True))
    equal("get after set noreply", mc.get("silent"), "a")
    true("add noreply on an item", mc.add("silent", "b", noreply=True))
    true("replace noreply", mc.replace("silent", "c", noreply=True))
    true("append noreply", mc.append("silent", "d", noreply=True))
    true("prepend noreply", mc.prepend("silent", "b", noreply=True))
    equal("get after silent writes", mc.get("silent"), "bcd")
    true("incr noreply of text", mc.incr("silent", noreply=True) is None)
    equal("delete noreply", mc.delete("silent", noreply=True), 1)
    equal("get after delete noreply", mc.get("silent"), None)
    equal("set_multi noreply", mc.set_multi({"silent:1": "1", "silent:2": "2"}, noreply=True), [])
    equal("get_multi after it", mc.get_multi(["silent:1", "silent:2"]), {"silent:1": "1", "silent:2": "2"})
    true("set a number noreply", mc.set("silent:n", 1, noreply=True))
    mc.incr("silent:n", 4, noreply=True)
    mc.decr("silent:n", 2, noreply=True)
    mc.touch("silent:n", 1000, noreply=True)
    equal("get the number", mc.get("silent:n"), 3)
    equal("delete_multi noreply", mc.delete_multi(["silent:1", "silent:2"], noreply=True), 1)
    equal("get_multi after delete_multi noreply", mc.get_multi(["silent:1", "silent:2"]), {})


def expiry(mc):
    true("set for 1 s", mc.set("short", "x", time=1))
    true("set for an hour", mc.set("hour", "y", time=3600))
    true("set for ever, then touch to 1 s", mc.set("touched", "z"))
    equal("touch", mc.touch("touched", 1), 1)
    equal("touch of a miss", mc.touch("nothing", 1), 0)
    true("set in the past", mc.set("past", "x", time=-1))
    equal("get of what is past", mc.get("past"), None)
    eventually("expiry", lambda: mc.get("short"), None)
    eventually("expiry after touch", lambda: mc.get("touched"), None)
    equal("get of what has not expired", mc.get("hour"), "y")


def limits(endpoint):
    mc = memcache.Client([endpoint], server_max_value_length=0)
    true("set an item", mc.set("limit", "old"))
    false("set above the limit", mc.set("limit", b"x" * TOO_LARGE))
    equal("get: the old item is gone", mc.get("limit"), None)
    true("set just under the limit", mc.set("limit", b"y" * LARGEST))
    equal("get just under the limit", mc.get("limit"), b"y" * LARGEST)
    mc.disconnect_all()


def main(endpoint):
    mc = memcache.Client([endpoint])
    values(mc)
    conditional(mc)
    cas(endpoint)
    counters(mc)
    many(mc)
    silent(mc)
    expiry(mc)
    limits(endpoint)
    true("get_stats", mc.get_stats()[0][1].get("pid") or mc.get_stats()[0][1].get("curr_items"))
    mc.flush_all()
    equal("get after flush_all", mc.get("hour"), None)
    mc.disconnect_all()
    equal("get on a new connection", mc.get("hour"), None)
    done()


main(sys.argv[1])
