package backend

import (
	"encoding/base64"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mcproxy/protocol"
)

// A Journal holds the keys whose last write a server missed. While a key is in it nobody reads or writes it there (Pipeline.admit). It
// is the server's, whatever pools use that, and outlives the Backends that do (Ledger).
type Journal struct {
	store store // immutable while the journal is used

	size   atomic.Int64 // keys; read on the data path before anything is locked
	latest atomic.Int64 // Loop time when a key last left; 0: none has

	mu         sync.Mutex
	debts      map[string]owed     // guarded by mu: by key
	queue      []*debt             // guarded by mu: debts for a keeper
	keepers    []*keeper           // guarded by mu: who may pay them
	missed     uint64              // guarded by mu
	epoch      uint64              // guarded by mu: drop raises it; older debts count no more
	overflowed bool                // guarded by mu: a write was missed for whose key there was no room
	left       [2]map[string]int64 // guarded by mu: keys that were in it a short while ago, and when they were last (Loop time); the newer ones first
	turned     int64               // guarded by mu: when the newer ones began
	lost       uint64              // guarded by mu: missed writes for which there was no room, so far
}

// owed is what the journal knows of a key.
type owed struct {
	missed int   // writes not yet made good
	since  int64 // Loop time of the first of them
	again  bool  // a write was turned away, perhaps after the delete had been carried out: one more has to follow
}

// A debt is one missed write: the deletes that its key still needs. It is the owner of the call that deletes.
type debt struct {
	b       *Backend // who missed it, or is to pay it; nil: nobody yet
	j       *Journal
	key     string
	epoch   uint64
	confirm int           // deletes still to be confirmed: 1, or 2 with Settle between them
	delay   time.Duration // how long the keeper waits before it sends the next
	due     int64         // the keeper's own: Loop time at which that is over
	taken   int64         // the keeper's own: Loop time at which it got the debt
}

func (j *Journal) has(key []byte) bool {
	if j.size.Load() == 0 {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.debts[string(key)]
	return ok
}

// refuse has a key of the journal deleted once more, because a write of it is turned away: what the key's delete has left
// there may not stay. While a key is in the journal nothing is written to it but by calls that were sent before; so this
// is needed as long as those may be answered, and not later, or a key that is written all the time would never leave. patience 0 is for ever.
func (j *Journal) refuse(key []byte, now int64, patience time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if o, known := j.debts[string(key)]; known && !o.again && (patience == 0 || now-o.since <= int64(patience)) {
		o.again = true
		j.debts[string(key)] = o
	}
}

// add records a missed write at a Loop time. It is false when the journal is full: then the backend must not serve any more.
func (j *Journal) add(b *Backend, key []byte, confirm int, now int64) (*debt, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.missed++
	if j.debts == nil {
		j.debts = make(map[string]owed)
	}
	k := string(key)
	o, known := j.debts[k]
	if !known {
		if len(j.debts) >= b.Options().JournalLimit {
			j.loseOne()
			return nil, false
		}
		o.since = now
		j.store.put(owedKey, k)
	}
	o.missed++
	j.debts[k] = o
	j.size.Store(int64(len(j.debts)))
	return &debt{b: b, j: j, key: k, epoch: j.epoch, confirm: confirm}, true
}

// owe records that a key has to be deleted, unless that is known already; then there is no debt. It is false when that share of the
// journal is full.
func (j *Journal) owe(b *Backend, key []byte, now int64, share float64) (d *debt, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.debts[string(key)]; known {
		return nil, true
	}
	if len(j.debts) >= int(share*float64(b.Options().JournalLimit)) {
		return nil, false
	}
	if j.debts == nil {
		j.debts = make(map[string]owed)
	}
	j.missed++
	k := string(key)
	j.store.put(owedKey, k)
	j.debts[k] = owed{missed: 1, since: now}
	j.size.Store(int64(len(j.debts)))
	return &debt{b: b, j: j, key: k, epoch: j.epoch, confirm: 1}, true
}

// settle ends a debt, and says whether the keeper has another one of the key instead.
func (j *Journal) settle(d *debt, now int64) (more bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if d.epoch != j.epoch {
		return false
	}
	o := j.debts[d.key]
	o.missed--
	switch {
	case o.missed > 0:
		j.debts[d.key] = o
	case o.again:
		o.missed, o.again = 1, false
		j.debts[d.key] = o
		j.queue = append(j.queue, &debt{b: d.b, j: j, key: d.key, epoch: d.epoch, confirm: 1})
		return true
	default:
		delete(j.debts, d.key)
		j.store.drop(owedKey, d.key)
		j.size.Store(int64(len(j.debts)))
		j.remember(d.key, now)
		if len(j.debts) == 0 {
			j.debts = nil // an outage's map is let go
		}
	}
	return false
}

// doubt has a key doubted as if it had left now. Of more than limit keys none is told from the others: all are doubted.
func (j *Journal) doubt(key []byte, limit int, now int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.left[0]) >= limit {
		key = nil
	}
	j.remember(string(key), now)
}

// remember notes that a key has left; "" is any.
func (j *Journal) remember(key string, now int64) {
	if j.left[0] == nil || now-j.turned > leftFor {
		j.left[1], j.left[0], j.turned = j.left[0], make(map[string]int64), now
		if now-j.latest.Load() > leftFor {
			j.left[1] = nil
		}
	}
	j.left[0][key] = now
	j.latest.Store(now)
}

