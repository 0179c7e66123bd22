"""Replays what Keystone did with memcached up to Kilo: a list of each user's tokens, read and rewritten whole for each token.

Processes issue and revoke tokens with dogpile.cache and python-memcached, as Keystone's token driver did, and in the end the lists
are compared with what was issued. Prints one object of JSON.
"""

import argparse
import datetime
import hashlib
import json
import multiprocessing
import pickle
import random
import sys
import time
import uuid

import memcache
from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE, CachedValue
from dogpile.cache.backends.memcached import MemcachedBackend, MemcachedLock
from dogpile.cache.region import register_backend
from dogpile.cache.util import sha1_mangle_key

LIFETIME = 3600  # of a token, in seconds
LOCK_LIFETIME = 6
LOCK_TRIES = 15


class Client(memcache.Client):
    """A client that remembers whether its last write was acknowledged, which dogpile.cache does not ask."""

    stored = 0

    def set(self, *args, **kwargs):
        self.stored = super().set(*args, **kwargs)
        return self.stored


class Backend(MemcachedBackend):
    def _create_client(self):
        # Keystone's own settings; the size limit is memcached's to enforce.
        return Client(self.url, dead_retry=300, socket_timeout=3, server_max_value_length=1 << 30)


def mangle(key):
    return sha1_mangle_key(key.encode())


def regions(servers):
    """Keystone's region for lists, whose entries stay, and that for tokens, whose entries expire."""
    register_backend("replay", __name__, "Backend")
    url = {"url": servers.split(",")}
    lists = make_region(key_mangler=mangle).configure("replay", arguments=url)
    tokens = make_region(key_mangler=mangle).configure("replay", arguments=dict(url, memcached_expire_time=LIFETIME))
    return lists, tokens


class Refused(Exception):
    """What the user of Keystone sees as HTTP 500."""


class Lock:
    """Keystone's lock around a list: 15 tries, and then it gives up."""

    def __init__(self, region, key):
        self.lock = MemcachedLock(lambda: region.backend.client, key, LOCK_LIFETIME)

    def __enter__(self):
        for attempt in range(LOCK_TRIES):
            if self.lock.acquire(wait=False):
                return
            time.sleep(random.random() * 0.01 * (attempt + 1))
        raise Refused

    def __exit__(self, *_):
        self.lock.release()


