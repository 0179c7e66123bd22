package workload

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mcproxy/protocol"
)

// Verification is what --verify found.
type Verification struct {
	Checked     int64      `json:"checked"`     // values read and looked at
	Stale       int64      `json:"stale"`       // older than a write that was acknowledged before the read began
	Torn        int64      `json:"torn"`        // not what any write wrote, whole
	Crossed     int64      `json:"crossed"`     // another key's value
	Foreign     int64      `json:"foreign"`     // of an earlier run or another program, on a key not yet written; no offence
	Unconfirmed int64      `json:"unconfirmed"` // of a write whose answer was lost or an error; no offence
	Offenders   []Offender `json:"offenders"`   // the first ten
}

// Offences is how many reads gave what no read may give.
func (v *Verification) Offences() int64 { return v.Stale + v.Torn + v.Crossed }

// An Offender is one read that gave what it must not.
type Offender struct {
	Kind  string `json:"kind"` // stale, torn or crossed
	Key   string `json:"key"`
	Conn  int    `json:"conn"` // that read it
	Found string `json:"found"`
	Want  string `json:"want"`
}

const maxOffenders = 10

// A verifier remembers what was written, and judges what is read.
//
// Time is a counter that each operation draws from when it begins and when its answer is whole. A write's number is the
// moment it began; so the numbers of one writer, which is one conn, go up in the order in which the server gets them. A
// read that began at r and found write v is stale when some write w of the same key was acknowledged before r, and
//
//   - w is of the same writer as v, and newer, or
//   - v had been acknowledged before w began.
//
// Else v may be what the server held at some moment of the read. Deletes are writes that no read can find. The rules
// never blame a read wrongly; a write that was neither confirmed nor refused may show up at any time, or never.
type verifier struct {
	run    string // sets the values apart from those of other runs; hex digits
	clock  atomic.Int64
	keys   []history
	locks  [256]sync.Mutex // of keys, by the low bits of the number
	counts struct{ checked, stale, torn, crossed, foreign, unconfirmed atomic.Int64 }

	mu        sync.Mutex
	offenders []Offender // guarded by mu
}

// A history is what is known of one key.
type history struct {
	acked     []write // the acknowledged writes, the newest last, at most maxAcked
	forgotten int64   // no write that left acked was acknowledged after this moment
	open      []int64 // numbers of the sets in flight
	lost      []int64 // numbers of the sets with an unknown outcome
	blind     bool    // lost has overflowed: nothing about this key's age is certain any more
}

// A write is one acknowledged set or delete.
type write struct {
	writer int
	seq    int64 // when it began
	acked  int64
}

const (
	maxAcked = 8
	maxLost  = 64
)

func newVerifier(keys int, started time.Time) *verifier {
	return &verifier{run: strconv.FormatInt(started.UnixNano(), 16), keys: make([]history, keys)}
}

// A checker is the verifier's observer of one conn.
type checker struct {
	*verifier
	writer int
}

func (v *verifier) lock(index int) *sync.Mutex { return &v.locks[index%len(v.locks)] }

func (c *checker) Sending(o *Op) {
	o.seq = c.clock.Add(1)
	if o.Kind != KindSet || o.plain {
		return
	}
	mu := c.lock(o.index)
	mu.Lock()
	h := &c.keys[o.index]
	h.open = append(h.open, o.seq)
	mu.Unlock()
	o.buffer = c.compose(o.buffer[:0], o, len(o.Value))
	o.Value = o.buffer
}

func (c *checker) Done(o *Op, status protocol.Status) {
	if o.plain || o.Kind != KindSet && o.Kind != KindDelete {
		return
	}
	mu := c.lock(o.index)
	mu.Lock()
	defer mu.Unlock()
	h := &c.keys[o.index]
	if i := slices.Index(h.open, o.seq); i >= 0 {
		h.open = slices.Delete(h.open, i, i+1)
	}
	switch {
	case status == protocol.StatusStored, status == protocol.StatusOK, status == protocol.StatusDeleted,
		status == protocol.StatusNotFound && o.Kind == KindDelete:
		h.acknowledge(write{writer: c.writer, seq: o.seq, acked: c.clock.Add(1)})
	case o.Kind == KindDelete: // no value of its own can show up
	case len(h.lost) < maxLost:
		h.lost = append(h.lost, o.seq)
	default:
		h.blind = true
	}
}

