package split_test

import (
	"testing"

	"mcproxy/split"
)

func TestReadLine(t *testing.T) {
	for _, tt := range []struct {
		line string
		want split.Line
		ok   bool
	}{
		{"VA 10 kkey t-1 f7 c5", split.Line{Flags: 7, Unique: 5, Seconds: -1}, true},
		{"VA 10 kkey t100 f3642017935 c18446744073709551615", split.Line{Flags: split.ReservedFlags, Unique: 1<<64 - 1, Seconds: 100}, true},
		{"VA 10 kkey t1 f0 c5", split.Line{Unique: 5, Seconds: 1}, false},
		{"VA 10 kkey t4294967295 f0 c5", split.Line{Unique: 5, Seconds: 4294967295}, true},
		{"VA 10 kkey t-1 f0 c5 X W", split.Line{Unique: 5, Seconds: -1, Won: true}, false},
		{"VA 10 kkey t-1 f0 c5 Z X", split.Line{Unique: 5, Seconds: -1}, false},
		{"VA 10 kkey t-1 f0 c5 Z", split.Line{Unique: 5, Seconds: -1}, false},
		{"VA 10 ka2V5 b t-1 f0 c5", split.Line{Unique: 5, Seconds: -1}, false},
		{"VA 10 kW t-1 f0 c5", split.Line{Unique: 5, Seconds: -1}, true}, // a key that looks like a flag is none
		{"VA 10", split.Line{}, false},
		{"", split.Line{}, false},
	} {
		if got, ok := split.ReadLine([]byte(tt.line)); got != tt.want || ok != tt.ok {
			t.Errorf("ReadLine(%q) = %+v, %v; want %+v, %v", tt.line, got, ok, tt.want, tt.ok)
		}
	}
}
