package copies

import (
	"mcproxy/protocol"
	"mcproxy/replica"
)

// Lock gives the commands that a write with that number sends for its lock, as they are sent.
func Lock(id uint64, name string) []string {
	r := replica.Rules{Mode: replica.Strict}.WithDefaults()
	var w replica.Write
	w.Start(&r, id, replica.Target{Hosts: 1}, replica.View{Phase: replica.Active, Copies: 1, Until: 1}, 0)
	ask, _ := w.Next()
	var lines []string
	for _, req := range lockRequests(&ask, []byte(name)) {
		lines = append(lines, string(protocol.AppendRequest(nil, req)))
	}
	return lines
}
