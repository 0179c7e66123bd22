"""What the client scripts share: checks that say what went wrong, and the values that every client must bring back.

Each script is called with the endpoint ("127.0.0.1:11211" or "unix:/path") as its one argument, stops at the first
mismatch with a message and exit code 1, and otherwise prints how many checks it made.
"""

import sys
import time

# Just under 1 MB: with the header and a short key it fits memcached's default item limit of 1 MB; the next does not.
LARGEST = 1048400
TOO_LARGE = 1048577

SIZES = [0, 1, 2, 9, 10, 99, 100, 1000, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 8192, 16383, 16384,
         16385, 32768, 65535, 65536, 65537, 100000, 131072, 262144, 524288, 1000000, LARGEST]

checks = 0


def fail(what, got, want):
    sys.exit("%s: got %s, want %s" % (what, short(got), short(want)))


def short(value):
    text = repr(value)
    return text if len(text) <= 300 else "%s... (%d characters of repr)" % (text[:300], len(text))


def equal(what, got, want):
    """got must be want, in type too: 1 is not True."""
    global checks
    checks += 1
    if type(got) is not type(want) or got != want:
        fail(what, got, want)


def true(what, got):
    """got must be true in Python's sense: clients answer success with True, 1 or a count."""
    global checks
    checks += 1
    if not got:
        fail(what, got, "something true")


def false(what, got):
    global checks
    checks += 1
    if got:
        fail(what, got, "something false")


def raises(what, kind, call, *args, **kwargs):
    global checks
    checks += 1
    try:
        got = call(*args, **kwargs)
    except kind:
        return
    except Exception as err:
        fail(what, err, kind.__name__)
    fail(what, got, kind.__name__)


def eventually(what, call, want, seconds=5):
    """Polls until call() is want: for what a clock decides (an item's expiry)."""
    global checks
    checks += 1
    deadline = time.time() + seconds
    while True:
        got = call()
        if got == want:
            return
        if time.time() > deadline:
            fail(what + " within %d s" % seconds, got, want)
        time.sleep(0.05)


def pattern(size):
    """size bytes in which each position shows: every byte value, CRLF and words of the protocol included."""
    unit = bytes(range(256)) + b"\r\nEND\r\nVALUE k 0 1\r\nSTORED\r\n"
    return (unit * (size // len(unit) + 1))[:size]


def keys(prefix, n):
    return ["%s:%d" % (prefix, i) for i in range(n)]


def done():
    if checks == 0:
        sys.exit("no check was made")
    print("%d checks" % checks)
