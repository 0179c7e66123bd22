package tally_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"mcproxy/internal/tally"
)

// sum takes all workers and gives the list as a map.
func sum(t *testing.T, a *tally.Addresses, now time.Duration, workers ...*tally.Clients) map[string]tally.Client {
	t.Helper()
	for _, w := range workers {
		a.Take(w)
	}
	list := a.Sum(int64(now))
	told := make(map[string]tally.Client)
	for i, s := range list {
		if _, twice := told[s.Address]; twice {
			t.Fatalf("%s is told twice", s.Address)
		}
		if (s.Address == tally.Other) != (i == len(list)-1) {
			t.Fatalf("the others are not the last, but at %d of %d", i, len(list))
		}
		told[s.Address] = s.Client
	}
	if len(told) > 51 {
		t.Fatalf("%d addresses are told", len(told))
	}
	return told
}

func TestAddresses(t *testing.T) {
	var a tally.Addresses
	var w1, w2 tally.Clients
	c1, c2 := w1.Join("10.0.0.1"), w2.Join("10.0.0.1")
	c3 := w2.Join("10.0.0.2")
	c1.Requests, c1.Stores, c1.BytesIn, c1.BytesOut = 1, 2, 3, 4
	c2.Requests, c3.Requests = 10, 100
	told := sum(t, &a, time.Second, &w1, &w2)
	if got, want := told["10.0.0.1"], (tally.Client{Conns: 2, Requests: 11, Stores: 2, BytesIn: 3, BytesOut: 4}); got != want {
		t.Errorf("10.0.0.1: %+v, want %+v", got, want)
	}
	if got, want := told["10.0.0.2"], (tally.Client{Conns: 1, Requests: 100}); got != want {
		t.Errorf("10.0.0.2: %+v, want %+v", got, want)
	}
	if got := told[tally.Other]; got != (tally.Client{}) {
		t.Errorf("others: %+v", got)
	}
	w1.Leave(c1)
	if told = sum(t, &a, 2*time.Second, &w1, &w2); told["10.0.0.1"].Conns != 1 || told["10.0.0.1"].Requests != 11 {
		t.Errorf("after a conn's end: %+v", told["10.0.0.1"])
	}
	if total := a.Total(); total.Requests != 111 {
		t.Errorf("the total is %+v", total)
	}
}

// TestAddressesNeverFall has thousands of addresses come and go, and looks at what rates are taken of: nothing that is told falls, and
// all of it together is what was done.
func TestAddressesNeverFall(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var a tally.Addresses
	workers := []*tally.Clients{{}, {}}
	type conn struct {
		w *tally.Clients
		c *tally.Client
	}
	var conns []conn
	before := make(map[string]tally.Client)
	names := make(map[string]bool)
	done := uint64(0)
	for round := range 300 {
		for range 100 {
			w := workers[r.IntN(2)]
			host := r.IntN(6000)
			if r.IntN(2) == 0 { // some are there often, and not the same ones at all times
				host = round/60*100 + r.IntN(100)
			}
			conns = append(conns, conn{w, w.Join(fmt.Sprintf("10.%d.%d.1", host/250, host%250))})
		}
		for range 2000 {
			conns[r.IntN(len(conns))].c.Requests++
			done++
		}
		for len(conns) > 500 {
			i := r.IntN(len(conns))
			conns[i].w.Leave(conns[i].c)
			conns[i] = conns[len(conns)-1]
			conns = conns[:len(conns)-1]
		}
		told := sum(t, &a, time.Duration(round+1)*10*time.Second, workers...)
		for name, c := range told {
			if was, ok := before[name]; ok && c.Requests < was.Requests {
				t.Fatalf("round %d: the requests of %s fell from %d to %d", round, name, was.Requests, c.Requests)
			}
			names[name] = true
		}
		if total := a.Total(); total.Requests != done || total.Conns != len(conns) {
			t.Fatalf("round %d: the total is %d requests and %d conns, want %d and %d", round, total.Requests, total.Conns, done, len(conns))
		}
		before = told
	}
	if len(names) < 60 || len(names) > 51+50*300/60+50 { // 50 minutes: names stay for ten
		t.Errorf("%d names were told in 50 minutes", len(names))
	}
}

// TestClientsAreBounded has more addresses than a worker counts apart.
func TestClientsAreBounded(t *testing.T) {
	var w tally.Clients
	var a tally.Addresses
	for i := range 100_000 {
		c := w.Join(fmt.Sprint("host", i))
		c.Requests++
		w.Leave(c)
	}
	told := sum(t, &a, time.Second, &w)
	all := uint64(0)
	for _, c := range told {
		all += c.Requests
	}
	if all != 100_000 {
		t.Errorf("%d requests are told, want 100,000", all)
	}
	for range 3 { // what has no conn is forgotten, and still counts
		sum(t, &a, time.Minute, &w)
	}
	late := w.Join("late")
	late.Requests = 1_000_000
	if told = sum(t, &a, time.Hour, &w); told["late"].Requests != 1_000_000 {
		t.Errorf("an address that comes when others have been forgotten: %+v", told["late"])
	}
}
