package workload

import (
	"strings"
	"testing"
	"time"
)

// TestStamps: a value of any length and any key is whole as it was written, and not when a byte of it is another, or missing.
func TestStamps(t *testing.T) {
	c := &checker{verifier: newVerifier(1, time.Now()), writer: 12}
	for _, keyLen := range []int{1, 9, 40, 250} {
		for size := range 1200 {
			o := &Op{Key: []byte(strings.Repeat("k", keyLen)), seq: int64(size * size)}
			value := c.compose(nil, o, size)
			if len(value) < size || len(value) > size && size > keyLen+80 {
				t.Fatalf("a value of %d bytes for a key of %d has %d", size, keyLen, len(value))
			}
			got, ok := parseStamp(value)
			if !ok || string(got.run) != c.run || got.writer != 12 || got.seq != o.seq || string(got.key) != string(o.Key) {
				t.Fatalf("a value of %d bytes for a key of %d reads %+v, %v: %q", size, keyLen, got, ok, value)
			}
			if size%97 > 0 {
				continue
			}
			for i := range value {
				value[i] ^= 1
				if _, ok := parseStamp(value); ok {
					t.Fatalf("byte %d of %q was changed, and the value passes", i, value)
				}
				value[i] ^= 1
			}
			if _, ok := parseStamp(value[:len(value)-1]); ok {
				t.Fatalf("%q was cut, and passes", value)
			}
		}
	}
}
