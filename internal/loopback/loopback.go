// Package loopback gives tests addresses for the programs that they start.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Address is HOST:PORT, where nobody listens. The host is one of the sixteen million of 127.0.0.0/8, so that nobody else picks the same before
// the test's program listens, or takes it while that is away; the port is below those that the kernel gives to clients.
func Address(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250), 20000+rand.IntN(12000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free address")
	return ""
}
