package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Bounds of what a size option may say, in bytes.
const (
	maxKeyLen    = 250       // memcached's own limit
	maxValueSize = 256 << 20 // far past any item limit in use
)

// A sizePicker draws lengths in bytes.
type sizePicker interface {
	pick(r *rand.Rand) int
	// largest is the greatest length that pick may give.
	largest() int
}

// fixedSize is always the same.
type fixedSize int

func (f fixedSize) pick(*rand.Rand) int { return int(f) }
func (f fixedSize) largest() int        { return int(f) }

// uniformSize draws from..to, both ends included.
type uniformSize struct{ from, to int }

func (u uniformSize) pick(r *rand.Rand) int { return u.from + r.IntN(u.to-u.from+1) }
func (u uniformSize) largest() int          { return u.to }

// weightedSizes draws one of several pickers by weight.
type weightedSizes struct {
	sizes []sizePicker
	upTo  []float64 // sums of the weights; the last is 1
}

func newWeightedSizes(sizes []sizePicker, weights []float64) weightedSizes {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	w := weightedSizes{sizes: sizes}
	so := 0.0
	for _, weight := range weights {
		so += weight / sum
		w.upTo = append(w.upTo, so)
	}
	w.upTo[len(w.upTo)-1] = 1
	return w
}

func (w weightedSizes) pick(r *rand.Rand) int {
	u, i := r.Float64(), 0
	for u >= w.upTo[i] {
		i++
	}
	return w.sizes[i].pick(r)
}

func (w weightedSizes) largest() int {
	most := 0
	for _, size := range w.sizes {
		most = max(most, size.largest())
	}
	return most
}

// etcKeys draws the key lengths of Facebook's ETC pool: the generalized extreme value distribution that Atikoglu et al.
// fitted in "Workload analysis of a large-scale key-value store", SIGMETRICS 2012, table 5.
type etcKeys struct{}

func (etcKeys) pick(r *rand.Rand) int {
	const location, scale, shape = 30.7984, 8.20449, 0.078688
	x := location + scale*(math.Pow(-math.Log(positive(r)), -shape)-1)/shape
	return min(max(int(x), 1), maxKeyLen)
}

func (etcKeys) largest() int { return maxKeyLen }

// etcValues draws the value lengths of the same pool: those up to 14 bytes by a table, as they follow no law, and the rest by
// a generalized Pareto distribution. The tail, endless in theory, is cut at what fits an item of 1 MiB.
type etcValues struct{}

// etcSmall has the share of the values of each length from 0 to 14 bytes, in hundred thousandths.
var etcSmall = [...]int{536, 47, 17820, 9239, 18, 2740, 65, 606, 23, 837, 837, 8989, 92, 326, 1980}

const etcLargest = 1<<20 - 1024

func (etcValues) pick(r *rand.Rand) int {
	u := r.IntN(100_000)
	for size, share := range etcSmall {
		if u < share {
			return size
		}
		u -= share
	}
	const location, scale, shape = 15, 214.476, 0.348238
	x := location + scale*(math.Pow(positive(r), -shape)-1)/shape
	return int(min(x, etcLargest))
}

func (etcValues) largest() int { return etcLargest }

// positive draws from (0, 1].
func positive(r *rand.Rand) float64 { return 1 - r.Float64() }

// The bytes of big items.
const (
	bigFrom = 100 << 10
	bigTo   = 4 << 20
)

// parseSizes reads what --value-size takes:
//
//	100              always 100 bytes
//	10-1KiB          uniform, both ends included
//	100:9,4KiB-8KiB:1  one of several, by weight
//	etc              Facebook's ETC pool
//	big:0.05         5 % of 100 KiB to 4 MiB, the rest of 100 bytes; big:0.05:SIZES for another rest
func parseSizes(text string, most int) (sizePicker, error) {
	switch {
	case text == "etc":
		return etcValues{}, nil
	case strings.HasPrefix(text, "big:"):
		return parseBig(strings.TrimPrefix(text, "big:"), most)
	}
	parts := strings.Split(text, ",")
	if len(parts) == 1 && !strings.Contains(text, ":") {
		return parseRange(text, most)
	}
	var sizes []sizePicker
	var weights []float64
	for _, part := range parts {
		rangeText, weightText, found := strings.Cut(part, ":")
		weight := 1.0
		if found {
			var err error
			if weight, err = strconv.ParseFloat(weightText, 64); err != nil || !(weight > 0) || math.IsInf(weight, 0) {
				return nil, fmt.Errorf("size %q: the weight after : must be a number over 0", part)
			}
		}
		size, err := parseRange(rangeText, most)
		if err != nil {
			return nil, err
		}
		sizes, weights = append(sizes, size), append(weights, weight)
	}
	return newWeightedSizes(sizes, weights), nil
}

func parseBig(text string, most int) (sizePicker, error) {
	shareText, restText, found := strings.Cut(text, ":")
	share, err := strconv.ParseFloat(shareText, 64)
	if err != nil || !(share >= 0 && share <= 1) {
		return nil, fmt.Errorf("size big:%s: the share of big items must be a number from 0 to 1", text)
	}
	if !found {
		restText = "100"
	}
	rest, err := parseSizes(restText, most)
	if err != nil {
		return nil, err
	}
	return newWeightedSizes([]sizePicker{uniformSize{bigFrom, bigTo}, rest}, []float64{share, 1 - share}), nil
}

// parseRange reads one size or two with a dash between.
func parseRange(text string, most int) (sizePicker, error) {
	fromText, toText, isRange := strings.Cut(text, "-")
	from, err := parseBytes(fromText)
	to := from
	if err == nil && isRange {
		to, err = parseBytes(toText)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("size %q: %w", text, err)
	case from > to:
		return nil, fmt.Errorf("size %q: goes down", text)
	case to > most:
		return nil, fmt.Errorf("size %q: at most %d bytes", text, most)
	case from == to:
		return fixedSize(from), nil
	}
	return uniformSize{from, to}, nil
}

// parseBytes reads a number of bytes, with or without a unit (B, KB, KiB, MB, MiB).
func parseBytes(text string) (int, error) {
	digits := strings.TrimRight(text, "BKMibkm")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number of bytes", text)
	}
	unit := 1
	switch strings.ToLower(text[len(digits):]) {
	case "", "b":
	case "k", "kib":
		unit = 1 << 10
	case "kb":
		unit = 1000
	case "m", "mib":
		unit = 1 << 20
	case "mb":
		unit = 1_000_000
	default:
		return 0, fmt.Errorf("%q: the unit must be B, KB, KiB, MB or MiB", text)
	}
	if n > maxValueSize/unit {
		return 0, fmt.Errorf("%q is over %d MiB", text, maxValueSize>>20)
	}
	return n * unit, nil
}
