package workload

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func drawSizes(sizes sizePicker, n int) []int {
	r := source(11)
	drawn := make([]int, n)
	for i := range drawn {
		drawn[i] = sizes.pick(r)
	}
	slices.Sort(drawn)
	return drawn
}

// TestETCKeyLengths compares quantiles with the inverse of the generalized extreme value distribution, whole bytes.
func TestETCKeyLengths(t *testing.T) {
	const draws = 1_000_000
	drawn := drawSizes(etcKeys{}, draws)
	for _, q := range []float64{0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999} {
		want := math.Floor(30.7984 + 8.20449*(math.Pow(-math.Log(q), -0.078688)-1)/0.078688)
		if got := drawn[int(q*draws)]; math.Abs(float64(got)-want) > 1 {
			t.Errorf("quantile %v = %d bytes, want %.0f", q, got, want)
		}
	}
	if drawn[0] < 1 || drawn[draws-1] > 250 {
		t.Errorf("lengths from %d to %d, want 1 to 250", drawn[0], drawn[draws-1])
	}
}

// TestETCValueLengths compares the share of each small length with the table, and the quantiles of the others with the
// inverse of the generalized Pareto distribution.
func TestETCValueLengths(t *testing.T) {
	const draws = 2_000_000
	drawn := drawSizes(etcValues{}, draws)
	large, found := slices.BinarySearch(drawn, 15)
	if !found {
		t.Fatal("no value of 15 bytes")
	}
	counts := make([]float64, 15)
	for _, size := range drawn[:large] {
		counts[size]++
	}
	table := []float64{
		0.00536, 0.00047, 0.17820, 0.09239, 0.00018, 0.02740, 0.00065, 0.00606, 0.00023, 0.00837, 0.00837, 0.08989, 0.00092, 0.00326, 0.01980,
	}
	for size, p := range table {
		if want, sigma := draws*p, math.Sqrt(draws*p); math.Abs(counts[size]-want) > 5*sigma {
			t.Errorf("%.0f values of %d bytes, want %.0f ± %.0f", counts[size], size, want, 5*sigma)
		}
	}
	rest := drawn[large:]
	for _, q := range []float64{0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999} {
		want := 15 + 214.476*(math.Pow(1-q, -0.348238)-1)/0.348238
		if got := rest[int(q*float64(len(rest)))]; math.Abs(float64(got)-want) > 1+0.03*want {
			t.Errorf("quantile %v of the large ones = %d bytes, want %.0f", q, got, want)
		}
	}
}

func TestParseSizes(t *testing.T) {
	for _, tt := range []struct {
		text     string
		from, to int
		mean     float64
	}{
		{"100", 100, 100, 100},
		{"0", 0, 0, 0},
		{"4KiB", 4096, 4096, 4096},
		{"1MB", 1_000_000, 1_000_000, 1_000_000},
		{"10-20", 10, 20, 15},
		{"10:1,1000:3", 10, 1000, 752.5},
		{"10-20:1,1KiB:1", 10, 1024, 519.5},
		{"big:0", 100, 100, 100},
		{"big:1", 100 << 10, 4 << 20, (100<<10 + 4<<20) / 2},
		{"big:0.05", 100, 4 << 20, 0.95*100 + 0.05*(100<<10+4<<20)/2},
		{"big:0.5:7", 7, 4 << 20, 3.5 + 0.5*(100<<10+4<<20)/2},
	} {
		sizes, err := parseSizes(tt.text, maxValueSize)
		if err != nil {
			t.Errorf("parseSizes(%q): %v", tt.text, err)
			continue
		}
		const draws = 200_000
		drawn := drawSizes(sizes, draws)
		sum := 0.0
		for _, size := range drawn {
			sum += float64(size)
		}
		near := 0.001 * float64(tt.to) // the ends of a range of millions are not met
		if float64(drawn[0]-tt.from) > near || drawn[0] < tt.from || float64(tt.to-drawn[draws-1]) > near || drawn[draws-1] > tt.to {
			t.Errorf("%q: %d to %d bytes, want %d to %d", tt.text, drawn[0], drawn[draws-1], tt.from, tt.to)
		}
		if mean := sum / draws; math.Abs(mean-tt.mean) > 0.02*tt.mean {
			t.Errorf("%q: mean %.1f bytes, want %.1f", tt.text, mean, tt.mean)
		}
		if sizes.largest() != tt.to && !strings.HasPrefix(tt.text, "big:0") {
			t.Errorf("%q: largest() = %d, want %d", tt.text, sizes.largest(), tt.to)
		}
	}
	for _, text := range []string{
		"", "x", "-1", "10-", "20-10", "10:0", "10:-1", "10:x,20:1", "10:NaN", "10:Inf", "1GB", "1TiB", "1KKB", "big:2", "big:", "big:0.1:x", "1000MiB",
	} {
		if sizes, err := parseSizes(text, maxValueSize); err == nil {
			t.Errorf("parseSizes(%q) = %v, want an error", text, sizes)
		}
	}
	if _, err := parseSizes("251", maxKeyLen); err == nil {
		t.Error("a key of 251 bytes passes")
	}
}
