#!/usr/bin/python3
"""Write libraries.json: where libmemcached, pymemcache and python-memcached put 200 keys of arbitrary bytes.

Run it with Debian's python3 where libmemcached11, python3-pymemcache and python3-memcache are installed:

    /usr/bin/python3 libraries.py > libraries.json
"""
import ctypes
import json
import random

import memcache
from pymemcache.client.rendezvous import RendezvousHash

lib = ctypes.CDLL("libmemcached.so.11")
lib.memcached_create.restype = ctypes.c_void_p
lib.memcached_create.argtypes = [ctypes.c_void_p]
lib.memcached_free.argtypes = [ctypes.c_void_p]
lib.memcached_behavior_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64]
lib.memcached_server_add_with_weight.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint16, ctypes.c_uint32]
lib.memcached_server_add_unix_socket_with_weight.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
lib.memcached_generate_hash.restype = ctypes.c_uint32
lib.memcached_generate_hash.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]

HASH, KETAMA, KETAMA_WEIGHTED = 2, 3, 16  # memcached_behavior_t
HASHES = {"default": 0, "md5": 1, "crc": 2, "fnv1_64": 3, "fnv1a_64": 4, "fnv1_32": 5, "fnv1a_32": 6, "murmur": 8, "jenkins": 9}

random.seed(7)
KEYS = [bytes(random.randrange(256) for _ in range(n)) for n in list(range(1, 41)) + [100, 249, 250]]
KEYS += [bytes(random.randrange(0x21, 0x7F) for _ in range(random.randrange(1, 60))) for _ in range(150)]
KEYS += [b"ob", b"", b"foo", b"\xff" * 12, b"\x80" * 13, b"caf\xc3\xa9", b"a" * 24]

SETS = {
    "three": [("10.0.0.1", 11211, 1), ("10.0.0.2", 11212, 2), ("10.0.0.3", 11213, 5)],
    "mixed": [("cache-b", 11211, 3), ("::1", 21211, 1), ("/run/memcached/a.sock", 0, 2), ("cache-a", 11211, 1), ("10.1.1.1", 1, 40)],
    "many": [("10.2.0.%d" % i, 11211 + i % 3, 1 + i % 4) for i in range(24)],
    "one": [("10.0.0.1", 11212, 7)],
}


def libmemcached(servers, behaviors):
    """As pylibmc: the servers first, then the behaviors."""
    memc = lib.memcached_create(None)
    for host, port, weight in servers:
        if host.startswith("/"):
            rc = lib.memcached_server_add_unix_socket_with_weight(memc, host.encode(), weight)
        else:
            rc = lib.memcached_server_add_with_weight(memc, host.encode(), port, weight)
        assert rc == 0, rc
    for name, value in behaviors:
        rc = lib.memcached_behavior_set(memc, name, value)
        assert rc == 0, (name, value, rc)
    answers = [lib.memcached_generate_hash(memc, k, len(k)) for k in KEYS]
    lib.memcached_free(memc)
    return answers


def pymemcache(servers):
    names = [host if port == 0 else "%s:%s" % (host, port) for host, port, _ in servers]
    ring = RendezvousHash(list(names))
    return [names.index(ring.get_node(k.decode("latin-1"))) for k in KEYS]


def python_memcached(servers):
    client = memcache.Client([("%s:%d" % (host, port), weight) for host, port, weight in servers])
    for bucket in client.buckets:
        bucket.connect = lambda: 1
    return [client.servers.index(client._get_server(k)[0]) for k in KEYS]


cases = []


def case(servers, kind, answers, **options):
    cases.append({"servers": servers, "options": dict(Kind=kind, **options), "answers": answers})


for name, servers in SETS.items():
    for hash_name, number in HASHES.items():
        behaviors = [(HASH, number)]
        case(name, "libmemcached", libmemcached(servers, behaviors), Hash=hash_name)
        case(name, "libmemcached", libmemcached(servers, behaviors + [(KETAMA, 1)]), Hash=hash_name, Distribution="ketama")
        case(name, "libmemcached", libmemcached(servers, [(KETAMA_WEIGHTED, 1)] + behaviors), Hash=hash_name, Distribution="ketama_weighted")
    case(name, "libmemcached", libmemcached(servers, [(KETAMA_WEIGHTED, 1)]), Distribution="ketama_weighted")
    case(name, "rendezvous", pymemcache(servers))
    if name != "mixed":  # unix sockets and IPv6 are written otherwise there, and the address is nothing to this ring
        case(name, "cmemcache", python_memcached(servers))

print("{")
print('"servers": %s,' % json.dumps({n: [dict(Host=h, Port=p, Weight=w) for h, p, w in s] for n, s in SETS.items()}))
print('"keys_hex": %s,' % json.dumps([k.hex() for k in KEYS]))
print('"cases": [\n%s\n]' % ",\n".join(json.dumps(c) for c in cases))
print("}")
