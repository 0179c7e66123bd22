package budget

import "sync/atomic"

// A Meter counts the bytes that a process holds for whole values on their way: those that clients send, and answers that clients have
// not taken. Nobody waits for it: who finds the limit reached refuses, or sees to it that no more comes. It is safe for concurrent use.
type Meter struct {
	limit, bytes, peak atomic.Int64

	refused atomic.Int64 // Loop time when somebody was refused last

	filling chan<- struct{} // Budget's
}

// MeterFigures tell of a meter.
type MeterFigures struct {
	Limit int64
	Bytes int64 // held now; each loop may hold almost meterStep more, or less
	Peak  int64 // the most that were ever held at once
}

// meterStep is how many bytes a loop comes to hold, or gives back, before it tells the meter. So loops that carry small values alone
// share nothing that changes.
const meterStep = 64 << 10

// SetLimit sets another limit. What is held stays held.
func (m *Meter) SetLimit(bytes int64) { m.limit.Store(bytes) }

// Figures gives the present figures.
func (m *Meter) Figures() MeterFigures {
	return MeterFigures{Limit: m.limit.Load(), Bytes: max(0, m.bytes.Load()), Peak: m.peak.Load()}
}

// busy says whether a quarter of the limit is in use.
func (m *Meter) busy() bool { return m.bytes.Load() >= m.limit.Load()/4 }

// A Dial is one loop's access to a meter, and the loop's. A nil one counts nothing and has no limit.
type Dial struct {
	meter *Meter
	own   int64 // bytes that the meter has not been told of; negative: given back
}

// NewDial gives a loop access to a meter; nil if there is none.
func NewDial(m *Meter) *Dial {
	if m == nil {
		return nil
	}
	return &Dial{meter: m}
}

// Add counts n bytes more, or fewer.
func (d *Dial) Add(n int) {
	if d == nil {
		return
	}
	if d.own += int64(n); d.own < meterStep && d.own > -meterStep {
		return
	}
	m := d.meter
	now := m.bytes.Add(d.own)
	d.own = 0
	if now >= m.limit.Load()/4 {
		select {
		case m.filling <- struct{}{}:
		default:
		}
	}
	for peak := m.peak.Load(); now > peak && !m.peak.CompareAndSwap(peak, now); peak = m.peak.Load() {
	}
}

// Over says whether n bytes more would be over the limit.
func (d *Dial) Over(n int) bool {
	return d != nil && d.meter.bytes.Load()+d.own+int64(n) > d.meter.limit.Load()
}

// Refuses says whether n bytes more would be over the limit, and notes it.
func (d *Dial) Refuses(n int, now int64) bool {
	if !d.Over(n) {
		return false
	}
	d.meter.refused.Store(now)
	return true
}

// Refused is the Loop time when a loop was refused something last; 0: never.
func (d *Dial) Refused() int64 { return d.meter.refused.Load() }
