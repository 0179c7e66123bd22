package statlines_test

import (
	"testing"

	"mcproxy/internal/statlines"
)

func TestRead(t *testing.T) {
	raw := "STAT pid 7\r\nSTAT uptime 100\r\nSTAT time 1700000100\r\nSTAT version 1.6.18\r\nSTAT curr_connections 5\r\nSTAT cmd_get 11\r\nSTAT cmd_set 12\r\n" +
		"STAT limit_maxbytes 67108864\r\nSTAT bytes 123\r\nSTAT curr_items 4\r\nSTAT evictions 9\r\nSTAT rusage_user 0.1\r\nEND\r\n"
	want := statlines.Server{
		Version: "1.6.18", StartTime: 1_700_000_000, Items: 4, Bytes: 123, Limit: 64 << 20, Evictions: 9, Connections: 5, Gets: 11, Sets: 12,
	}
	if got, ok := statlines.Read([]byte(raw)); !ok || got != want {
		t.Errorf("%+v, %v, want %+v", got, ok, want)
	}
	for _, raw := range []string{"", "END\r\n", "ERROR\r\n", "STAT\r\nSTAT \r\nEND\r\n", "STAT bytes x\r\nEND\r\n"} {
		if got, ok := statlines.Read([]byte(raw)); ok {
			t.Errorf("%q: %+v", raw, got)
		}
	}
}

func TestSum(t *testing.T) {
	var s statlines.Sum
	s.Add([]byte("STAT pid 1\r\nSTAT version 1.6.18\r\nSTAT cmd_get 2\r\nSTAT uptime 50\r\nSTAT rusage_user 0.5\r\nEND\r\n"))
	s.Add([]byte("STAT pid 9\r\nSTAT version 1.6.9\r\nSTAT cmd_get 3\r\nSTAT uptime 40\r\nSTAT rusage_user 0.25\r\nSTAT more 1\r\nEND\r\n"))
	want := "STAT pid 1\r\nSTAT version 1.6.9\r\nSTAT cmd_get 5\r\nSTAT uptime 40\r\nSTAT rusage_user 0.750000\r\nSTAT more 1\r\n"
	if got := string(s.AppendLines(nil)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
