package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/proxy"
	"mcproxy/split"
)

// badSplit is a proxy that splits values over two memcached, which a test goes around to spoil what stands there.
type badSplit struct {
	*service
	c *client
}

func startBadSplit(t *testing.T) *badSplit {
	t.Helper()
	servers := []*memcachedtest.Server{startMemcached(t), startMemcached(t)}
	p := poolOf(servers...)
	p.Split = pool.SplitConfig{Enabled: true, Threshold: 1000, Chunk: 1000}
	s := startProxy(t, p)
	s.servers = servers
	return &badSplit{s, s.dial(t)}
}

// poke stores an item under a client's key on its home server, whichever that is.
func (b *badSplit) poke(t *testing.T, key string, flags uint32, value []byte) {
	t.Helper()
	for _, mc := range b.servers {
		if got := mc.Command(fmt.Sprintf("set %s %d 0 %d\r\n%s", key, flags, len(value), value)); got != "STORED\r\n" {
			t.Fatalf("set %s: %q", key, got)
		}
	}
}

// item gives an item as it stands on the server that has it.
func (b *badSplit) item(t *testing.T, key string) (mc *memcachedtest.Server, flags uint32, value []byte) {
	t.Helper()
	for _, mc := range b.servers {
		answer := mc.Command("get " + key)
		head, rest, found := strings.Cut(answer, "\r\n")
		fields := strings.Fields(head)
		if !found || len(fields) != 4 {
			continue
		}
		n, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		return mc, uint32(n), []byte(strings.TrimSuffix(rest, "\r\nEND\r\n"))
	}
	t.Fatalf("no server has %s", key)
	return nil, 0, nil
}

func (b *badSplit) manifest(t *testing.T, key string) split.Manifest {
	t.Helper()
	_, flags, value := b.item(t, key)
	m, err := split.DecodeManifest(value, split.MaxLength)
	if flags != split.ReservedFlags || err != nil {
		t.Fatalf("%s is no manifest: flags %d, %v", key, flags, err)
	}
	return m
}

func (b *badSplit) figures(t *testing.T) proxy.SplitFigures {
	t.Helper()
	return b.snapshot(t).Pools[0].Split
}

// wantMisses reads a key in every way, and wants a miss.
func (b *badSplit) wantMisses(t *testing.T, key string) {
	t.Helper()
	for _, verb := range []string{"get", "gets", "gat 0", "gats 0"} {
		b.c.ask(t, verb+" "+key+"\r\n", "END\r\n")
		b.c.ask(t, verb+" none "+key+" "+key+"\r\n", "END\r\n")
	}
	b.c.ask(t, "mg "+key+" v\r\nmg "+key+" s t c\r\nmg "+key+" q v\r\n", "EN\r\nEN\r\n")
}

