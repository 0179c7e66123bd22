package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"mcproxy/internal/discover"
	"mcproxy/proxy"
)

const (
	setTimeout = 2 * time.Second // for all names of sets to be looked up
	setLookout = time.Second     // between looks whether it is time for that
)

// find replaces sets of backends by the backends. Nobody else has d, or its changing is held.
func (d *Daemon) find(ctx context.Context, cfg proxy.Config) (found proxy.Config, missing []string) {
	ctx, cancel := context.WithTimeout(ctx, setTimeout)
	defer cancel()
	found, missing, d.holds = d.finder.Expand(ctx, cfg)
	for _, name := range missing {
		d.log.Warn("the SRV records of a set of backends are not found", zap.String("name", name))
	}
	return found, missing
}

// watchSets is a goroutine: it looks sets of backends up again and again, and goes over to others, until ctx is done.
func (d *Daemon) watchSets(ctx context.Context) {
	tick := time.NewTicker(setLookout)
	defer tick.Stop()
	asked, complete := time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d.changing.Lock()
		cfg, holds := d.file.Proxy, d.holds
		d.changing.Unlock()
		interval := cfg.DNSInterval
		if interval == 0 {
			interval = 30 * time.Second
		}
		if !discover.Sets(&cfg) || complete && time.Since(asked) < min(interval, holds) {
			continue
		}
		asked = time.Now()
		complete = d.lookAtSets(ctx)
	}
}

// lookAtSets has the proxy live by the backends that sets stand for now. It is false if some were not found, or it could not.
func (d *Daemon) lookAtSets(ctx context.Context) bool {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.left {
		return true
	}
	lookup, cancel := context.WithTimeout(ctx, setTimeout)
	defer cancel()
	found, missing, holds := d.finder.Expand(lookup, d.file.Proxy)
	d.holds = holds
	if ctx.Err() != nil || discover.Same(&found, &d.found) {
		return len(missing) == 0
	}
	cfg := found
	cfg.Version, cfg.Workers = d.version, 0
	moves, err := proxy.Compare(d.found, found)
	if err == nil {
		err = d.Server.Reload(ctx, cfg)
	}
	if err != nil {
		d.log.Error("a set of backends has changed, and the proxy cannot follow", zap.Error(err))
		return false
	}
	d.found = found
	d.Reloaded(moves.Moves, nil)
	d.log.Info("a set of backends has changed", zap.Stringers("moves", moves.Moves))
	return len(missing) == 0
}
