package hotkey

import "github.com/cespare/xxhash/v2"

// Hash is the hash by which the workers of a pool tell keys apart: xxhash64. A Ring's may have as few as 15 bits.
func Hash(key []byte) uint64 { return xxhash.Sum64(key) }

// An Op is what a request does with its key.
type Op uint8

// The values of Op.
const (
	Read  Op = iota // get and its like
	Write           // set, delete, touch and all else that changes the item
)

func (o Op) String() string {
	if o == Write {
		return "write"
	}
	return "read"
}

// A Window is what a worker saw of a pool between two moments.
type Window struct {
	Summary  *Summary // its weights are costs in bytes, of Config.OpBytes and the value's
	From, To int64    // nanoseconds of the caller's clock; To is 0 until the window is frozen
}

// A Detector watches the requests that one worker sends to one pool. It belongs to that worker alone, but for the window
// that it has lent: two summaries take turns, and while the worker fills one, a coordinator reads the other.
//
// Each request is one call of Observe, or, when the size of its value is known only from its answer, of Observe and, later,
// of ObserveValue. All but the few that are picked cost a subtraction and a branch there.
type Detector struct {
	opBytes int64 // with the sampler's countdown behind it, which is its first field: most requests touch nothing else
	sampler Sampler

	active, frozen *Window // frozen is the coordinator's while lent
	lent           bool
	window         int64
	discarded      uint64
}

// staleWindows is how many windows long the active one may become while the frozen one is not given back.
const staleWindows = 16

// NewDetector makes the detector of one worker and pool. cfg must be valid. Each worker gets a seed of its own, which
// nobody outside should know. now is the time in nanoseconds, by any clock that never goes back.
func NewDetector(cfg Config, seed uint64, now int64) *Detector {
	cfg = cfg.WithDefaults()
	d := &Detector{
		opBytes: int64(cfg.OpBytes),
		window:  cfg.Window,
		active:  &Window{Summary: NewSummary(cfg.Entries, seed), From: now},
		frozen:  &Window{Summary: NewSummary(cfg.Entries, seed)},
	}
	d.sampler.start(int64(cfg.SampleCost)*int64(cfg.OpBytes), seed)
	return d
}

// Observe counts a request. hash is 64 well spread bits of key, the same in every worker of the pool (a Ring's Hash may have
// as few as 15: it is not one). key is copied if it is kept. valueBytes, 0..1<<32-1, are those of the value that goes one way
// or the other; of a read whose answer is yet to come they are 0.
func (d *Detector) Observe(hash uint64, key []byte, op Op, valueBytes int) {
	// The branch is Sampler.Skip, written out so that the whole stays within what the compiler inlines.
	if d.sampler.countdown -= d.opBytes + int64(uint32(valueBytes)); d.sampler.countdown < 0 {
		d.record(hash, key, op, valueBytes)
	}
}

// Skip is Observe's first half, for callers who have not hashed the key: if it says no, Record must follow.
func (d *Detector) Skip(valueBytes int) bool {
	return d.sampler.Skip(d.opBytes + int64(uint32(valueBytes)))
}

// Record counts a request that was not skipped, and gives how many requests it stands for, at least 1.
func (d *Detector) Record(hash uint64, key []byte, op Op, valueBytes int) (times float64) {
	return d.record(hash, key, op, valueBytes)
}

// SkipValue is ObserveValue's first half: if it says no, RecordValue must follow.
func (d *Detector) SkipValue(valueBytes int) bool { return d.sampler.Skip(int64(uint32(valueBytes))) }

// RecordValue counts a value that was not skipped.
func (d *Detector) RecordValue(hash uint64, key []byte, valueBytes int) {
	d.recordValue(hash, key, uint32(valueBytes))
}

// ObserveValue counts the value that answers a read which was observed without it. key may be empty if it is known no more:
// then a key that only its values make hot is found, but has no name until a request for it is picked. Requests and values
// are then two samples, so that bytes a request, and with it the Kind, are less certain than from one Observe of both.
func (d *Detector) ObserveValue(hash uint64, key []byte, valueBytes int) {
	if !d.sampler.Skip(int64(uint32(valueBytes))) {
		d.recordValue(hash, key, uint32(valueBytes))
	}
}

func (d *Detector) record(hash uint64, key []byte, op Op, valueBytes int) float64 {
	size := uint32(valueBytes)
	cost := d.opBytes + int64(size)
	times, dither := d.sampler.Take(cost)
	d.active.Summary.Add(hash, key, Observation{
		Weight: uint64(times*float64(cost) + dither),
		Ops:    uint32(times + dither),
		Bytes:  uint64(times*float64(size) + dither),
		Size:   size,
		Write:  op == Write,
	})
	return times
}

func (d *Detector) recordValue(hash uint64, key []byte, size uint32) {
	times, dither := d.sampler.Take(int64(size))
	bytes := uint64(times*float64(size) + dither)
	d.active.Summary.Add(hash, key, Observation{Weight: bytes, Bytes: bytes, Size: size})
}

// Freeze ends the active window and lends it: the caller, and whoever it hands the window to, may read it until Release. It is
// meant to be called each Config.Window, by a timer that may be early or late, also when there are no requests: the end of a
// key's heat is seen in windows without it. It is nil when the window is younger than half of Config.Window, and when the
// last one is not back yet; then the active one goes on, and is begun anew when it gets absurdly long.
func (d *Detector) Freeze(now int64) *Window {
	age := now - d.active.From
	if age < d.window/2 {
		return nil
	}
	if d.lent {
		if age >= staleWindows*d.window {
			d.begin(now)
			d.discarded++
		}
		return nil
	}
	d.active, d.frozen = d.frozen, d.active
	d.frozen.To = now
	d.begin(now)
	d.lent = true
	return d.frozen
}

// Release takes the window back that Freeze lent.
func (d *Detector) Release() { d.lent = false }

// Lent reports whether a window is lent.
func (d *Detector) Lent() bool { return d.lent }

// Discarded is the number of windows that nobody read because the one before was not given back.
func (d *Detector) Discarded() uint64 { return d.discarded }

func (d *Detector) begin(now int64) {
	d.active.Summary.Reset()
	d.active.From, d.active.To = now, 0
}
