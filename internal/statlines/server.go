package statlines

import (
	"bytes"
	"strconv"
)

// A Server is what a memcached says of itself.
type Server struct {
	Version     string
	StartTime   int64  // seconds since 1970, by the server's clock
	Items       uint64 // that it holds
	Bytes       uint64 // that they take
	Limit       uint64 // bytes that they may take
	Evictions   uint64 // items thrown out for others, since its start
	Connections uint64 // open now
	Gets        uint64 // since its start
	Sets        uint64
}

// Read takes a server's whole answer to `stats`. Figures that are not there stay 0; not ok: there is none at all.
func Read(raw []byte) (s Server, ok bool) {
	var now, uptime uint64
	into := map[string]*uint64{
		"time": &now, "uptime": &uptime, "curr_items": &s.Items, "bytes": &s.Bytes, "limit_maxbytes": &s.Limit, "evictions": &s.Evictions,
		"curr_connections": &s.Connections, "cmd_get": &s.Gets, "cmd_set": &s.Sets,
	}
	for line := range bytes.Lines(raw) {
		name, value, found := bytes.Cut(bytes.TrimPrefix(bytes.TrimRight(line, "\r\n"), []byte("STAT ")), []byte(" "))
		if !found {
			continue
		}
		if string(name) == "version" {
			s.Version, ok = string(value), true
		}
		if field := into[string(name)]; field != nil {
			if n, err := strconv.ParseUint(string(value), 10, 64); err == nil {
				*field, ok = n, true
			}
		}
	}
	if now > uptime {
		s.StartTime = int64(now - uptime)
	}
	return s, ok
}