func (h *history) acknowledge(w write) {
	if len(h.acked) == maxAcked {
		h.forgotten = max(h.forgotten, h.acked[0].acked)
		h.acked = slices.Delete(h.acked, 0, 1)
	}
	h.acked = append(h.acked, w)
}

func (c *checker) Value(o *Op, r *protocol.Response) {
	if o.Kind != KindGet {
		return
	}
	c.counts.checked.Add(1)
	index, key, ok := asked(o, r)
	if !ok {
		c.offence("crossed", Offender{Key: string(o.Key), Found: fmt.Sprintf("an answer with %.80q", r.Line), Want: "the key asked for"})
		return
	}
	mu := c.lock(index)
	mu.Lock()
	defer mu.Unlock()
	h := &c.keys[index]
	got, whole := parseStamp(r.Value)
	known := slices.ContainsFunc(h.acked, func(w write) bool { return w.acked < o.seq }) || h.forgotten > 0 && h.forgotten < o.seq
	switch {
	case !whole && !bytes.Contains(r.Value, []byte(stampWord)) && !known:
		c.counts.foreign.Add(1)
	case !whole:
		c.offence("torn", Offender{Key: string(key), Found: fmt.Sprintf("%d bytes, %.100q", len(r.Value), r.Value), Want: "a value that one write wrote"})
	case !bytes.Equal(got.key, key):
		c.offence("crossed", Offender{Key: string(key), Found: fmt.Sprintf("the value of key %q, %s", got.key, got), Want: "a value of the key"})
	case string(got.run) != c.run && !known:
		c.counts.foreign.Add(1)
	case string(got.run) != c.run:
		c.offence("stale", Offender{Key: string(key), Found: "a value of another run", Want: "one of this run, which has written the key"})
	case slices.Contains(h.lost, got.seq):
		c.counts.unconfirmed.Add(1)
	case !h.blind:
		if w, stale := h.newer(got, o.seq); stale {
			c.offence("stale", Offender{
				Key: string(key), Found: got.String(),
				Want: fmt.Sprintf("writer %d's number %d or newer, acknowledged at %d, before the read began at %d", w.writer, w.seq, w.acked, o.seq),
			})
		}
	}
}

// newer gives an acknowledged write that a read begun at r must not miss in favour of v.
func (h *history) newer(v stamp, r int64) (write, bool) {
	// The latest moment at which v was acknowledged; what is neither in flight nor among acked has left acked.
	acked, confirmed := h.forgotten, !slices.Contains(h.open, v.seq)
	for _, w := range h.acked {
		if w.seq == v.seq {
			acked = w.acked
		}
	}
	for _, w := range slices.Backward(h.acked) {
		if w.acked < r && (w.writer == v.writer && w.seq > v.seq || confirmed && acked < w.seq) {
			return w, true
		}
	}
	return write{}, false
}

// asked finds the key of o that r answers, by its number and its text.
func asked(o *Op, r *protocol.Response) (index int, key []byte, ok bool) {
	if r.Key == nil { // a meta answer: one unit a key, in order, and with the key after k
		for i, rest := 1, o.Key; ; i++ {
			key, rest = protocol.NextKey(rest)
			if i == o.Units {
				break
			}
		}
		index = o.index
		if o.Width > 1 {
			index = o.more[o.Units-1]
		}
		return index, key, slices.ContainsFunc(bytes.Fields(r.Line), func(flag []byte) bool {
			return flag[0] == 'k' && bytes.Equal(flag[1:], key)
		})
	}
	if o.Width == 1 {
		return o.index, o.Key, bytes.Equal(r.Key, o.Key)
	}
	// The keys found come in the order of the request, so what lies before the last one found has had its turn.
	rest := o.Key[o.cursor:]
	for rest != nil {
		key, rest = protocol.NextKey(rest)
		if key == nil {
			break
		}
		index = o.more[o.passed]
		o.passed++
		o.cursor = len(o.Key) - len(rest)
		if bytes.Equal(key, r.Key) {
			return index, key, true
		}
	}
	return 0, nil, false
}

