package keybook_test

import (
	"strconv"
	"testing"

	"mcproxy/internal/keybook"
)

func TestSet(t *testing.T) {
	var s keybook.Set
	if s.Has([]byte("a")) {
		t.Error("an empty set has a key")
	}
	for range 2 {
		s.Add([]byte("a"))
	}
	s.Add([]byte("b"))
	s.Remove([]byte("a"))
	if s.Has([]byte("a")) || !s.Has([]byte("b")) {
		t.Errorf("a: %v, b: %v; want only b", s.Has([]byte("a")), s.Has([]byte("b")))
	}
	const most = 1 << 16
	for i := range 2 * most {
		s.Add(strconv.AppendInt(nil, int64(i), 10))
	}
	n := 0
	for i := range 2 * most {
		if s.Has(strconv.AppendInt(nil, int64(i), 10)) {
			n++
		}
	}
	if n < most-1 || n > most {
		t.Errorf("of %d keys it remembers %d, want %d", 2*most, n, most)
	}
}

func TestRewrites(t *testing.T) {
	var r keybook.Rewrites
	a, b := []byte("a"), []byte("b")
	const second = int64(1e9)
	r.Touch(a, 1) // nobody rewrites it
	if !r.Begin(a, 0) || r.Begin(a, 0) || !r.Begin(b, 0) {
		t.Fatal("a key can be rewritten twice at once, or two keys cannot")
	}
	if r.Spoiled(a) {
		t.Error("spoiled by what came before")
	}
	r.Mark(b)
	r.Touch(a, 7)
	r.Touch(a, 9)
	if !r.Spoiled(a) || !r.Spoiled(b) {
		t.Error("not spoiled")
	}
	if exptime, touched := r.End(a, 0, true); !touched || exptime != 9 {
		t.Errorf("End gives %d, %v; want the last lifetime", exptime, touched)
	}
	if _, touched := r.End(a, 0, true); touched {
		t.Error("told twice")
	}
	if !r.Begin(a, 1) {
		t.Error("what is done cannot be done again")
	}
	r.Touch(b, 5)
	if _, touched := r.End(b, second, false); touched {
		t.Error("what was not rewritten needs no touch")
	}
	r.Touch(b, 5) // it is over
	if r.Begin(b, second+second/2) {
		t.Error("tried again at once")
	}
	if !r.Begin(b, 2*second) || r.Spoiled(b) {
		t.Error("never tried again, or spoiled from the start")
	}
}

// TestRewritesAreBounded has very many fail: they are forgotten, those under way are not.
func TestRewritesAreBounded(t *testing.T) {
	var r keybook.Rewrites
	r.Begin([]byte("under way"), 0)
	for i := range 10_000 {
		key := strconv.AppendInt(nil, int64(i), 10)
		if !r.Begin(key, int64(i)) {
			t.Fatalf("key %d cannot be rewritten", i)
		}
		r.End(key, int64(i), false)
	}
	if r.Begin([]byte("under way"), 20_000) {
		t.Error("what is under way was forgotten")
	}
	n := 0
	for r.Begin(append([]byte("more"), strconv.Itoa(n)...), 20_000) {
		if n++; n > 5000 {
			break
		}
	}
	if n > 4096 {
		t.Errorf("%d keys are rewritten at once", n)
	}
}
