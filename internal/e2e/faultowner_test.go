//go:build !race

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	ownKeys   = 16                                    // of each kind, of each owner
	ownWithin = failingTimeout + 100*time.Millisecond // told, and judged where nothing else runs: a hungry machine takes longer

	// ownLimit is judged elsewhere: four deadlines, and less than the time for which a link says nothing. Who waits without a deadline waits longer.
	ownLimit     = 4 * failingTimeout
	longOwnValue = 20_000 // bytes
)

// An owner is a client whose keys nobody else writes. So it knows what each may hold: what it wrote last, whatever it was told of that,
// or nothing. Keys that begin with "bad" belong on a backend that is broken; all others must be there, always.
type owner struct {
	*findings
	ep   endpoint
	name string
	conn *client
	rng  *rand.Rand
	last map[string]string // what was written to a key last; "" for deleted
	sure map[string]bool   // that was confirmed
	tell bool              // failures are told as errors, not as misses

	noneBroken bool          // it has no keys on a broken backend
	patience   time.Duration // for an answer that must come

	written       int // values, so that each is another
	asked, failed int
	batches, over int           // how many there were, and took longer than ownWithin
	longest       time.Duration // from a batch of requests to its last answer, less what the machine took
}

// step is one request and how its answer is judged.
type step struct {
	request string
	judge   func() error
}

// work sends batches of requests until stop is closed, or something is so wrong that nothing can follow.
func (o *owner) work(stop <-chan struct{}) {
	defer o.conn.Close()
	for {
		select {
		case <-stop:
			return
		default:
		}
		if err := o.batch(); err != nil {
			o.add("%s: %v", o.name, err)
			return
		}
	}
}

// batch sends some requests at once, at most one for a key, and judges their answers and how long they took.
func (o *owner) batch() error {
	var steps []step
	used := map[string]bool{}
	for range 1 + o.rng.IntN(8) {
		kind := "good"
		if !o.noneBroken && o.rng.IntN(2) == 0 {
			kind = "bad"
		}
		key := fmt.Sprintf("%s-%s-%d", kind, o.name, o.rng.IntN(ownKeys))
		if used[key] {
			continue
		}
		used[key] = true
		switch o.rng.IntN(6) {
		case 0, 1:
			steps = append(steps, o.store(key))
		case 2:
			steps = append(steps, o.remove(key))
		default:
			steps = append(steps, o.read(key))
		}
	}
	if len(steps) == 0 {
		return nil
	}
	var request bytes.Buffer
	for _, s := range steps {
		request.WriteString(s.request)
	}
	start := time.Now()
	if _, err := o.conn.Write(request.Bytes()); err != nil {
		return err
	}
	for _, s := range steps {
		o.asked++
		if err := s.judge(); err != nil {
			return fmt.Errorf("%.60q: %w", s.request, err)
		}
	}
	took := time.Since(start) - lag.since(start)
	o.longest = max(o.longest, took)
	o.batches++
	if took > ownWithin {
		o.over++
	}
	limit := ownLimit
	if *marginFlag < failingMargin {
		limit = failingTimeout + *marginFlag
	}
	if took > limit && !o.noneBroken {
		o.add("%s: %d answers took %v, the machine's delays taken off, more than %v", o.name, len(steps), took, limit)
	}
	return nil
}

func broken(key string) bool { return strings.HasPrefix(key, "bad") }

func (o *owner) line() (string, error) {
	u, err := o.conn.unit(time.Now().Add(o.patience))
	return string(u), err
}

// isFailure says whether an answer is what a failure is told as.
func (o *owner) isFailure(answer, miss string) bool {
	if o.tell {
		return strings.HasPrefix(answer, "SERVER_ERROR ")
	}
	return answer == miss
}

func (o *owner) store(key string) step {
	o.written++
	value := fmt.Sprintf("%s:%d:", key, o.written)
	if length := o.rng.IntN(40); length == 0 {
		value += strings.Repeat("x", longOwnValue)
	} else {
		value += strings.Repeat("y", length*10)
	}
	o.last[key], o.sure[key] = value, false
	return step{fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(value), value), func() error {
		answer, err := o.line()
		switch {
		case err != nil:
			return err
		case answer == "STORED\r\n":
			o.sure[key] = true
		case broken(key) && o.isFailure(answer, "NOT_STORED\r\n"):
			o.failed++
		default:
			return fmt.Errorf("answered with %.100q", answer)
		}
		return nil
	}}
}

func (o *owner) remove(key string) step {
	had := o.last[key] != ""
	o.last[key], o.sure[key] = "", false
	return step{fmt.Sprintf("delete %s\r\n", key), func() error {
		answer, err := o.line()
		switch {
		case err != nil:
			return err
		case answer == "DELETED\r\n" && had, answer == "NOT_FOUND\r\n" && (!had || broken(key)):
		case broken(key) && o.isFailure(answer, "NOT_FOUND\r\n"):
			o.failed++
		default:
			return fmt.Errorf("answered with %.100q", answer)
		}
		return nil
	}}
}

func (o *owner) read(key string) step {
	want := o.last[key]
	return step{fmt.Sprintf("get %s\r\n", key), func() error {
		answer, err := o.line()
		if err != nil {
			return err
		}
		if value, ok := strings.CutPrefix(answer, fmt.Sprintf("VALUE %s 0 %d\r\n", key, len(want))); ok && want != "" {
			value = strings.TrimSuffix(value, "\r\n")
			if broken(key) {
				value = cleaned(value)
			}
			if value != want {
				return fmt.Errorf("found %.100q, and %.100q was written last", value, want)
			}
			if answer, err = o.line(); err != nil {
				return err
			}
			if answer == "END\r\n" {
				return nil
			}
		}
		switch {
		case answer == "END\r\n" && (broken(key) || want == ""):
			if want != "" {
				o.failed++
			}
		case broken(key) && o.tell && o.isFailure(answer, ""):
			o.failed++
		default:
			return fmt.Errorf("answered with %.100q, and %.100q was written last", answer, want)
		}
		return nil
	}}
}

// cleaned is what a value was before a link garbled it.
func cleaned(value string) string {
	return strings.Map(func(r rune) rune { return r &^ garbled }, latin(value))
}

// latin makes each byte a rune.
func latin(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// settle reads every key of a broken backend when that is well again, until each is answered with what was written last, or, if that was
// not confirmed, a miss. A write that was confirmed must be there: nothing has thrown it out.
func (o *owner) settle() {
	conn, err := o.ep.connect()
	if err != nil {
		o.add("%s: %v", o.name, err)
		return
	}
	defer conn.Close()
	o.conn = conn
	for key, want := range o.last {
		if !broken(key) {
			continue
		}
		for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if _, err := fmt.Fprint(conn, "get "+key+"\r\n"); err != nil {
				o.add("%s: %v", o.name, err)
				return
			}
			hits := 0
			answer, err := o.line()
			for ; err == nil && strings.HasPrefix(answer, "VALUE "); answer, err = o.line() {
				hits++
				if want == "" || !strings.HasSuffix(answer, "\r\n"+want+"\r\n") {
					o.add("%s: in the end %.100q, and %.100q was written last", key, answer, want)
				}
			}
			if err != nil {
				o.add("%s: %v", o.name, err)
				return
			}
			if hits > 0 || !o.sure[key] && answer == "END\r\n" {
				break
			}
			if time.Since(start) > answerTimeout {
				o.add("%s: %q, and %.100q was confirmed", key, answer, want)
				break
			}
		}
	}
}
