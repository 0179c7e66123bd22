package rig

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLinks has a memcached behind a link of 8 Mbit/s send 4 MB, which cannot take less than 4 s, less the bucket; and no namespace
// stays.
func TestLinks(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMachine(t.Context(), "test", t.Output(), self)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	fl, err := m.StartFleetOnLinks(t.Context(), 1, 64, "8mbit", "-I", "4m")
	if errors.Is(err, ErrLinks) {
		if os.Geteuid() == 0 {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	namespace := filepath.Join("/var/run/netns", fl.links[0].namespace)
	if _, err := os.Stat(namespace); err != nil {
		t.Error(err)
	}
	conn, err := net.Dial("tcp", fl.Memcacheds[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const size = 1_000_000
	fmt.Fprintf(conn, "set k 0 0 %d\r\n%s\r\n", size, strings.Repeat("x", size))
	lines := bufio.NewReader(conn)
	if line, err := lines.ReadString('\n'); line != "STORED\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	began := time.Now()
	fmt.Fprint(conn, "get k k k k\r\n")
	for line := ""; line != "END\r\n"; {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 3500*time.Millisecond {
		t.Errorf("4 MB came in %v through a link of 1 MB/s", took)
	}
	fl.Close()
	if _, err := os.Stat(namespace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the namespace is there still: %v", err)
	}
}
