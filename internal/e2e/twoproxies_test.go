package e2e

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/split"
)

// TestValuesOfAnotherProxy stores values through one proxy, so that what stands on the server is a manifest or a wrapped value, and
// sends every kind of command through another one that knows nothing of them. Answers, and what both proxies read afterwards,
// are compared with memcached's.
func TestValuesOfAnotherProxy(t *testing.T) {
	if throughMemcached(t) {
		t.Log("values are split by the proxy only: nothing to check")
		return
	}
	var servers []*memcachedtest.Server
	for range 4 {
		servers = append(servers, startMemcached(t))
	}
	p := poolOf(servers...)
	p.Split = pool.SplitConfig{Enabled: true, Threshold: 100, Chunk: 1000}
	one, two, direct := startProxy(t, p).dial(t), startProxy(t, p), endpointOf(startMemcached(t)).dial(t)
	n := 0
	for _, value := range []struct {
		name, data string
		flags      uint32
	}{
		{"wrapped number", "41", split.ReservedFlags},
		{"wrapped text", "some text", split.ReservedFlags},
		{"split number", "41" + strings.Repeat(" ", 400), 3},
		{"split text", strings.Repeat("0123456789", 300), 3},
		{"split text with the reserved flags", strings.Repeat("0123456789", 30), split.ReservedFlags},
		{"plain number", "41", 3},
	} {
		for _, command := range []string{
			"incr K 5", "decr K 50", "incr K 5 noreply", "incr K x", "ma K", "ma K D7 v", "ma K MD v t", "ma K q", "ma K C<cas> v", "ma K T100 t v",
			"append K 0 0 3\r\nend", "prepend K 0 0 5 noreply\r\nbegin", "ms K 3 MA\r\nend", "ms K 3 MP C<cas>\r\nend", "ms K 200 MA\r\n" + strings.Repeat("x", 200),
			"cas K 9 0 3 <cas>\r\nnew", "cas K 9 0 3 99999999\r\nnew", "cas K 9 0 200 <cas>\r\n" + strings.Repeat("y", 200), "cas K 9 0 200 99999999\r\n" + strings.Repeat("y", 200),
			"ms K 3 C<cas> F9\r\nnew", "ms K 3 C99999999 k\r\nnew", "ms K 200 C<cas>\r\n" + strings.Repeat("z", 200), "ms K 3 C99999999 I\r\nnew", "ms K 200 C99999999 I T100\r\n" + strings.Repeat("z", 200),
			"set K 9 0 3\r\nnew", "set K 9 0 200\r\n" + strings.Repeat("y", 200), "add K 9 0 3\r\nnew", "add K 9 0 200\r\n" + strings.Repeat("y", 200),
			"replace K 9 0 3\r\nnew", "ms K 3 MR\r\nnew", "ms K 3 ME\r\nnew",
			"delete K", "md K q", "md K C<cas>", "md K C99999999", "md K I", "md K I T100", "md K I C<cas>", "md K I C99999999",
			"touch K 100", "touch K -1", "gat 100 K", "gat 0 K none", "mg K T100 t", "mg K T100 v t f s", "mg K s f v k", "mg K", "mg K N100 v", "mg K R100 v t", "get K K none",
		} {
			n++
			key := fmt.Sprintf("key%d", n)
			store := fmt.Sprintf("set %s %d 0 %d\r\n%s\r\n", key, value.flags, len(value.data), value.data)
			one.ask(t, store, "STORED\r\n")
			direct.ask(t, store, "STORED\r\n")
			other := two.dial(t)
			request := strings.ReplaceAll(command, "K", key) + "\r\n"
			got := other.says(t, strings.ReplaceAll(request, "<cas>", one.unique(t, key)))
			want := direct.says(t, strings.ReplaceAll(request, "<cas>", direct.unique(t, key)))
			if got != want {
				t.Errorf("%s, %.40q: got %.200q, want %.200q", value.name, command, got, want)
			}
			want = direct.says(t, "get "+key+"\r\n")
			for i, c := range []*client{one, other} {
				if got := c.says(t, "get "+key+"\r\n"); got != want {
					t.Errorf("%s after %.40q, read through proxy %d: got %.200q, want %.200q", value.name, command, i+1, got, want)
				}
			}
			lifetime := "mg " + key + " t v f s\r\n"
			if got, want := other.says(t, lifetime), direct.says(t, lifetime); noSeconds(got) != noSeconds(want) {
				t.Errorf("%s after %.40q: got %.200q, want %.200q", value.name, command, got, want)
			}
			other.Close()
		}
	}
	t.Logf("%d commands", n)
}

// says sends a request and gives the whole answer.
func (c *client) says(t *testing.T, request string) string {
	t.Helper()
	answer, closed, err := c.exchange([]byte(request))
	if err != nil || closed {
		t.Fatalf("%.60q: closed %v, %v", request, closed, err)
	}
	return string(answer)
}

// unique gives a key's cas number.
func (c *client) unique(t *testing.T, key string) string {
	t.Helper()
	line, _, _ := bytes.Cut([]byte(c.says(t, "gets "+key+"\r\n")), []byte("\r\n"))
	return string(line[bytes.LastIndexByte(line, ' ')+1:])
}

// noSeconds takes the number of seconds out of an answer, which may be another in the next second.
func noSeconds(answer string) string {
	return regexp.MustCompile(` t\d+`).ReplaceAllString(answer, " t")
}