def expiry():
    return (datetime.datetime.utcnow() + datetime.timedelta(seconds=LIFETIME)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def list_of(region, key):
    value = region.get(key, ignore_expiration=True)
    return None if value is NO_VALUE else value


class Writer:
    def __init__(self, servers, shared):
        self.lists, self.tokens = regions(servers)
        self.shared = shared
        self.issued, self.revoked, self.refused = [], [], 0
        self.attempts = {}  # of each user: the number of each token that was the last of a list that was written
        self.acknowledged = {}  # of each user: the number of the last such write that was acknowledged
        self.stale = 0

    def issue(self, user, number):
        token = uuid.uuid4().hex
        try:
            self.tokens.set("token-" + token, {"access": {"token": {"id": token, "expires": expiry()}, "user": {"id": user}}})
            list_of(self.lists, "revocation-list")
            with Lock(self.lists, "usertokens-" + user):
                was = list_of(self.lists, "usertokens-" + user)
                if not self.shared:
                    self.look(user, was)
                now = (was or []) + [(token, expiry())]
                self.attempts.setdefault(user, {})[token] = number
                self.lists.set("usertokens-" + user, now)
                if self.lists.backend.client.stored:
                    self.acknowledged[user] = number
        except Refused:
            self.refused += 1
            return
        self.issued.append((user, token))

    def look(self, user, was):
        """Whether a list is older than the last write of it that was acknowledged; of use if no other process writes it."""
        if was and was[-1][0] in self.attempts.get(user, {}):
            self.stale += self.attempts[user][was[-1][0]] < self.acknowledged.get(user, -1)
        elif was and user in self.acknowledged:
            self.stale += 1  # from before the first write

    def revoke(self, user, token):
        try:
            with Lock(self.lists, "revocation-list"):
                value = self.tokens.get("token-" + token)
                self.tokens.get("token-" + token)
                if value is NO_VALUE:
                    return
                self.tokens.delete("token-" + token)
                was = list_of(self.lists, "revocation-list") or []
                self.lists.set("revocation-list", was + [(token, expiry())])
        except Refused:
            self.refused += 1
            return
        self.revoked.append(token)


def write(number, options, results):
    writer = Writer(options.servers, options.shared)
    users = options.names if options.shared else options.names[number :: options.writers]
    turns = options.tokens // options.writers
    begun = time.monotonic()
    for turn in range(turns):
        if options.seconds:  # at an even pace
            time.sleep(max(0, begun + options.seconds * turn / turns - time.monotonic()))
        user = users[(turn + number) % len(users)]
        writer.issue(user, turn)
        if options.revoke and turn % options.revoke == 0 and writer.issued:
            writer.revoke(*writer.issued[-1])
    results.put((writer.issued, writer.revoked, writer.refused, writer.stale))


def prefill(options):
    """Gives each user a list of so many bytes, in one write."""
    lists, _ = regions(options.servers)
    issued = []
    for user in options.names if options.initial_bytes else []:
        sample = [(uuid.uuid4().hex, expiry()) for _ in range(1000)]
        each = (len(pickle.dumps(CachedValue(sample, {}), 0)) - 100) / 1000
        tokens = [(uuid.uuid4().hex, expiry()) for _ in range(int(options.initial_bytes / each))]
        while over := max(0, len(pickle.dumps(CachedValue(tokens, {"ct": time.time(), "v": 1}), 0)) - options.initial_bytes):
            del tokens[: 1 + int(over / each)]
        lists.set("usertokens-" + user, tokens)
        if not lists.backend.client.stored:
            sys.exit("the first list was not stored")
        issued += [(user, token) for token, _ in tokens]
    return issued


def final(region, key):
    """A list at the end, when its server may have to be found again."""
    for _ in range(20):
        found = list_of(region, key)
        if found is not None:
            return found
        time.sleep(0.05)
    return []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--servers", required=True)
    parser.add_argument("--users", type=int, default=3)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--shared", action="store_true", help="all processes write all lists")
    parser.add_argument("--tokens", type=int, required=True, help="of all users together")
    parser.add_argument("--initial-bytes", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="for all tokens; 0 is as fast as can be")
    parser.add_argument("--revoke", type=int, default=0, help="every how manieth token")
    options = parser.parse_args()
    options.names = [hashlib.md5(b"user %d" % n).hexdigest() for n in range(options.users)]
    begun = time.monotonic()
    issued = prefill(options)
    print("filled", flush=True)
    results = multiprocessing.Queue()
    writers = [multiprocessing.Process(target=write, args=(n, options, results)) for n in range(options.writers)]
    for w in writers:
        w.start()
    outcome = {"refused": 0, "stale": 0}
    revoked = []
    for _ in writers:
        some, gone, refused, stale = results.get()
        issued += some
        revoked += gone
        outcome["refused"] += refused
        outcome["stale"] += stale
    for w in writers:
        w.join()
    lists, tokens = regions(options.servers)
    held, size, doubled = set(), {}, 0
    for user in options.names:
        found = final(lists, "usertokens-" + user)
        held |= {(user, token) for token, _ in found}
        doubled += len(found) - len({token for token, _ in found})
        size[user] = len(pickle.dumps(CachedValue(found, {"ct": time.time(), "v": 1}), 0))
    known = {token for token, _ in final(lists, "revocation-list")} if revoked else set()
    outcome.update(
        issued=len(issued),
        missing=len(set(issued) - held),
        strange=len(held - set(issued)) + doubled,
        revoked=len(revoked),
        unrevoked=len(set(revoked) - known) + sum(tokens.get("token-" + t) is not NO_VALUE for t in revoked),
        bytes=sorted(size.values()),
        seconds=round(time.monotonic() - begun, 1),
    )
    print(json.dumps(outcome))


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