func (c *checker) offence(kind string, offender Offender) {
	switch kind {
	case "stale":
		c.counts.stale.Add(1)
	case "torn":
		c.counts.torn.Add(1)
	default:
		c.counts.crossed.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.offenders) < maxOffenders {
		offender.Kind, offender.Conn = kind, c.writer
		c.offenders = append(c.offenders, offender)
	}
}

// verification gives what was found so far.
func (v *verifier) verification() *Verification {
	v.mu.Lock()
	defer v.mu.Unlock()
	return &Verification{
		Checked: v.counts.checked.Load(), Stale: v.counts.stale.Load(), Torn: v.counts.torn.Load(),
		Crossed: v.counts.crossed.Load(), Foreign: v.counts.foreign.Load(), Unconfirmed: v.counts.unconfirmed.Load(),
		Offenders: append([]Offender{}, v.offenders...),
	}
}

// A stamp is what the head of a verified value says:
//
//	mcproxy-bench <run> <writer> <seq> <length> <key>\n<filling><checksum>
//
// length is the whole value's, the filling depends on the write, and the checksum is CRC-32C of all before it, in hex. So
// a value that was cut, or put together from two, does not pass.
type stamp struct {
	run    []byte
	writer int
	seq    int64
	key    []byte
}

const (
	stampWord   = "mcproxy-bench "
	checksumLen = 8
)

func (s stamp) String() string { return fmt.Sprintf("writer %d's number %d", s.writer, s.seq) }

// compose makes the value of a write of size bytes, or of as few as its stamp takes.
func (c *checker) compose(dst []byte, o *Op, size int) []byte {
	// All but the filling and the digits of size itself; longer numbers have more of these.
	fixed := len(stampWord) + len(c.run) + decimals(int64(c.writer)) + decimals(o.seq) + len(o.Key) + len("    \n") + checksumLen
	least := fixed + 1
	for least < fixed+decimals(int64(least)) {
		least++
	}
	size = max(size, least)
	dst = append(dst, stampWord...)
	dst = append(dst, c.run...)
	dst = strconv.AppendInt(append(dst, ' '), int64(c.writer), 10)
	dst = strconv.AppendInt(append(dst, ' '), o.seq, 10)
	dst = strconv.AppendInt(append(dst, ' '), int64(size), 10)
	dst = append(append(dst, ' '), o.Key...)
	dst = append(dst, '\n')
	var word [16]byte
	for x := mix64(uint64(o.seq)); len(dst) < size-checksumLen; x = mix64(x) {
		for i := range word {
			word[i] = 'a' + byte(x>>(4*i)&15)
		}
		dst = append(dst, word[:min(len(word), size-checksumLen-len(dst))]...)
	}
	return appendChecksum(dst, dst)
}

func decimals(n int64) int { return len(strconv.AppendInt(make([]byte, 0, 20), n, 10)) }

func appendChecksum(dst, data []byte) []byte {
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return hex.AppendEncode(dst, []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

// parseStamp reads a value's stamp; ok says that the value is whole.
func parseStamp(value []byte) (s stamp, ok bool) {
	end := len(value) - checksumLen
	if end < 0 || !bytes.HasPrefix(value, []byte(stampWord)) {
		return stamp{}, false
	}
	var sum [checksumLen]byte
	if !bytes.Equal(value[end:], appendChecksum(sum[:0], value[:end])) {
		return stamp{}, false
	}
	head, _, ok := bytes.Cut(value[len(stampWord):end], []byte("\n"))
	var fields [5][]byte // run, writer, number, length, key
	for i := range 4 {
		var found bool
		if fields[i], head, found = bytes.Cut(head, []byte(" ")); !found {
			return stamp{}, false
		}
	}
	fields[4] = head
	if !ok {
		return stamp{}, false
	}
	writer, err1 := strconv.Atoi(string(fields[1]))
	seq, err2 := strconv.ParseInt(string(fields[2]), 10, 64)
	length, err3 := strconv.Atoi(string(fields[3]))
	if err1 != nil || err2 != nil || err3 != nil || length != len(value) || string(fields[3]) != strconv.Itoa(length) {
		return stamp{}, false
	}
	return stamp{run: fields[0], writer: writer, seq: seq, key: fields[4]}, true
}