// TestBadSplitManifests stores what looks like a manifest and is none, or one with numbers that would have a proxy allocate gigabytes or
// ask for chunks without end: misses, which are counted, and nothing is allocated for them.
func TestBadSplitManifests(t *testing.T) {
	b := startBadSplit(t)
	b.c.ask(t, set("good", 5000), "STORED\r\n")
	_, _, good := b.item(t, "good")
	forge := func(change func(body []byte)) []byte {
		item := bytes.Clone(good)
		body := item[14:]
		change(body)
		var d xxhash.Digest
		d.ResetWithSeed(uint64(item[4])<<8 | uint64(item[5]))
		d.Write(body)
		binary.BigEndian.PutUint64(item[6:], d.Sum64())
		return item
	}
	if same := forge(func([]byte) {}); !bytes.Equal(same, good) {
		t.Fatal("the forger does not know the manifest's form: the test proves nothing")
	}
	put32 := func(at int, v uint32) []byte {
		return forge(func(body []byte) { binary.BigEndian.PutUint32(body[at:], v) })
	}
	put16 := func(at int, v uint16) []byte {
		return forge(func(body []byte) { binary.BigEndian.PutUint16(body[at:], v) })
	}
	flipped := bytes.Clone(good)
	flipped[30] ^= 1
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, item := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "head alone": good[:14], "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 'x'),
		"flipped": flipped, "length 0": put32(16, 0), "length 4 GiB": put32(16, 1<<32-1), "length over max_value": put32(16, 65<<20),
		"chunk 0": put32(20, 0), "chunk 4 GiB": put32(20, 1<<32-1), "chunk 1": put32(20, 1),
		"no chunks": put16(24, 0), "65,535 chunks": put16(24, 65535), "one chunk more": put16(24, binary.BigEndian.Uint16(good[14+24:])+1),
		"no copies": put16(26, 0), "65,535 copies": put16(26, 65535), "no servers": put16(28, 0), "65,535 servers": put16(28, 65535),
	} {
		was := b.figures(t).Damaged
		b.poke(t, "forged", split.ReservedFlags, item)
		b.wantMisses(t, "forged")
		if got := b.figures(t).Damaged - was; got < 8 {
			t.Errorf("%s: counted %d times as damaged", name, got)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
	b.c.ask(t, "set forged 0 0 1\r\n1\r\nget forged good\r\n", "STORED\r\nVALUE forged 0 1\r\n1\r\nVALUE good 0 5000\r\n"+strings.Repeat("v", 5000)+"\r\nEND\r\n")
}

// TestBadSplitChunks spoils one chunk of a value in each way there is. Nobody gets anything but the value or a miss; it is counted; and an
// add works after it.
func TestBadSplitChunks(t *testing.T) {
	b := startBadSplit(t)
	b.c.ask(t, "set other 0 0 5000\r\n"+strings.Repeat("o", 5000)+"\r\n", "STORED\r\n")
	other := b.manifest(t, "other")
	_, otherFlags, otherChunk := b.item(t, string(other.AppendChunkKey(nil, 1, 0)))
	for name, spoil := range map[string]func(mc *memcachedtest.Server, key string, flags uint32, value []byte) string{
		"gone": func(mc *memcachedtest.Server, key string, _ uint32, _ []byte) string {
			return mc.Command("delete " + key)
		},
		"another's": func(mc *memcachedtest.Server, key string, _ uint32, _ []byte) string {
			return store(mc, key, otherFlags, otherChunk)
		},
		"cut short": func(mc *memcachedtest.Server, key string, f uint32, v []byte) string {
			return store(mc, key, f, v[:len(v)-1])
		},
		"empty": func(mc *memcachedtest.Server, key string, f uint32, _ []byte) string { return store(mc, key, f, nil) },
		"longer": func(mc *memcachedtest.Server, key string, f uint32, v []byte) string {
			return store(mc, key, f, append(v, 'x'))
		},
		"other bytes": func(mc *memcachedtest.Server, key string, f uint32, v []byte) string {
			return store(mc, key, f, bytes.ToUpper(v))
		},
		"unlike flags": func(mc *memcachedtest.Server, key string, f uint32, v []byte) string { return store(mc, key, f+1, v) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, read := range []struct{ request, miss string }{
				{"get k\r\n", "END\r\n"}, {"gets none k\r\n", "END\r\n"}, {"gat 0 k\r\n", "END\r\n"}, {"mg k v\r\n", "EN\r\n"}, {"append k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
			} {
				b.c.ask(t, set("k", 5000), "STORED\r\n")
				m := b.manifest(t, "k")
				key := string(m.AppendChunkKey(nil, 2, 0))
				mc, flags, value := b.item(t, key)
				spoil(mc, key, flags, value)
				was := b.figures(t)
				b.c.ask(t, read.request, read.miss)
				now := b.figures(t)
				if now.ChunksMissing == was.ChunksMissing && now.Damaged == was.Damaged || now.Retried == was.Retried || now.Dead != was.Dead+1 {
					t.Errorf("%q: before %+v, after %+v", read.request, was, now)
				}
				b.c.ask(t, "add k 0 0 1\r\n1\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\n1\r\nEND\r\n")
			}
		})
	}
}

func store(mc *memcachedtest.Server, key string, flags uint32, value []byte) string {
	return mc.Command(fmt.Sprintf("set %s %d 0 %d\r\n%s", key, flags, len(value), value))
}

// TestBadSplitReservedKeys uses the proxies' own names as a client.
func TestBadSplitReservedKeys(t *testing.T) {
	b := startBadSplit(t)
	b.c.ask(t, set("k", 5000), "STORED\r\n")
	m := b.manifest(t, "k")
	key := string(m.AppendChunkKey(nil, 0, 0))
	encoded := base64.StdEncoding.EncodeToString([]byte(key))
	was := b.figures(t).Refused
	requests := []string{
		"get " + key, "gets " + key, "get k " + key, "gat 0 " + key, "set " + key + " 0 0 1\r\nx", "add " + key + " 0 0 1\r\nx", "append " + key + " 0 0 1\r\nx",
		"cas " + key + " 0 0 1 1\r\nx", "delete " + key, "touch " + key + " 0", "incr " + key + " 1", "mg " + key + " v", "ms " + key + " 1\r\nx",
		"md " + key, "ma " + key, "mg " + encoded + " b v", "ms " + encoded + " 1 b\r\nx", "md " + encoded + " b", "set ~mcproxy. 0 0 1\r\nx",
	}
	for _, request := range requests {
		b.c.ask(t, request+"\r\n", split.Refusal)
	}
	b.c.ask(t, "set "+key+" 0 0 1 noreply\r\nx\r\ndelete "+key+" noreply\r\n", "")
	if got := b.figures(t).Refused - was; got != uint64(len(requests))+2 {
		t.Errorf("%d requests were counted, want %d", got, len(requests)+2)
	}
	b.c.ask(t, "get k\r\nget ~mcproxy\r\n", "VALUE k 0 5000\r\n"+strings.Repeat("v", 5000)+"\r\nEND\r\nEND\r\n")
}

// TestBadSplitReservedFlags has a client store values with the reserved flags, also a true manifest's bytes: they are its own values, and
// come back as they were.
func TestBadSplitReservedFlags(t *testing.T) {
	b := startBadSplit(t)
	b.c.ask(t, set("secret", 5000), "STORED\r\n")
	_, _, manifest := b.item(t, "secret")
	was := b.figures(t)
	for i, value := range []string{"", "1", "hello", string(manifest), strings.Repeat("w", 5000)} {
		key := fmt.Sprintf("mine%d", i)
		answer := fmt.Sprintf("VALUE %s %d %d\r\n%s\r\nEND\r\n", key, split.ReservedFlags, len(value), value)
		b.c.ask(t, fmt.Sprintf("set %s %d 0 %d\r\n%s\r\n", key, split.ReservedFlags, len(value), value), "STORED\r\n")
		b.c.ask(t, "get "+key+"\r\n"+"get none "+key+"\r\n", answer+answer)
		b.c.ask(t, fmt.Sprintf("ms %s %d F%d\r\n%s\r\n", key, len(value), split.ReservedFlags, value), "HD\r\n")
		b.c.ask(t, "mg "+key+" f s v\r\n", fmt.Sprintf("VA %d f%d s%d\r\n%s\r\n", len(value), split.ReservedFlags, len(value), value))
	}
	now := b.figures(t)
	if now.Wrapped-was.Wrapped != 8 || now.Stored-was.Stored != 2 || now.Damaged != was.Damaged {
		t.Errorf("before %+v, after %+v; want 8 wrapped and 2 in chunks", was, now)
	}
}

// TestBadSplitServerGone reads a value after one of its servers has gone: a miss, or an error that names the server, as the pool says; in
// time, and counted. When the server is there again, empty, the value is a miss, and its key can be written.
func TestBadSplitServerGone(t *testing.T) {
	for _, onError := range []pool.OnError{pool.OnErrorMiss, pool.OnErrorError} {
		t.Run(onError.String(), func(t *testing.T) {
			servers := []*memcachedtest.Server{startMemcached(t), startMemcached(t)}
			p := poolOf(servers...)
			p.OnError = onError
			p.Split = pool.SplitConfig{Enabled: true, Threshold: 1000, Chunk: 1000}
			p.Backend.ProbeInterval, p.Backend.ProbeMax = 10*time.Millisecond, 10*time.Millisecond
			s := startProxy(t, p)
			s.servers = servers
			b := &badSplit{s, s.dial(t)}
			b.c.ask(t, set("k", 5000), "STORED\r\n")
			home, _, _ := b.item(t, "k")
			gone := servers[0]
			if home == gone {
				gone = servers[1]
			}
			gone.Stop()
			failures := b.snapshot(t).Pools[0].Failures
			for _, read := range []struct{ request, miss string }{
				{"get k\r\n", "END\r\n"}, {"gets none k\r\n", "END\r\n"}, {"mg k v\r\n", "EN\r\n"}, {"append k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
			} {
				if _, err := b.c.Write([]byte(read.request)); err != nil {
					t.Fatal(err)
				}
				answer, err := b.c.unit(time.Now().Add(answerTimeout))
				// The key none may have its home on the server that is gone, and the refusal be about that.
				if refused := strings.HasPrefix(string(answer), "SERVER_ERROR "+gone.Addr()+": "); err != nil ||
					onError == pool.OnErrorError && !refused || onError == pool.OnErrorMiss && string(answer) != read.miss {
					t.Fatalf("%q: %q, %v", read.request, answer, err)
				}
			}
			if now := b.snapshot(t).Pools[0].Failures; now < failures+4 {
				t.Errorf("%d failures were counted, want 4 or more", now-failures)
			}
			gone.Restart()
			s.awaitSnapshot(t, "the server is there again", func(snap proxy.Snapshot) bool {
				return snap.Pools[0].Backends[0].State == "up" && snap.Pools[0].Backends[1].State == "up"
			})
			b.c.ask(t, "get k\r\nadd k 0 0 1\r\n1\r\nget k\r\n", "END\r\nSTORED\r\nVALUE k 0 1\r\n1\r\nEND\r\n")
		})
	}
}
