package e2e

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// unit is one answer as it came: a line, and the data block that a VALUE or VA line announces, CRLFs included.
type unit []byte

// cutUnit gives the answer that begins b, or nil while it is incomplete.
func cutUnit(b []byte) (unit, error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, nil
	}
	size, ok, err := announced(b[:i+1])
	if err != nil || !ok {
		return unit(b[: i+1 : i+1]), err
	}
	n := i + 1 + size + 2
	if len(b) < n {
		return nil, nil
	}
	if string(b[n-2:n]) != "\r\n" {
		return nil, fmt.Errorf("the data block of %q does not end in CRLF: %q", b[:i+1], b[n-2:n])
	}
	return unit(b[:n:n]), nil
}

// announced is the length of the data block that a line announces.
func announced(line []byte) (size int, ok bool, err error) {
	var token []byte
	fields := bytes.Split(bytes.TrimRight(line, "\r\n"), []byte(" "))
	switch {
	case len(fields) >= 4 && string(fields[0]) == "VALUE":
		token = fields[3]
	case len(fields) >= 2 && string(fields[0]) == "VA":
		token = fields[1]
	default:
		return 0, false, nil
	}
	size, err = strconv.Atoi(string(token))
	if err != nil || size < 0 || size > 64<<20 {
		return 0, false, fmt.Errorf("no length in the line %q", line)
	}
	return size, true, nil
}

// units cuts a whole answer.
func units(b []byte) ([]unit, error) {
	var list []unit
	for len(b) > 0 {
		u, err := cutUnit(b)
		if err != nil {
			return list, err
		}
		if u == nil {
			return list, fmt.Errorf("an answer ends in its middle: %s", quote(b))
		}
		list, b = append(list, u), b[len(u):]
	}
	return list, nil
}

// line is the unit's first line without its CRLF.
func (u unit) line() []byte {
	i := bytes.IndexByte(u, '\n')
	return bytes.TrimSuffix(u[:i], []byte("\r"))
}

// data is what follows the first line.
func (u unit) data() []byte { return u[bytes.IndexByte(u, '\n')+1:] }

// matcher compares the proxy's answers with memcached's own. Both are the same bytes but for what two servers cannot
// have in common, and that is compared as far as it goes:
//   - cas numbers are counted by each server for itself: each of one side stands for one of the other;
//   - seconds (ttl, since the last access) may differ by the time that lies between the two servers' clocks;
//   - the version is the backend's or the proxy's.
type matcher struct {
	perKey  bool // several servers behind the proxy: one number may stand for several, of different keys
	splits  bool // the proxy splits values: me, and h, speak of what stands on the home server, which the proxy has read before
	drilled bool // and rewrites them all the time

	direct map[uniqueID]uint64 // the direct side's number for the proxy's
	proxy  map[uniqueID]uint64 // and back

	// last is each side's newest number of each key: what a stream's later cas commands compare with.
	last map[string][2]uint64
}

type uniqueID struct {
	key    string // "" unless perKey
	unique uint64
}

// clockSlack is how far two servers' seconds may lie apart: each counts whole ones, and a slow test lies between.
const clockSlack = 5

func newMatcher(perKey bool) *matcher {
	return &matcher{perKey: perKey, direct: map[uniqueID]uint64{}, proxy: map[uniqueID]uint64{}, last: map[string][2]uint64{}}
}

// compare says how got, the proxy's answers, differ from want, memcached's.
func (m *matcher) compare(got, want []byte) error {
	gotUnits, gotErr := units(got)
	wantUnits, wantErr := units(want)
	for i := range min(len(gotUnits), len(wantUnits)) {
		if err := m.compareUnit(gotUnits[i], wantUnits[i]); err != nil {
			return fmt.Errorf("answer %d of %d: %w\n   got %s\n  want %s", i+1, len(wantUnits), err,
				quoteUnits(gotUnits, i), quoteUnits(wantUnits, i))
		}
	}
	n := min(len(gotUnits), len(wantUnits))
	switch {
	case len(gotUnits) != len(wantUnits):
		return fmt.Errorf("%d answers (%v), want %d (%v)\n   got %s\n  want %s", len(gotUnits), gotErr, len(wantUnits), wantErr,
			quoteUnits(gotUnits, n), quoteUnits(wantUnits, n))
	case gotErr != nil || wantErr != nil:
		return fmt.Errorf("broken answers: got %v, want %v", gotErr, wantErr)
	}
	return nil
}

