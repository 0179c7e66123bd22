package buffer_test

import (
	"bytes"
	"testing"

	"mcproxy/internal/buffer"
)

func TestGetGivesRoom(t *testing.T) {
	p := &buffer.Pool{Limit: 1 << 20}
	for _, n := range []int{0, 1, 511, 512, 513, 4096, 1<<20 - 1, 1 << 22, 1<<22 + 1} {
		b := p.Get(n)
		if len(b) != 0 || cap(b) < n {
			t.Errorf("Get(%d): len %d cap %d", n, len(b), cap(b))
		}
		p.Put(b)
	}
}

func TestPutRecycles(t *testing.T) {
	p := &buffer.Pool{Limit: 1 << 20}
	b := append(p.Get(1000), 'x')
	p.Put(b)
	c := p.Get(1000)
	if len(c) != 0 || &c[:1][0] != &b[0] {
		t.Error("a slice put back was not given out again")
	}
}

func TestLimitIsKept(t *testing.T) {
	p := &buffer.Pool{Limit: 10_000}
	for range 20 {
		p.Put(make([]byte, 0, 4096))
	}
	if kept := p.Trim(); kept > 10_000 || kept == 0 {
		t.Errorf("kept %d bytes, want 1..10000", kept)
	}
}

func TestGrowKeepsContent(t *testing.T) {
	p := &buffer.Pool{Limit: 1 << 20}
	var b, want []byte
	for i := range 3000 {
		part := bytes.Repeat([]byte{byte(i)}, i%17)
		b = p.Append(b, part)
		want = append(want, part...)
	}
	if !bytes.Equal(b, want) {
		t.Error("content changed while growing")
	}
}

func TestTrimLetsIdleSlicesGo(t *testing.T) {
	p := &buffer.Pool{Limit: 1 << 20}
	held := make([][]byte, 8)
	for i := range held {
		held[i] = p.Get(4096)
	}
	for _, b := range held {
		p.Put(b)
	}
	p.Trim() // from here on nobody takes any
	if kept := p.Trim(); kept != 0 {
		t.Errorf("kept %d bytes that nobody used between two trims, want 0", kept)
	}
}

func TestSteadyUseAllocatesNothing(t *testing.T) {
	p := &buffer.Pool{Limit: 1 << 20}
	data := make([]byte, 700)
	if n := testing.AllocsPerRun(100, func() {
		b := p.Append(p.Get(16), data)
		p.Put(p.Append(b, data))
	}); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}

func TestDroppedCounts(t *testing.T) {
	p := &buffer.Pool{Limit: 5000}
	p.Put(make([]byte, 0, 4096))
	if p.Dropped() != 0 {
		t.Errorf("%d bytes dropped below the limit", p.Dropped())
	}
	p.Put(make([]byte, 0, 4096))  // over the limit
	p.Put(make([]byte, 0, 1<<23)) // over the largest class
	if want := uint64(4096 + 1<<23); p.Dropped() != want {
		t.Errorf("%d bytes dropped, want %d", p.Dropped(), want)
	}
	p.Trim()
	p.Trim() // nobody needed the first
	if want := uint64(2*4096 + 1<<23); p.Dropped() != want {
		t.Errorf("%d bytes dropped after Trim, want %d", p.Dropped(), want)
	}
}
