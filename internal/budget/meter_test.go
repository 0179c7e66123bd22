package budget_test

import (
	"sync"
	"testing"
	"time"

	"mcproxy/internal/budget"
)

// TestMeter has loops hold and give back. Each sees its own bytes at once, and others' in steps.
func TestMeter(t *testing.T) {
	b := budget.New(1, int64(time.Second))
	m := b.Whole
	m.SetLimit(1 << 20)
	one, other := budget.NewDial(m), budget.NewDial(m)
	one.Add(1000)
	if one.Over(1<<20-1000) || !one.Over(1<<20-999) {
		t.Error("a loop does not see its own bytes")
	}
	if other.Over(1 << 20) {
		t.Error("a few bytes were told to another loop: each small value would be")
	}
	one.Add(500_000)
	if other.Over(1<<20-501_000) || !other.Over(1<<20-500_999) {
		t.Errorf("another loop does not see them: %+v", m.Figures())
	}
	one.Add(600_000)
	if !other.Over(0) || m.Figures().Peak != 1_101_000 {
		t.Errorf("over the limit: %+v", m.Figures())
	}
	m.SetLimit(2 << 20)
	if other.Over(0) {
		t.Error("over a limit that was raised")
	}
	one.Add(-1_101_000)
	if f := m.Figures(); f.Bytes != 0 || f.Peak != 1_101_000 || f.Limit != 2<<20 || one.Over(2<<20) {
		t.Errorf("at the end: %+v", f)
	}
	var none *budget.Dial
	none.Add(1 << 40)
	if none.Over(1 << 40) {
		t.Error("no dial has a limit")
	}
}

// TestMeterOfManyLoops has loops of their own goroutines hold and give back. In the end nothing is held.
func TestMeterOfManyLoops(t *testing.T) {
	b := budget.New(1, int64(time.Second))
	b.Whole.SetLimit(100 << 20)
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() { // ends by itself
			d := budget.NewDial(b.Whole)
			for i := range 1000 {
				d.Add(100_000 + i)
			}
			for i := range 1000 {
				d.Add(-100_000 - i)
			}
		})
	}
	working.Wait()
	if f := b.Whole.Figures(); f.Bytes != 0 || f.Peak < 100_000*1000 {
		t.Errorf("%+v", f)
	}
	select {
	case <-b.Filling():
	default:
		t.Error("no word that a quarter is in use")
	}
}
