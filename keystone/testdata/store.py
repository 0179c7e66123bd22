"""Stores values in the memcached at argv[1] as Keystone's clients do, and prints a line of JSON for each: its key and what it is."""
import datetime
import hashlib
import json
import pickle
import sys
import zlib

import memcache
import pymemcache.client.base
import pymemcache.serde
from dogpile.cache.api import CachedValue, CacheBackend, NO_VALUE
from dogpile.cache import make_region
from dogpile.cache.util import sha1_mangle_key


class Custom:  # what a cached object of Keystone's looks like
    def __init__(self):
        self.issued = datetime.datetime(2015, 6, 1, 12, 0, 0, 5)
        self.id = "custom"


address = sys.argv[1]
host, port = address.split(":")


def tell(key, want, form):
    print(json.dumps({"key": key, "want": want, "form": form}))


tokens = [["%032x" % i, "2015-06-01T12:%02d:%02d.123456Z" % (i // 60, i % 60)] for i in range(300)]
value = {"text": "caf\xe9 \u20ac", "n": None, "t": True, "i": -5, "big": 2**80, "f": 1.5, "b": b"\xff\x00", "nested": [[1, (2, [3])]],
         "set": {7}, "empty": [{}, [], "", ()]}
want = {"text": "caf\xe9 \u20ac", "n": None, "t": True, "i": -5, "big": 2**80, "f": 1.5, "b": {"base64": "/wA="}, "nested": [[1, [2, [3]]]],
        "set": [7], "empty": [{}, [], "", []]}
meta = {"ct": 1433160000.5, "v": 1}

for protocol in range(6):
    # python-memcached, with the protocol of its choice and compressed or not
    client = memcache.Client([address], pickleProtocol=protocol)
    for name, small in (("plain", 0), ("zlib", 10)):
        key = "pm-%d-%s" % (protocol, name)
        assert client.set(key, CachedValue(value, meta), min_compress_len=small)
        tell(key, {"payload": want, "metadata": meta}, "zlib, pickle" if small else "pickle")
    key = "list-%d" % protocol
    assert client.set(key, CachedValue([tuple(t) for t in tokens], meta))
    tell(key, {"payload": tokens, "metadata": meta}, "pickle")
    # an object of a class of somebody's
    key = "custom-%d" % protocol
    assert client.set(key, Custom())
    # pymemcache
    serde = pymemcache.serde.PickleSerde(pickle_version=protocol)
    pm = pymemcache.client.base.Client((host, int(port)), serde=serde)
    key = "py-%d" % protocol
    assert pm.set(key, CachedValue(value, meta), noreply=False)
    tell(key, {"payload": want, "metadata": meta}, "pickle")

# dogpile.cache's own way, through its backends
for backend in ("dogpile.cache.memcached", "dogpile.cache.pymemcache"):
    region = make_region(key_mangler=sha1_mangle_key)
    region.configure(backend, arguments={"url": [address]})
    key = "region-" + backend
    region.set(key, [1, "a"])
    got = region.get(key)
    assert got == [1, "a"], got
    mangled = hashlib.sha1(key.encode()).hexdigest()
    tell(mangled, None, "pickle")

client = memcache.Client([address])
for key, stored, want, form in (
        ("int", 5, 5, "integer"), ("long", 2**70, 2**70, "integer"), ("text", "hello", "hello", "text"),
        ("json", '{"access": {"token": [1, 2.5, "x", null]}}', {"access": {"token": [1, 2.5, "x", None]}}, "JSON"),
        ("bytes", b"\xff\xfe", {"base64": "//4="}, "bytes")):
    assert client.set(key, stored)
    tell(key, want, form)
raw = b'{"ct": 1.5, "v": 2}|' + pickle.dumps({"a": 1}, 4)
pm = pymemcache.client.base.Client((host, int(port)))
assert pm.set("header", raw, noreply=False)
tell("header", {"payload": {"a": 1}, "metadata": {"ct": 1.5, "v": 2}}, "dogpile header, pickle")
