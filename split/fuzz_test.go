package split_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"mcproxy/protocol"
	"mcproxy/split"
)

// FuzzDecodeManifest: whatever an item with the reserved flags holds, it is refused, or is exactly what its parts encode to, with
// numbers within the bounds. The second argument has the bytes tried with a checksum that fits, so that the bounds are met.
func FuzzDecodeManifest(f *testing.F) {
	r := rand.New(rand.NewPCG(30, 30))
	for _, n := range []int{1, 100, 70_000} {
		m := newManifest(f, r, newValue(r, n), split.Options{Chunk: 400, Copies: 2, Servers: 3})
		f.Add(m.Append(nil), false, 1<<20)
		f.Add(m.Append(nil), true, n)
	}
	f.Add(split.AppendWrapped(nil, []byte("abc")), true, 5)
	f.Add(split.AppendWrapped(nil, nil), false, 0)
	f.Add([]byte("VALUE"), false, 1<<30)
	f.Fuzz(func(t *testing.T, item []byte, sealed bool, maxValue int) {
		if sealed && len(item) >= split.WrapLen {
			item = reseal(slices.Clone(item))
		}
		before := slices.Clone(item)
		m, err := split.DecodeManifest(item, maxValue)
		stored, openErr := split.Open(split.ReservedFlags, item, maxValue)
		if !bytes.Equal(item, before) {
			t.Fatal("the item was written to")
		}
		switch {
		case err == nil:
			if openErr != nil || stored.Kind != split.Split || stored.Manifest != m || stored.Flags != m.Flags {
				t.Fatalf("DecodeManifest = %+v, and Open = %+v, %v", m, stored, openErr)
			}
			if got := m.Append(nil); !bytes.Equal(got, item) {
				t.Fatalf("%x is decoded and encoded again as %x", item, got)
			}
			checkBounds(t, &m, maxValue)
		case m != split.Manifest{}:
			t.Fatalf("an error, and %+v", m)
		case openErr == nil:
			if stored.Kind != split.Wrapped || stored.Flags != split.ReservedFlags {
				t.Fatalf("Open = %+v, where DecodeManifest = %v", stored, err)
			}
			if got := split.AppendWrapped(nil, stored.Value); !bytes.Equal(got, item) {
				t.Fatalf("%x is unwrapped and wrapped again as %x", item, got)
			}
		case openErr != err:
			t.Fatalf("Open: %v, DecodeManifest: %v", openErr, err)
		}
	})
}

// checkBounds: what a reader may rely on, so that nothing it sets aside or loops over depends on an unchecked number.
func checkBounds(t *testing.T, m *split.Manifest, maxValue int) {
	t.Helper()
	if m.Length < 1 || m.Length > maxValue || m.Length > split.MaxLength || m.Count < 1 || m.Count > split.MaxChunks ||
		m.Copies < 1 || m.Copies > m.Servers || m.Servers > split.MaxServers || m.Count*m.Copies > split.MaxItems {
		t.Fatalf("%+v is out of bounds", m)
	}
	total := 0
	for index := range m.Count {
		size := m.Size(index)
		if size < 1 || size > split.MaxChunk {
			t.Fatalf("chunk %d of %+v has %d bytes", index, m, size)
		}
		total += size
		if server := m.Server(index, m.Copies-1); server < 0 || server >= m.Servers {
			t.Fatalf("chunk %d of %+v is on server %d", index, m, server)
		}
	}
	if total != m.Length {
		t.Fatalf("the chunks of %+v have %d bytes", m, total)
	}
}

// FuzzAssembler: whatever chunks come, in any order, of other values, cut, changed, or not at all, what the assembler gives is the
// value or an error; and if each chunk came whole before anything wrong did, it is the value.
func FuzzAssembler(f *testing.F) {
	f.Add(uint64(1), uint16(100), uint8(10), []byte{0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9})
	f.Add(uint64(2), uint16(20), uint8(10), []byte{0, 1, 1, 0, 2, 0, 3, 0, 0, 0, 4, 1, 5, 1, 6, 1, 0, 1})
	f.Add(uint64(3), uint16(9), uint8(10), []byte{7, 0, 0, 0})
	f.Add(uint64(4), uint16(30), uint8(10), []byte{4, 2, 0, 1, 6, 0, 0, 2, 0, 0})
	f.Fuzz(func(t *testing.T, seed uint64, length uint16, chunk uint8, steps []byte) {
		if length == 0 || chunk == 0 || len(steps) > 4096 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		o := split.Options{Chunk: int(chunk), Servers: 3, Copies: 2}
		value, strange := newValue(r, int(length)), newValue(r, int(length))
		m, other := newManifest(t, r, value, o), newManifest(t, r, strange, o)
		right, wrong := source{m, value}, source{other, strange}
		var a split.Assembler
		if err := a.Start(m, make([]byte, length)); err != nil {
			t.Fatal(err)
		}
		good, tainted := map[int]bool{}, false
		for ; len(steps) >= 2; steps = steps[2:] {
			index := int(steps[1]) % m.Count
			flags, bytes, whole := deliver(steps[0], index, &right, &wrong)
			had := a.Has(index)
			err := a.Add(index, flags, bytes)
			if whole != (err == nil) {
				t.Fatalf("step %d of chunk %d: Add = %v", steps[0], index, err)
			}
			if err == nil && !had {
				tainted = tainted || steps[0]%8 == changed
				good[index] = true
			}
			if a.Has(index) != good[index] || a.Left() != m.Count-len(good) {
				t.Fatalf("after %v chunk %d is there: %v; %d missing, want %d", err, index, a.Has(index), a.Left(), m.Count-len(good))
			}
		}
		got, err := a.Value()
		switch {
		case err == nil && !bytes.Equal(got, value):
			t.Fatal("the value is wrong")
		case (err == nil) != (len(good) == m.Count && !tainted):
			t.Fatalf("%d of %d chunks, one changed: %v; Value = %v", len(good), m.Count, tainted, err)
		}
	})
}

