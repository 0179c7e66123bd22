"""Stores items straight on several memcached with a real client library, as an application did before the proxy came.

    fill.py CLIENT SERVER[,WEIGHT]... < KEYS

Each line of the input is a key; its value is the key's bytes, reversed. CLIENT is python-memcached, pylibmc-modula,
pylibmc-ketama, pylibmc-weighted or pymemcache-hash. A key that cannot be stored ends the program with a message.
"""

import sys


def python_memcached(servers):
    import memcache
    mc = memcache.Client([(server, weight) for server, weight in servers])
    return lambda key, value: mc.set(key, value)


def pylibmc(behaviors):
    def client(servers):
        import pylibmc
        mc = pylibmc.Client(["%s:%d" % (server, weight) for server, weight in servers], behaviors=behaviors)
        return lambda key, value: mc.set(key, value)
    return client


def pymemcache_hash(servers):
    from pymemcache.client.hash import HashClient
    mc = HashClient([(server.rsplit(":", 1)[0], int(server.rsplit(":", 1)[1])) for server, _ in servers],
                    default_noreply=False)
    return lambda key, value: mc.set(key, value)


CLIENTS = {
    "python-memcached": python_memcached,
    "pylibmc-modula": pylibmc({}),
    "pylibmc-ketama": pylibmc({"distribution": "consistent"}),
    "pylibmc-weighted": pylibmc({"ketama_weighted": True}),
    "pymemcache-hash": pymemcache_hash,
}


def main():
    servers = []
    for argument in sys.argv[2:]:
        server, _, weight = argument.partition(",")
        servers.append((server, int(weight or 1)))
    store = CLIENTS[sys.argv[1]](servers)
    for line in sys.stdin:
        key = line.rstrip("\n")
        if not store(key, key[::-1].encode()):
            sys.exit("%s: %r was not stored" % (sys.argv[1], key))


main()
