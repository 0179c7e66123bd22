// Package limits says how much clients may have under way, and how often they may ask.
package limits

import "cmp"

// Overloaded is what a client is told whose request is refused because of a limit. Nothing has been done then, but for what Answers says.
const Overloaded = "SERVER_ERROR overloaded\r\n"

// Config is the limits of a process. The zero value has the defaults named here.
type Config struct {
	// Bytes is how many bytes the process holds for whole values on their way, both ways, and for answers that clients have not read;
	// 512 MiB. What is over it is refused.
	Bytes int64
	// Requests is how many requests are under way in the process; one more is refused; 65,536. Each worker has an equal share.
	Requests int
	// ClientRequests is how many one conn may have under way; 1,024. ClientBytes is how many bytes of answers may wait for it to read
	// them; 1 MiB. What is over either is not read from the conn until there is room.
	ClientRequests int
	ClientBytes    int

	Each     Rate         // of each client address
	Prefixes []PrefixRate // no two with the same prefix
}

// WithDefaults gives c with its zero fields set.
func (c Config) WithDefaults() Config {
	c.Bytes = cmp.Or(c.Bytes, 512<<20)
	c.Requests = cmp.Or(c.Requests, 65_536)
	c.ClientRequests = cmp.Or(c.ClientRequests, 1024)
	c.ClientBytes = cmp.Or(c.ClientBytes, 1<<20)
	return c
}

// A Limit is one of them, and counts what it refused.
type Limit uint8

// The limits.
const (
	Values   Limit = iota // Config.Bytes, at a value that a client announced
	Answers               // the same, at an answer. A gat may have changed the item's lifetime
	Requests              // Config.Requests
	Address               // Config.Each
	Prefix                // Config.Prefixes
	Count                 // how many there are
)

func (l Limit) String() string {
	return [...]string{"values", "answers", "requests", "address", "prefix"}[l]
}