// leftFor is how long a key that has left is remembered at least.
const leftFor = int64(30 * time.Second)

// doubts says whether a key is in the journal, or was since a Loop time, at most leftFor ago.
func (j *Journal) doubts(key []byte, since int64) bool {
	if j.size.Load() == 0 && (j.latest.Load() == 0 || j.latest.Load() < since) {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, in := j.debts[string(key)]; in {
		return true
	}
	for _, left := range j.left {
		if max(left[string(key)], left[""]) >= max(since, 1) {
			return true
		}
	}
	return false
}

// leave gives a debt to a keeper, to be sent when delay has passed.
func (j *Journal) leave(d *debt, delay time.Duration) {
	j.mu.Lock()
	d.delay = delay
	if d.epoch == j.epoch {
		j.queue = append(j.queue, d)
	}
	j.mu.Unlock()
	j.kick()
}

// kick makes the keepers look at their work.
func (j *Journal) kick() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range j.keepers {
		k.kick()
	}
}

// take gives a keeper the debts left since the last take.
func (j *Journal) take(k *keeper) []*debt {
	j.mu.Lock()
	defer j.mu.Unlock()
	left := j.queue
	j.queue = nil
	for _, d := range left {
		d.b = k.b
	}
	return left
}

// hire adds a keeper.
func (j *Journal) hire(k *keeper) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keepers = append(j.keepers, k)
}

// dismiss takes a keeper's debts back, for others.
func (j *Journal) dismiss(k *keeper) {
	j.mu.Lock()
	j.keepers = slices.DeleteFunc(j.keepers, func(o *keeper) bool { return o == k })
	for _, d := range k.debts {
		if d.epoch == j.epoch {
			j.queue = append(j.queue, d)
		}
	}
	k.debts = nil
	j.mu.Unlock()
	j.kick()
}

func (j *Journal) drop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for k := range j.debts {
		j.store.drop(owedKey, k)
	}
	j.store.drop(overflowed, "")
	j.debts, j.queue, j.overflowed = nil, nil, false
	j.epoch++
	j.size.Store(0)
}

// overflow drops the keys: there are too many.
func (j *Journal) overflow() {
	j.drop()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.overflowed = true
	j.store.put(overflowed, "")
}

// lose counts a missed write that is not noted.
func (j *Journal) lose() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.loseOne()
}

// loseOne is lose for who holds mu.
func (j *Journal) loseOne() {
	j.overflowed = true
	j.lost++
	j.store.put(overflowed, "")
}

// forgive says that the writes that were lost matter no more, if there are still as many.
func (j *Journal) forgive(lost uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost == lost {
		j.overflowed = false
		j.store.drop(overflowed, "")
	}
}

func (j *Journal) lostSoFar() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
}

func (j *Journal) isOverflowed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.overflowed
}

// keys gives a copy of the keys.
func (j *Journal) keys() [][]byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	var keys [][]byte
	for k := range j.debts {
		keys = append(keys, []byte(k))
	}
	return keys
}

// restore adds keys whose writes another process has missed.
func (j *Journal) restore(keys [][]byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, key := range keys {
		k := string(key)
		if _, known := j.debts[k]; known {
			continue
		}
		if j.debts == nil {
			j.debts = make(map[string]owed)
		}
		j.debts[k] = owed{missed: 1}
		j.store.put(owedKey, k)
		j.queue = append(j.queue, &debt{j: j, key: k, epoch: j.epoch, confirm: 2})
	}
	j.size.Store(int64(len(j.debts)))
}

func (j *Journal) figures() (keys int, missed uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.debts), j.missed
}

// appendDelete appends the request that pays the debt, and gives its verb.
func (d *debt) appendDelete(dst []byte) ([]byte, protocol.Verb) {
	start := len(dst)
	dst = AppendDelete(dst, []byte(d.key))
	if dst[start+1] == 'd' {
		return dst, protocol.MetaDelete
	}
	return dst, protocol.Delete
}

// AppendDelete appends a request, CRLF included, that deletes a key of any bytes: one that no classic command can carry, because
// it came in base64, is deleted by a meta command.
func AppendDelete(dst, key []byte) []byte {
	for _, c := range key {
		if c <= ' ' || c == 0x7f {
			dst = append(dst, "md "...)
			dst = base64.StdEncoding.AppendEncode(dst, key)
			return append(dst, " b\r\n"...)
		}
	}
	return protocol.AppendDelete(dst, key)
}

// Answer takes the answer to a journalled delete.
func (d *debt) Answer(c *Call, r *protocol.Response, _ []byte) error {
	switch r.Status {
	case protocol.StatusDeleted, protocol.StatusNotFound, protocol.StatusOK:
		if d.confirm--; d.confirm == 0 {
			if d.j.settle(d, c.conn.p.loop.Now) {
				d.j.kick()
			}
			return nil
		}
		d.j.leave(d, d.b.Options().Settle)
	default: // SERVER_ERROR and the like: it may still hold the old value
		d.j.leave(d, d.b.Options().Settle)
	}
	return nil
}

// Fail takes a journalled delete that got no answer. It lay behind the write on its conn if that stood; on any other conn the
// order is the server's choice, so two deletes are needed from here on.
func (d *debt) Fail(*Call, []byte, *Error) {
	if d.b.Options().Mutant != ForgetsConn {
		d.confirm = 2
	}
	d.j.leave(d, 0)
}
