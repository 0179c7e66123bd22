package copies_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"mcproxy/internal/memcachedtest"
	"mcproxy/internal/simnet"
	"mcproxy/pool/copies"
)

// long is a lifetime that a copy does not have, and a lock has.
var long = regexp.MustCompile(`\bt(9|1[0-9]|20)\b`)

// TestLockCommands has a memcached, and the simulated one, carry out what locks rely on: that a record gets there whatever stands in a copy's
// place, that it makes every lease void, and that the item then has a lock's lifetime.
func TestLockCommands(t *testing.T) {
	const one, two = "\xb7mcr\x04\x00\x00\x00\x00\x00\x00\x00\x01", "\xb7mcr\x04\x00\x00\x00\x00\x00\x00\x00\x02"
	type talk struct{ say, want string }
	lock := func(id uint64, answers ...string) (all []talk) {
		for i, line := range copies.Lock(id, "r") {
			all = append(all, talk{line, answers[i]})
		}
		return all
	}
	lives := talk{"mg r t\r\n", "HD long\r\n"}
	shows := func(cas int, records ...string) string {
		value := strings.Join(records, "")
		return fmt.Sprintf("VA %d c%d\r\n%s\r\n", len(value), cas, value)
	}
	for _, c := range []struct {
		name  string
		talks [][]talk
	}{
		{"nothing", [][]talk{lock(1, "NS\r\n", "HD\r\n", shows(1, one)), {
			lives,
			{"mg r v c N3\r\n", shows(1, one)}, // no lease
			{"md r C1\r\n", "HD\r\n"},
			{"mg r v\r\n", "EN\r\n"},
		}}},
		{"a lease", [][]talk{{{"mg r v c N3\r\n", "VA 0 c1 W\r\n\r\n"}}, lock(1, "HD\r\n", "NS\r\n", shows(2, one)), {
			lives,
			{"mg r v c N3\r\n", shows(2, one)},
			{"ms r 4 C1 T8\r\nfill\r\n", "EX\r\n"},
			{"md r C1\r\n", "EX\r\n"},
			{"md r C2\r\n", "HD\r\n"},
			{"ms r 4 C1 T8\r\nfill\r\n", "NF\r\n"},
		}}},
		{"a copy", [][]talk{{{"ms r 4 T8 F5\r\ncopy\r\n", "HD\r\n"}}, lock(1, "HD\r\n", "NS\r\n", shows(2, "copy", one)), {
			lives,
			{"mg r v c N3\r\n", shows(2, "copy", one)},
			{"md r C2\r\n", "HD\r\n"},
		}}},
		{"another's lock", [][]talk{lock(1, "NS\r\n", "HD\r\n", shows(1, one)), lock(2, "HD\r\n", "NS\r\n", shows(2, one, two)), {
			{"md r C1\r\n", "EX\r\n"}, // so the first looks again,
			{"mg r v c\r\n", shows(2, one, two)},
			{"ms r 13 C2 T20\r\n" + two + "\r\n", "HD\r\n"}, // and leaves the second's
			lives,
			{"mg r v c\r\n", shows(3, two)},
			{"md r C2\r\n", "EX\r\n"},
			{"md r C3\r\n", "HD\r\n"},
			{"md r C3\r\n", "NF\r\n"},
			{"ms r 13 C3 T20\r\n" + one + "\r\n", "NF\r\n"},
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			real := memcachedtest.Start(t)
			simulated, _ := simnet.New(1).NewServer()
			for _, talks := range c.talks {
				for _, x := range talks {
					_, answer, _ := simulated.Memory.Serve([]byte(x.say))
					got := map[string]string{"memcached": real.Command(strings.TrimSuffix(x.say, "\r\n")), "the simulated one": string(answer)}
					for who, answer := range got {
						if answer = long.ReplaceAllString(answer, "long"); answer != x.want {
							t.Errorf("%s answers %q with %q, want %q", who, x.say, answer, x.want)
						}
					}
				}
			}
		})
	}
}