// quoteUnits quotes the unit at i and its neighbours.
func quoteUnits(list []unit, i int) string {
	var b []byte
	for j := max(0, i-1); j < min(len(list), i+2); j++ {
		if j == i {
			b = append(b, "▶"...)
		}
		b = append(b, quote(list[j])...)
		b = append(b, ' ')
	}
	return string(b)
}

func (m *matcher) compareUnit(got, want unit) error {
	gotFields, wantFields := bytes.Split(got.line(), []byte(" ")), bytes.Split(want.line(), []byte(" "))
	if string(gotFields[0]) == "VERSION" && string(wantFields[0]) == "VERSION" && len(gotFields) == len(wantFields) {
		return nil
	}
	if m.splits && string(gotFields[0]) == "EX" && strings.HasPrefix(string(want), nonNumeric) {
		return nil // ma of a large item: 1.6.18 looks at the cas number first, but not if the item is in several pieces
	}
	if len(gotFields) != len(wantFields) || !bytes.Equal(got.data(), want.data()) {
		return errDifferent
	}
	kind := string(wantFields[0])
	for i := range wantFields {
		if err := m.compareField(kind, i, gotFields, wantFields); err != nil {
			return err
		}
	}
	return nil
}

var errDifferent = fmt.Errorf("not the same")

// compareField compares one field of a line. Cas numbers are looked at also when they are the same on both sides.
func (m *matcher) compareField(kind string, i int, gotFields, wantFields [][]byte) error {
	got, want := string(gotFields[i]), string(wantFields[i])
	switch {
	case kind == "VALUE" && i == 4 && len(wantFields) == 5:
		return m.sameUnique(string(wantFields[1]), got, want)
	case kind == "ME" && i == 1 && m.splits:
		return nil // the item that took its place may have come by another spelling of the key
	case kind == "ME" && i > 1:
		return m.compareDebug(string(wantFields[1]), got, want)
	case (kind == "HD" || kind == "VA") && i > 0 && got[:min(1, len(got))] == want[:min(1, len(want))]:
		switch want[:1] {
		case "c":
			return m.sameUnique(metaKey(wantFields), got[1:], want[1:])
		case "t", "l":
			return sameSeconds(got[1:], want[1:])
		case "h":
			if m.splits {
				return nil
			}
		}
	}
	return sameBytes(got, want)
}

func sameBytes(got, want string) error {
	if got != want {
		return errDifferent
	}
	return nil
}

// compareDebug compares a field of an ME line, "name=value".
func (m *matcher) compareDebug(key, got, want string) error {
	for _, name := range []string{"cas=", "exp=", "la="} {
		if len(got) > len(name) && len(want) > len(name) && got[:len(name)] == name && want[:len(name)] == name {
			if name == "cas=" && m.drilled {
				return nil // the manifest's own, which no client knows the value by
			}
			if name == "cas=" {
				return m.sameUnique(key, got[4:], want[4:])
			}
			return sameSeconds(got[len(name):], want[len(name):])
		}
	}
	if name, _, _ := strings.Cut(want, "="); m.splits && strings.HasPrefix(got, name+"=") {
		return nil // cls, size, fetch
	}
	return sameBytes(got, want)
}

func sameSeconds(got, want string) error {
	if got == want {
		return nil
	}
	a, err1 := strconv.ParseInt(got, 10, 64)
	b, err2 := strconv.ParseInt(want, 10, 64)
	if err1 != nil || err2 != nil || (a < 0) != (b < 0) || a-b > clockSlack || b-a > clockSlack {
		return errDifferent
	}
	return nil
}

// metaKey is the key in a meta answer that was asked for it (flag k), or "".
func metaKey(fields [][]byte) string {
	for _, f := range fields[1:] {
		if len(f) > 1 && f[0] == 'k' {
			return string(f[1:])
		}
	}
	return ""
}

// sameUnique checks that the two cas numbers stand for each other wherever they appear, and keeps them.
func (m *matcher) sameUnique(key, got, want string) error {
	a, err1 := strconv.ParseUint(got, 10, 64)
	b, err2 := strconv.ParseUint(want, 10, 64)
	if err1 != nil || err2 != nil {
		return errDifferent
	}
	if key != "" {
		m.last[key] = [2]uint64{a, b}
	}
	if m.perKey && key == "" {
		return nil // which server counted is not known
	}
	if !m.perKey {
		key = ""
	}
	x, known := m.direct[uniqueID{key, a}]
	y, knownBack := m.proxy[uniqueID{key, b}]
	if known && x != b || knownBack && y != a {
		return fmt.Errorf("cas %d, want the number that stood for %d before (%d; %d stood for %d)", a, b, y, a, x)
	}
	m.direct[uniqueID{key, a}], m.proxy[uniqueID{key, b}] = b, a
	return nil
}
