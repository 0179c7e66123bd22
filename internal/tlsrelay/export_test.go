package tlsrelay

import "time"

// SetGrace changes how long a peer may take to read what is left.
func (g *Group) SetGrace(d time.Duration) { g.grace = d }
