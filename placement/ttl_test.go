package placement_test

import (
	"strconv"
	"testing"
	"time"

	"mcproxy/placement"
	"mcproxy/protocol"
)

func TestCapTTL(t *testing.T) {
	soon := strconv.FormatInt(time.Now().Unix()+5, 10)
	tests := []struct{ request, want string }{
		{"set k 1 0 1\r\nx\r\n", "set k 1 10 1\r\nx\r\n"},
		{"set k 1 3 1\r\nx\r\n", "set k 1 3 1\r\nx\r\n"},
		{"set k 1 3600 1\r\nx\r\n", "set k 1 10 1\r\nx\r\n"},
		{"set k 1 -1 1\r\nx\r\n", "set k 1 -1 1\r\nx\r\n"},
		{"set k 1 1000000000 1\r\nx\r\n", "set k 1 1000000000 1\r\nx\r\n"}, // in 2001: expired
		{"set k 1 2000000000 1\r\nx\r\n", "set k 1 10 1\r\nx\r\n"},
		{"set k 1 " + soon + " 1\r\nx\r\n", "set k 1 " + soon + " 1\r\nx\r\n"},
		{"add k 0 0 1\r\nx\r\n", "add k 0 10 1\r\nx\r\n"},
		{"touch k 100\r\n", "touch k 10\r\n"},
		{"gat 100 k\r\n", "gat 10 k\r\n"},
		{"get k\r\n", "get k\r\n"},
		{"delete k\r\n", "delete k\r\n"},
		{"incr k 1\r\n", "incr k 1\r\n"},
		{"ms k 1\r\nx\r\n", "ms k 1 T10\r\nx\r\n"},
		{"ms k 1 F7 T0 c\r\nx\r\n", "ms k 1 F7 T10 c\r\nx\r\n"},
		{"ms k 1 T-1\r\nx\r\n", "ms k 1 T-1\r\nx\r\n"},
		{"ms k 1 T5\r\nx\r\n", "ms k 1 T5\r\nx\r\n"},
		{"mg k v T100 N200\r\n", "mg k v T10 N10\r\n"},
		{"mg k v\r\n", "mg k v\r\n"},
		{"ma k N0 T100\r\n", "ma k N10 T10\r\n"},
		{"md k I T30\r\n", "md k I T10\r\n"},
	}
	for _, tt := range tests {
		var req protocol.Request
		n, err := protocol.ParseRequest([]byte(tt.request), &req)
		if err != nil || n == 0 {
			t.Fatalf("%q does not parse", tt.request)
		}
		if req.ValueLen >= 0 {
			req.TakeValue([]byte(tt.request)[n:])
		}
		placement.CapTTL(&req, 10*time.Second)
		if got := string(protocol.AppendRequest(nil, &req)); got != tt.want {
			t.Errorf("%q is sent as %q, want %q", tt.request, got, tt.want)
		}
	}
}
