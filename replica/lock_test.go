package replica_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcproxy/replica"
)

// lockOf is the records of some writes.
func lockOf(ids ...uint64) []byte {
	var b []byte
	for _, id := range ids {
		b = append(b, "\xb7mcr\x04\x00\x00\x00\x00\x00\x00"...)
		b = append(b, byte(id>>8), byte(id))
	}
	return b
}

// behind is records behind a copy.
func behind(ids ...uint64) []byte {
	c := replica.Copy{Unique: 1, Incarnation: 4, Value: []byte("v")}
	return append(c.Append(nil, key), lockOf(ids...)...)
}

func TestWriteStrict(t *testing.T) {
	var many []uint64
	for i := range uint64(replica.MaxLocks) {
		many = append(many, 100+i)
	}
	var rest strings.Builder
	for _, id := range many {
		fmt.Fprint(&rest, " +", id)
	}
	lock := func(value []byte) exchange { return exchange{"lock 0 +9", is(value), 0} }
	home := exchange{"home", ok(done), 0}
	unlock := exchange{"unlock 0 c30 on 7", ok(done), 0}
	for _, c := range []writeCase{
		{name: "cold", view: view(replica.None, 0), hosts: 3, outcome: replica.Acked, talk: []exchange{home}},
		{name: "locked", view: view(replica.Active, 2), hosts: 3, outcome: replica.Acked, talk: []exchange{
			lock(lockOf(9)),
			{"lock 1 +9", is(behind(3, 9, 4)), 0},
			home,
			unlock,
			{"store 1 +3 +4 c30 on 7", ok(done), 0},
		}},
		{name: "behind a copy", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, talk: []exchange{
			lock(behind(9)), home, unlock,
		}},
		{name: "twice", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, talk: []exchange{
			lock(lockOf(9, 5, 9)),
			home,
			{"store 0 +5 c30 on 7", ok(done), 0},
		}},
		{name: "races", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, talk: []exchange{
			{"lock 0 +9", ok(missing), 0},
			lock(behind()),
			{"store 0 +9 c30 on 7", ok(replica.Exists), 0},
			lock(behind(5)),
			{"store 0 +5 +9 c30 on 7", ok(unsent), 0},
			lock(lockOf(5)),
			{"store 0 +5 +9 c30 on 7", ok(done), 0},
			home,
			{"look 0", is(lockOf(9)), 0},
			{"unlock 0 c30 on 7", ok(replica.Exists), 0},
			{"look 0", is([]byte("a copy: the lock was lost")), 0},
			{"unlock 0 c30 on 7", ok(missing), 0},
		}},
		{name: "neither copy nor lock", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, talk: []exchange{
			lock(append([]byte("?"), lockOf(5, 9)...)),
			{"store 0 +9 c30 on 7", ok(replica.Exists), 0},
			lock(append(behind(9), 0xb7)),
			{"store 0 +9 c30 on 7", ok(done), 0},
			home,
			{"look 0", is(lockOf(9, 4)[:25]), 0},
			unlock,
		}},
		{name: "others came since", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, talk: []exchange{
			lock(lockOf(9)),
			home,
			{"unlock 0 c30 on 7", ok(replica.Exists), 0},
			{"look 0", is(lockOf(9, 5)), 0},
			{"store 0 +5 c30 on 7", ok(done), 0},
		}},
		{name: "the conn is gone", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, talk: []exchange{
			lock(behind(9)),
			home,
			{"unlock 0 c30 on 7", ok(unsent), 0},
			{"look 0", is(behind(9)), 0},
			unlock,
		}},
		{name: "others' locks stay", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, talk: []exchange{
			lock(behind(5, 9)),
			home,
			{"store 0 +5 c30 on 7", ok(replica.Exists), 0},
			{"look 0", is(behind(6)), 0},
		}},
		{name: "unchanged", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, talk: []exchange{
			lock(lockOf(9)),
			{"home", ok(unchanged), 0},
			unlock,
		}},
		{name: "no answer: the lock stays", view: view(replica.Active, 1), hosts: 1, outcome: replica.Failed, talk: []exchange{
			lock(lockOf(9)),
			{"home", ok(noAnswer), 0},
		}},
		{name: "a host is away", view: view(replica.Active, 2), hosts: 2, outcome: replica.NotWritten, demote: true, talk: []exchange{
			lock(lockOf(9)),
			{"lock 1 +9", ok(noAnswer), 0},
			unlock,
		}},
		{name: "no answer to the clear", view: view(replica.Active, 1), hosts: 1, outcome: replica.Unconfirmed, demote: true, talk: []exchange{
			lock(lockOf(9)),
			home,
			{"unlock 0 c30 on 7", ok(noAnswer), 0},
		}},
		{name: "as many locks as can be", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, talk: []exchange{
			lock(lockOf(append(many[1:], 9)...)),
			home,
			{"store 0" + strings.TrimPrefix(rest.String(), " +100") + " c30 on 7", ok(done), 0},
		}},
		{name: "more", view: view(replica.Active, 1), hosts: 1, outcome: replica.Acked, crowded: true, talk: []exchange{
			lock(behind(append(many, 9)...)),
			home,
			{"store 0" + rest.String() + " c30 on 7", ok(done), 0},
		}},
		{name: "late and hot by now", view: view(replica.None, 0), hosts: 2, outcome: replica.Acked, talk: []exchange{
			{"home", ok(done), 100},
			{"guard", guardSays(replica.Active, 1), 0},
			{"look 0", is(behind()), 0},
			unlock,
		}},
	} {
		c.mode = replica.Strict
		t.Run(c.name, c.run)
	}
}

