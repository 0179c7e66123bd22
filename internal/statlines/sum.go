package statlines

import (
	"bytes"
	"strconv"
	"strings"
)

// A Sum adds up the `stats` of several memcached, name by name, in the order of the first one's lines. What cannot be
// added is told by one backend for all, as statRules says.
type Sum struct {
	names  []string
	values map[string]string
}

// statRules name the figures that are no sums; the others are, if they are numbers, and the first backend's text if not.
// The figures are those of memcached's doc/protocol.txt, "General-purpose statistics".
var statRules = map[string]func(a, b float64) float64{
	"pid":                     first,
	"pointer_size":            least,
	"uptime":                  least, // since when all have counted
	"time":                    most,
	"accepting_conns":         least,
	"hash_power_level":        most,
	"hash_is_expanding":       most,
	"slab_reassign_running":   most,
	"lru_crawler_running":     most,
	"time_since_server_start": least,
}

func first(a, _ float64) float64 { return a }
func least(a, b float64) float64 { return min(a, b) }
func most(a, b float64) float64  { return max(a, b) }

// Add takes one backend's raw answer.
func (s *Sum) Add(raw []byte) {
	if s.values == nil {
		s.values = make(map[string]string)
	}
	for line := range bytes.Lines(raw) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimRight(string(line), "\r\n"), "STAT "), " ")
		if !ok {
			continue
		}
		old, known := s.values[name]
		if !known {
			s.names = append(s.names, name)
			s.values[name] = value
			continue
		}
		s.values[name] = combine(name, old, value)
	}
}

func combine(name, a, b string) string {
	if name == "version" {
		return OlderVersion(a, b)
	}
	if rule, ok := statRules[name]; ok {
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(b, 64)
		if errX != nil || errY != nil || rule(x, y) == x {
			return a
		}
		return b
	}
	if x, errX := strconv.ParseUint(a, 10, 64); errX == nil {
		if y, errY := strconv.ParseUint(b, 10, 64); errY == nil {
			return strconv.FormatUint(x+y, 10)
		}
	}
	if x, errX := strconv.ParseFloat(a, 64); errX == nil { // rusage_user, rusage_system: seconds
		if y, errY := strconv.ParseFloat(b, 64); errY == nil {
			return strconv.FormatFloat(x+y, 'f', 6, 64)
		}
	}
	return a
}

// OlderVersion gives the lower of two versions ("1.6.18"); what is no number counts as 0.
func OlderVersion(a, b string) string {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y int
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		switch {
		case x < y:
			return a
		case y < x:
			return b
		}
	}
	return a
}

// AppendLines appends the sums as STAT lines.
func (s *Sum) AppendLines(dst []byte) []byte {
	for _, name := range s.names {
		dst = append(dst, "STAT "...)
		dst = append(dst, name...)
		dst = append(dst, ' ')
		dst = append(dst, s.values[name]...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}
