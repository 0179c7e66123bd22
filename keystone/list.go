package keystone

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A ListedToken is an entry of a token list.
type ListedToken struct {
	ID      string
	Expires time.Time
}

// isoTimes are how Keystone writes a time.
func isoTimes() []string {
	return []string{"2006-01-02T15:04:05.999999Z", "2006-01-02T15:04:05Z", "2006-01-02T15:04:05.999999", "2006-01-02T15:04:05"}
}

// TokenList gives the entries of a user's token list or of the revocation list: a list of (id, expiry) tuples, within dogpile.cache's
// wrapping or not.
func (v Value) TokenList() ([]ListedToken, error) {
	data := v.Data
	if cached, ok := data.(*CachedValue); ok {
		data = cached.Payload
	}
	list, ok := data.(*List)
	if !ok {
		return nil, fmt.Errorf("this is no token list but %s", what(data))
	}
	tokens := make([]ListedToken, 0, len(list.Items))
	for i, item := range list.Items {
		t, err := listedToken(item)
		if err != nil {
			return nil, fmt.Errorf("this is no token list: entry %d %w", i+1, err)
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func listedToken(item any) (ListedToken, error) {
	pair, ok := item.(*List)
	if !ok || len(pair.Items) != 2 {
		return ListedToken{}, fmt.Errorf("is no pair of an id and a time but %s", what(item))
	}
	id, ok1 := textOf(pair.Items[0])
	text, ok2 := textOf(pair.Items[1])
	if !ok1 || !ok2 {
		return ListedToken{}, fmt.Errorf("is a pair of %s and %s", what(pair.Items[0]), what(pair.Items[1]))
	}
	for _, layout := range isoTimes() {
		if at, err := time.Parse(layout, text); err == nil {
			return ListedToken{ID: id, Expires: at}, nil
		}
	}
	return ListedToken{}, fmt.Errorf("has the time %.40q", text)
}

// what names a type for people.
func what(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case *List:
		return fmt.Sprintf("a list of %d", len(v.Items))
	case *Dict:
		return fmt.Sprintf("a dictionary of %d", len(v.Pairs))
	case *Object:
		return "a " + v.Class.String()
	case *CachedValue:
		return "a cached value"
	case Class:
		return "the class " + v.String()
	case Text, Bytes:
		return "a text"
	}
	return "a number"
}

// A ListReport tells of a token list.
type ListReport struct {
	Tokens      int       `json:"tokens"`
	Bytes       int       `json:"bytes"` // as it is stored
	Expired     int       `json:"expired"`
	FirstIssued time.Time `json:"first_issued,omitzero"` // by their expiry and the lifetime
	LastIssued  time.Time `json:"last_issued,omitzero"`
	FirstExpiry time.Time `json:"first_expiry,omitzero"`
	LastExpiry  time.Time `json:"last_expiry,omitzero"`
	IssuedHour  int       `json:"issued_last_hour"`
	Growth      float64   `json:"tokens_per_hour"` // issued, over the hour before the last one was or as long as there are any
	Steady      int64     `json:"bytes_steady"`    // what the list comes to at that rate, if expired tokens leave it
	FullAt      time.Time `json:"full_at,omitzero"`
	Limit       int64     `json:"limit"` // of bytes
}

// MaxItem is the longest value that a memcached takes under a key of 40 bytes, unless it was told otherwise (-I).
const MaxItem = 1_048_473

// Report looks at a list as it is at now. size is that of the stored value, lifetime that of tokens, and limit the longest value that the servers
// take.
func Report(tokens []ListedToken, size int, now time.Time, lifetime time.Duration, limit int64) ListReport {
	r := ListReport{Tokens: len(tokens), Bytes: size, Limit: limit}
	if len(tokens) == 0 {
		return r
	}
	sorted := slices.SortedFunc(slices.Values(tokens), func(a, b ListedToken) int {
		return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID))
	})
	first, last := sorted[0].Expires, sorted[len(sorted)-1].Expires
	r.FirstExpiry, r.LastExpiry = first, last
	r.FirstIssued, r.LastIssued = first.Add(-lifetime), last.Add(-lifetime)
	recent := 0
	for i := range sorted {
		issued := sorted[i].Expires.Add(-lifetime)
		if !sorted[i].Expires.After(now) {
			r.Expired++
		}
		if issued.After(now.Add(-time.Hour)) && !issued.After(now) {
			r.IssuedHour++
		}
		if issued.After(r.LastIssued.Add(-time.Hour)) {
			recent++
		}
	}
	span := min(time.Hour, max(r.LastIssued.Sub(r.FirstIssued), time.Second))
	r.Growth = float64(recent) * float64(time.Hour) / float64(span)
	each := float64(size) / float64(len(tokens))
	r.Steady = int64(r.Growth * lifetime.Hours() * each)
	r.FullAt = full(sorted[r.Expired:], float64(limit)/each, r.Growth, now, lifetime)
	return r
}

// full gives when a list has room tokens: they come at a rate an hour and stay for their lifetime, and those that are there leave when they
// expire. It is zero if it never does.
func full(sorted []ListedToken, room, rate float64, now time.Time, lifetime time.Duration) time.Time {
	if float64(len(sorted)) >= room {
		return now
	}
	if rate <= 0 {
		return time.Time{}
	}
	const most = 1e5 // hours
	for i := range len(sorted) + 1 {
		// Between two expiries the list only grows; behind the last one, until the first of the new ones expires.
		until := now.Add(lifetime)
		if i < len(sorted) {
			until = sorted[i].Expires
		}
		here := float64(len(sorted) - i)
		at := now.Add(time.Duration(min((room-here)/rate, most) * float64(time.Hour)))
		if !at.After(until) {
			return at
		}
	}
	return time.Time{}
}