// TestWriteRestless: a place that never stands still has the write refused before it is done.
func TestWriteRestless(t *testing.T) {
	r := replica.Rules{Mode: replica.Strict}.WithDefaults()
	var w replica.Write
	w.Start(&r, 9, replica.Target{Hash: target.Hash, Hosts: 1}, view(replica.Active, 1), 50)
	for asks := 0; w.Outcome() == replica.Pending; asks++ {
		a, more := w.Next()
		if !more || asks > 10_000 {
			t.Fatalf("stuck after %d asks", asks)
		}
		ans := is(lockOf(5))
		if a.Do == replica.DoHome {
			t.Fatal("written without a lock")
		}
		if a.Do == replica.DoLockStore {
			ans = ok(replica.Exists)
		}
		w.Answer(&a, &ans, 60)
	}
	if w.Outcome() != replica.NotWritten {
		t.Errorf("outcome %d", w.Outcome())
	}
}

// TestRoll: a lock that was seen a lock's lifetime ago is taken out; but a Roll that has seen too many begins anew.
func TestRoll(t *testing.T) {
	r := replica.Rules{Mode: replica.Strict}.WithDefaults()
	var roll replica.Roll
	v := view(replica.Active, 1)
	v.Until = 1 << 60
	write := func(now int64, there []byte, want string) {
		t.Helper()
		var w replica.Write
		w.Start(&r, 9, replica.Target{Hash: target.Hash, Hosts: 1}, v, now)
		w.Know(&roll)
		for _, ans := range []replica.Answer{is(there), ok(done)} {
			a, _ := w.Next()
			w.Answer(&a, &ans, now)
		}
		if a, _ := w.Next(); inWords(&a) != want {
			t.Errorf("at %v: %q, want %q", time.Duration(now), inWords(&a), want)
		}
	}
	const lifetime = replica.LockTTL * int64(time.Second)
	stays, goes := "store 0 +5 c30 on 7", "unlock 0 c30 on 7"
	write(7, behind(5, 9), stays)
	write(7+lifetime, behind(9, 5), stays)
	write(8+lifetime, behind(5, 9), goes)
	write(8+lifetime, behind(6, 5, 9), "store 0 +6 c30 on 7")
	for id := range uint64(2000) {
		write(8+lifetime, lockOf(9, 1000+id), fmt.Sprint("store 0 +", 1000+id, " c30 on 7"))
	}
	write(8+lifetime, lockOf(5, 9), stays)
	write(9+2*lifetime, lockOf(5, 9), goes)
}
