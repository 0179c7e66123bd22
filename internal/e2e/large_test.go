package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// TestLargeAnswersToSlowReader has a client ask for large and small values in one go and read the answers slowly, a few bytes or many at a
// time: some answers leave at once, of some the kernel takes a part, and all must arrive whole and in their order.
func TestLargeAnswersToSlowReader(t *testing.T) {
	s := startService(t, 2)
	random := rand.New(rand.NewPCG(seed(t), 1))
	sizes := []int{0, 1, 5000, 16 << 10, 16<<10 - 40, 64 << 10, 65 << 10, 200_000, 256 << 10, 700_000}
	values := make([][]byte, len(sizes))
	setter := s.dial(t)
	for i, n := range sizes {
		values[i] = make([]byte, n)
		for j := range values[i] {
			values[i][j] = byte('a' + random.IntN(26))
		}
		if _, err := fmt.Fprintf(setter, "set large:%d 7 0 %d\r\n%s\r\n", i, n, values[i]); err != nil {
			t.Fatal(err)
		}
		if err := setter.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			t.Fatal(err)
		}
		var stored [8]byte
		if _, err := io.ReadFull(setter, stored[:]); err != nil || string(stored[:]) != "STORED\r\n" {
			t.Fatalf("set of %d bytes: %q, %v", n, stored[:], err)
		}
	}
	for round := range 6 {
		c := s.dial(t)
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			if err := tcp.SetReadBuffer(64 << 10 << round); err != nil {
				t.Fatal(err)
			}
		}
		var ask, want bytes.Buffer
		for range 40 {
			i := random.IntN(len(sizes))
			fmt.Fprintf(&ask, "get large:%d\r\n", i)
			fmt.Fprintf(&want, "VALUE large:%d 7 %d\r\n%s\r\nEND\r\n", i, sizes[i], values[i])
		}
		if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(ask.Bytes()); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 0, want.Len())
		buf := make([]byte, 1<<20)
		for len(got) < want.Len() {
			n, err := c.Read(buf[:1+random.IntN(8<<10<<random.IntN(8))])
			if err != nil {
				t.Fatalf("round %d: after %d bytes of %d: %v", round, len(got), want.Len(), err)
			}
			got = append(got, buf[:n]...)
			if !bytes.HasPrefix(want.Bytes(), got) {
				t.Fatalf("round %d: another answer after %d bytes", round, len(got)-n)
			}
		}
	}
}
