package durable

import "sync/atomic"

// A Queue is what one loop has to do when more of a set is safe. Its methods are the loop's, but for Awaited.
type Queue struct {
	Set      *Set
	Patience int64  // nanoseconds after which a thing is done anyway
	Late     uint64 // things done so

	list    []waiting
	awaited atomic.Bool
}

type waiting struct {
	do    func()
	after uint64 // Set.Safe must have come so far
	by    int64
}

// Unsafe says whether something was put into the set that is not safe.
func (q *Queue) Unsafe() bool { return q.Set.Safe() != q.Set.Asked() }

// Add has do called when all that was put so far is safe. It gives by when Release must be called, whatever the set says.
func (q *Queue) Add(now int64, do func()) (by int64) {
	q.awaited.Store(true) // before Asked is read: what becomes safe after that is told
	q.list = append(q.list, waiting{do, q.Set.Asked(), now + q.Patience})
	if !q.Unsafe() { // it became safe in between
		return now
	}
	return now + q.Patience
}

// Awaited says whether Release must be called when more is safe. Any goroutine may ask.
func (q *Queue) Awaited() bool { return q.awaited.Load() }

// Release does what can be done at now, and gives by when it must be called again (0: it need not).
func (q *Queue) Release(now int64) (next int64) {
	safe, n := q.Set.Safe(), 0
	for n < len(q.list) && (q.list[n].after <= safe || q.list[n].by <= now) {
		if q.list[n].after > safe {
			q.Late++
		}
		n++
	}
	ready := q.list[:n:n]
	q.list = q.list[n:]
	for _, w := range ready {
		w.do()
	}
	if len(q.list) == 0 {
		q.list = nil
		q.awaited.Store(false)
		return 0
	}
	return q.list[0].by
}
