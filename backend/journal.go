package backend

import (
	"encoding/base64"
	"sync"
	"sync/atomic"
	"time"

	"mcproxy/protocol"
)

// journal holds the keys whose last write was missed. While a key is in it nobody reads or writes it (Pipeline.admit).
type journal struct {
	limit int          // immutable: keys
	size  atomic.Int64 // keys; read on the data path before anything is locked

	mu     sync.Mutex
	debts  map[string]owed // guarded by mu: by key
	queue  []*debt         // guarded by mu: debts for the keeper
	missed uint64          // guarded by mu
	epoch  uint64          // guarded by mu: drop raises it; older debts count no more
}

// owed is what the journal knows of a key.
type owed struct {
	missed int   // writes not yet made good
	since  int64 // Loop time of the first of them
	again  bool  // a write was turned away, perhaps after the delete had been carried out: one more has to follow
}

// A debt is one missed write: the deletes that its key still needs. It is the owner of the call that deletes.
type debt struct {
	b       *Backend
	key     string
	epoch   uint64
	confirm int           // deletes still to be confirmed: 1, or 2 with Settle between them
	delay   time.Duration // how long the keeper waits before it sends the next
	due     int64         // the keeper's own: Loop time at which that is over
}

func (j *journal) has(key []byte) bool {
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
// is needed as long as those may be answered, and not later, or a key that is written all the time would never leave.
func (j *journal) refuse(key []byte, now int64, patience time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if o, known := j.debts[string(key)]; known && !o.again && now-o.since <= int64(patience) {
		o.again = true
		j.debts[string(key)] = o
	}
}

// add records a missed write at a Loop time. It is false when the journal is full: then the backend must not serve any more.
func (j *journal) add(b *Backend, key []byte, confirm int, now int64) (*debt, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.missed++
	if j.debts == nil {
		j.debts = make(map[string]owed)
	}
	k := string(key)
	o, known := j.debts[k]
	if !known {
		if len(j.debts) >= j.limit {
			return nil, false
		}
		o.since = now
	}
	o.missed++
	j.debts[k] = o
	j.size.Store(int64(len(j.debts)))
	return &debt{b: b, key: k, epoch: j.epoch, confirm: confirm}, true
}

// settle ends a debt, and says whether the keeper has another one of the key instead.
func (j *journal) settle(d *debt) (more bool) {
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
		j.queue = append(j.queue, &debt{b: d.b, key: d.key, epoch: d.epoch, confirm: 1})
		return true
	default:
		delete(j.debts, d.key)
		j.size.Store(int64(len(j.debts)))
		if len(j.debts) == 0 {
			j.debts = nil // an outage's map is let go
		}
	}
	return false
}

// leave gives a debt to the keeper, to be sent when delay has passed.
func (j *journal) leave(d *debt, delay time.Duration) {
	j.mu.Lock()
	d.delay = delay
	if d.epoch == j.epoch {
		j.queue = append(j.queue, d)
	}
	j.mu.Unlock()
	d.b.kick()
}

// take gives the debts left since the last take.
func (j *journal) take() []*debt {
	j.mu.Lock()
	defer j.mu.Unlock()
	left := j.queue
	j.queue = nil
	return left
}

func (j *journal) drop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.debts, j.queue = nil, nil
	j.epoch++
	j.size.Store(0)
}

func (j *journal) figures() (keys int, missed uint64) {
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
func (d *debt) Answer(_ *Call, r *protocol.Response, _ []byte) error {
	switch r.Status {
	case protocol.StatusDeleted, protocol.StatusNotFound, protocol.StatusOK:
		if d.confirm--; d.confirm == 0 {
			if d.b.journal.settle(d) {
				d.b.kick()
			}
			return nil
		}
		d.b.journal.leave(d, d.b.Options.Settle)
	default: // SERVER_ERROR and the like: it may still hold the old value
		d.b.journal.leave(d, d.b.Options.Settle)
	}
	return nil
}

// Fail takes a journalled delete that got no answer. It lay behind the write on its conn if that stood; on any other conn the
// order is the server's choice, so two deletes are needed from here on.
func (d *debt) Fail(*Call, []byte, *Error) {
	if d.b.Options.Mutant != ForgetsConn {
		d.confirm = 2
	}
	d.b.journal.leave(d, 0)
}
