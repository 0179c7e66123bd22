package top

import (
	"context"

	"mcproxy/admin"
)

// Data is what a proxy tells of itself at one moment.
type Data struct {
	Status  *admin.Status       `json:"status"`   // as /api/status
	HotKeys *admin.HotKeyReport `json:"hot_keys"` // as /api/hotkeys
}

// A Fetch asks the proxy.
type Fetch func(ctx context.Context) (*Data, error)

// uneven is the skew from which on a load is called uneven: the busiest backend's over the mean.
const uneven = 1.25

// isUneven says whether a pool's load is.
func isUneven(p *admin.PoolStatus) bool { return p.Skew.Bytes >= uneven && len(p.Backends) > 1 }
