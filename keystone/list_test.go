package keystone_test

import (
	"testing"
	"time"

	"mcproxy/keystone"
)

// at gives tokens that expire at so many minutes from now.
func at(now time.Time, minutes ...int) []keystone.ListedToken {
	var tokens []keystone.ListedToken
	for _, m := range minutes {
		tokens = append(tokens, keystone.ListedToken{ID: "t", Expires: now.Add(time.Duration(m) * time.Minute)})
	}
	return tokens
}

// every gives tokens that expire each minute of from..to.
func every(now time.Time, from, to int) []keystone.ListedToken {
	var minutes []int
	for m := from; m < to; m++ {
		minutes = append(minutes, m)
	}
	return at(now, minutes...)
}

func TestReport(t *testing.T) {
	now := time.Date(2015, 6, 1, 12, 0, 0, 0, time.UTC)
	const each = 100 // bytes of a token
	for _, tt := range []struct {
		name    string
		tokens  []keystone.ListedToken
		limit   int64
		expired int
		hour    int     // issued in the last hour
		growth  float64 // tokens an hour
		full    time.Duration
	}{
		// Issued each minute for an hour: one leaves for each that comes.
		{"steady", every(now, 0, 61), 10_000, 1, 60, 60, -1},
		{"steady, and nearly full", every(now, 0, 61), 5_000, 1, 60, 60, 0},
		// Issued each minute for the last 30: none leaves for the next 30, and 60 tokens are the most that there will be.
		{"filling", every(now, 30, 61), 4_500, 0, 31, 62, 13 * time.Minute},
		{"filling, and it fits", every(now, 30, 61), 10_000, 0, 31, 62, -1},
		// None came for long: the rate is that of then.
		{"over", every(now, -120, -60), 10_000, 60, 0, 61, -1},
		{"empty", nil, 10_000, 0, 0, 0, -1},
		{"one", at(now, 30), 10_000, 0, 1, 3600, 99 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := keystone.Report(tt.tokens, each*len(tt.tokens), now, time.Hour, tt.limit)
			if r.Tokens != len(tt.tokens) || r.Expired != tt.expired || r.IssuedHour != tt.hour {
				t.Errorf("%d tokens, %d expired, %d in the last hour; want %d, %d, %d", r.Tokens, r.Expired, r.IssuedHour, len(tt.tokens), tt.expired, tt.hour)
			}
			if r.Growth < tt.growth-0.6 || r.Growth > tt.growth+0.6 {
				t.Errorf("growth %v, want %v", r.Growth, tt.growth)
			}
			switch left := r.FullAt.Sub(now); {
			case tt.full < 0 && !r.FullAt.IsZero():
				t.Errorf("full in %v, want never", left)
			case tt.full >= 0 && (r.FullAt.IsZero() || left < tt.full || left > tt.full+time.Minute):
				t.Errorf("full at %v, in %v; want in %v", r.FullAt, left, tt.full)
			}
		})
	}
}

func TestTokenListOfOthers(t *testing.T) {
	pair := func(items ...any) *keystone.List { return &keystone.List{Items: items} }
	for _, tt := range []struct {
		name string
		data any
		want string
	}{
		{"a number", int64(5), "this is no token list but a number"},
		{"a dictionary", &keystone.Dict{}, "this is no token list but a dictionary of 0"},
		{"an object", &keystone.CachedValue{Payload: &keystone.Object{Class: keystone.Class{Module: "m", Name: "N"}}}, "this is no token list but a m.N"},
		{"a list of texts", pair(keystone.Text("a")), "this is no token list: entry 1 is no pair of an id and a time but a text"},
		{"a triple", pair(pair(nil, nil, nil)), "this is no token list: entry 1 is no pair of an id and a time but a list of 3"},
		{"a pair of numbers", pair(pair(int64(1), nil)), "this is no token list: entry 1 is a pair of a number and None"},
		{"no time", pair(pair(keystone.Text("a"), keystone.Bytes("noon"))), `this is no token list: entry 1 has the time "noon"`},
	} {
		if _, err := (keystone.Value{Data: tt.data}).TokenList(); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
