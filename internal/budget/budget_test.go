package budget_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mcproxy/internal/budget"
	"mcproxy/internal/epoll"
	"mcproxy/internal/simnet"
)

// purses gives so many loops access to a budget.
func purses(net *simnet.Net, b *budget.Budget, n int) (list []*budget.Purse, loops []*epoll.Loop) {
	for range n {
		loop := net.NewLoop()
		loops = append(loops, loop)
		list = append(list, budget.NewPurse(b, loop))
	}
	return list, loops
}

// TestBudgetFirstCome has claims of two loops wait. They are granted in their order: the small one that would fit does not pass
// the large one before it, and is not held up by what waits behind it.
func TestBudgetFirstCome(t *testing.T) {
	net := simnet.New(1)
	b := budget.New(10, int64(time.Second))
	p, _ := purses(net, b, 2)
	var order []string
	claim := func(name string, i, n int) *budget.Claim {
		c, ok := p[i].Claim(n, func(granted bool) {
			if !granted {
				name += " in vain"
			}
			order = append(order, name)
		})
		if ok {
			order = append(order, name+" at once")
		}
		return c
	}
	first := claim("first", 0, 6)
	large := claim("large", 1, 8)
	small := claim("small", 0, 2)
	huge := claim("huge", 1, 1000) // as large as the budget
	if f := b.Figures(); f.Bytes != 6 || f.Waiting != 3 || f.Waits != 3 {
		t.Errorf("while they wait: %+v", f)
	}
	if _, ok := p[0].Try(1); ok {
		t.Error("Try passed those who wait")
	}
	first.Drop()
	first.Drop() // twice is once
	net.Run(100 * time.Millisecond)
	if want := []string{"first at once", "large", "small"}; !slices.Equal(order, want) {
		t.Errorf("granted: %q, want %q", order, want)
	}
	large.Shrink(3)
	net.Run(100 * time.Millisecond)
	if f := b.Figures(); f.Bytes != 5 || f.Waiting != 1 {
		t.Errorf("after Shrink: %+v", f)
	}
	large.Drop()
	small.Drop()
	net.Run(100 * time.Millisecond)
	if f := b.Figures(); order[len(order)-1] != "huge" || f.Bytes != 10 || f.Peak != 10 {
		t.Errorf("a claim over the limit: %q, %+v", order, f)
	}
	huge.Drop()
	if f := b.Figures(); f.Bytes != 0 || f.Expired != 0 {
		t.Errorf("at the end: %+v", f)
	}
}

// TestBudgetExpires lets a claim wait in vain. Who waited behind it is served then.
func TestBudgetExpires(t *testing.T) {
	net := simnet.New(1)
	b := budget.New(10, int64(time.Second))
	p, loops := purses(net, b, 2)
	if _, ok := p[0].Claim(9, nil); !ok {
		t.Fatal("the first claim waits")
	}
	var told []bool
	p[1].Claim(5, func(granted bool) { told = append(told, granted) })
	dropped, _ := p[1].Claim(5, func(bool) { t.Error("a claim that was dropped is told") })
	net.After(500*time.Millisecond, func() {
		loops[0].Post(func() {
			p[0].Claim(1, func(granted bool) { told = append(told, granted) })
		})
	})
	net.Run(900 * time.Millisecond)
	dropped.Drop()
	if len(told) > 0 {
		t.Fatalf("told %v before the time is over", told)
	}
	net.Run(300 * time.Millisecond)
	if f := b.Figures(); !slices.Equal(told, []bool{false, true}) || f.Expired != 1 || f.Bytes != 10 || f.Waiting != 0 {
		t.Errorf("told %v, want false and true; %+v", told, f)
	}
}

// TestBudgetBounds has three loops claim, shrink and drop at random. Never is more held than the limit, and every claim is told once.
func TestBudgetBounds(t *testing.T) {
	const limit, claims = 100, 3000
	net := simnet.New(7)
	b := budget.New(limit, int64(50*time.Millisecond))
	p, loops := purses(net, b, 3)
	rnd := rand.New(rand.NewPCG(7, 7))
	told, granted, held := 0, 0, 0
	for i := range claims {
		at := time.Duration(rnd.Int64N(int64(10 * time.Second)))
		n, stays, k := 1+rnd.IntN(limit), time.Duration(rnd.Int64N(int64(10*time.Millisecond))), i%len(p)
		net.After(at, func() {
			loops[k].Post(func() {
				var c *budget.Claim
				begin := func(ok bool) {
					told++
					if !ok {
						return
					}
					granted++
					held += n
					if f := b.Figures(); held > limit || f.Bytes > limit || f.Peak > limit {
						t.Fatalf("%d bytes are held, %+v", held, f)
					}
					net.After(stays, func() {
						loops[k].Post(func() {
							held -= n
							c.Drop()
						})
					})
				}
				var ok bool
				if c, ok = p[k].Claim(n, begin); ok {
					begin(true)
				}
			})
		})
	}
	net.Run(20 * time.Second)
	f := b.Figures()
	if told != claims || f.Bytes != 0 || f.Waiting != 0 || uint64(claims-granted) != f.Expired {
		t.Errorf("%d of %d claims were told, %d granted; %+v", told, claims, granted, f)
	}
	if f.Waits < claims/10 || f.Expired == 0 {
		t.Errorf("too little waiting to prove anything: %+v", f)
	}
}

// TestBudgetFilling is about the word that a quarter is in use: one, however many claims say so, and none below.
func TestBudgetFilling(t *testing.T) {
	b := budget.New(1000, int64(time.Second))
	p := budget.NewPurse(b, simnet.New(1).NewLoop())
	filling := func() bool {
		select {
		case <-b.Filling():
			return true
		default:
			return false
		}
	}
	small, _ := p.Try(249)
	if filling() {
		t.Error("249 of 1000 bytes are said to be a quarter")
	}
	for range 3 {
		if _, ok := p.Try(1); !ok {
			t.Fatal("no room for one byte")
		}
	}
	if !filling() || filling() {
		t.Error("no word, or more than one, that a quarter is in use")
	}
	small.Drop()
	if _, ok := p.Try(100); !ok || filling() {
		t.Error("103 of 1000 bytes are said to be a quarter")
	}
}
