package workload

import (
	"testing"
	"time"
)

// BenchmarkNext makes operations and their bytes, as a worker does for each.
func BenchmarkNext(b *testing.B) {
	for _, bb := range []struct {
		name   string
		change func(*Options)
	}{
		{"uniform", func(*Options) {}},
		{"zipf", func(o *Options) { o.KeyDist = "zipf" }},
		{"hot-swap", func(o *Options) { o.KeyDist = "hot-swap" }},
		{"etc", func(o *Options) { o.KeyDist, o.KeySize, o.ValueSize = "zipf", "etc", "etc" }},
		{"meta", func(o *Options) { o.Meta = true }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			opts := Default()
			bb.change(&opts)
			l, err := New(&opts)
			if err != nil {
				b.Fatal(err)
			}
			s, _ := l.Stream(0)
			var o Op
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				o.Reset()
				s.Next(&o, 0)
				out = o.Append(out[:0], opts.Meta)
			}
		})
	}
}

// BenchmarkVerify stamps a value, and reads it back.
func BenchmarkVerify(b *testing.B) {
	c := &checker{verifier: newVerifier(1, time.Unix(0, 0)), writer: 3}
	o := &Op{Key: []byte("mcb:000000004711"), seq: 123456}
	var value []byte
	b.ReportAllocs()
	for b.Loop() {
		value = c.compose(value[:0], o, 300)
		if _, ok := parseStamp(value); !ok {
			b.Fatal("not whole")
		}
	}
}