// changed is the step whose chunk cannot be told from the right one but by the value's checksum.
const changed = 1

// source is a value as its servers have it.
type source struct {
	manifest split.Manifest
	value    []byte
}

// chunk gives the item of a chunk as it should be.
func (s *source) chunk(index int) (flags uint32, bytes []byte) {
	return s.manifest.Mark(index), piece(&s.manifest, s.value, index)
}

// deliver gives a chunk's item as step has it, and whether Add must take it.
func deliver(step byte, index int, right, wrong *source) (flags uint32, bytes []byte, whole bool) {
	flags, bytes = right.chunk(index)
	mark := flags
	switch step % 8 {
	case changed:
		bytes = slices.Clone(bytes)
		bytes[int(step/8)%len(bytes)] ^= 1 << (step % 7)
		return flags, bytes, true
	case 2: // cut short
		return flags, bytes[:len(bytes)-1], false
	case 3: // of another value
		flags, bytes = wrong.chunk(index)
		return flags, bytes, flags == mark
	case 4: // of another index
		flags, bytes = right.chunk((index + 1) % right.manifest.Count)
		return flags, bytes, flags == mark
	case 5: // two chunks in one
		return flags, append(slices.Clone(bytes), bytes...), false
	case 6: // something else altogether
		return split.ReservedFlags, right.manifest.Append(nil), false
	}
	return flags, bytes, true
}

// FuzzAppendMetaHead: whatever flags a client sends, and whatever a backend answers, one line comes out, and none of the
// words that the client did not ask for.
func FuzzAppendMetaHead(f *testing.F) {
	f.Add([]byte("mg k v f s\r\n"), []byte("VA 56 f1 s56 W"))
	f.Add([]byte("mg k t\r\n"), []byte("HD t-1 f9"))
	f.Add([]byte("ms k 0 c\r\n"), []byte("NS c0"))
	f.Add([]byte("mg k v\r\n"), []byte("SERVER_ERROR no"))
	f.Add([]byte("mg k v\r\n"), []byte(""))
	f.Fuzz(func(t *testing.T, request, line []byte) {
		var req protocol.Request
		n, err := protocol.ParseRequest(request, &req)
		if err != nil || n == 0 || !req.Verb.IsMeta() || bytes.IndexByte(line, '\n') >= 0 {
			return
		}
		it := split.Item{Flags: 7, Value: []byte("abc")}
		got, data := it.AppendMetaHead(nil, &req, line)
		if bytes.Count(got, []byte("\n")) != 1 || !bytes.HasSuffix(got, []byte("\r\n")) {
			t.Fatalf("%q, %q: %q is not one line", request, line, got)
		}
		if data != bytes.HasPrefix(got, []byte("VA 3")) && req.Verb == protocol.MetaGet && len(line) > 2 && string(line[:3]) == "VA " {
			t.Fatalf("%q, %q: %q, and a value follows: %v", request, line, got, data)
		}
		flags := split.AppendMetaFlags(nil, req.MetaFlags, "fv")
		if again := split.AppendMetaFlags(nil, flags, "fv"); !bytes.Equal(flags, again) {
			t.Fatalf("%q: flags added twice are %q, then %q", request, flags, again)
		}
		client, ok := split.ClientFlags(&req)
		if list, few := split.AppendMetaSetFlags(nil, req.MetaFlags, client); ok && few && req.Verb == protocol.MetaSet {
			req.MetaFlags = list
			if again, _ := split.ClientFlags(&req); again != client {
				t.Fatalf("%q: flags %d became %d", request, client, again)
			}
		}
	})
}
