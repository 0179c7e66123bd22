package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"mcproxy/config"
	"mcproxy/proxy"
)

// A Change is what another configuration means for a running proxy.
type Change struct {
	Lines    []string // what is said otherwise, a line for each key
	Moves    []proxy.Move
	Warnings []string
	Refused  []string // what a running proxy cannot change: the configuration needs a new process
}

// Compare says what it means to go over from one configuration to another.
func Compare(before, after *config.File) (*Change, error) {
	keys, err := proxy.Compare(before.Proxy, after.Proxy)
	if err != nil {
		return nil, err
	}
	c := &Change{Lines: config.Diff(before, after), Moves: keys.Moves, Warnings: keys.Warnings}
	refuse := func(key string, before, after any) {
		if before != after {
			c.Refused = append(c.Refused, fmt.Sprintf("%s cannot be changed by a reload, from %v to %v: restart the proxy", key, before, after))
		}
	}
	refuse("proxy.workers", before.Proxy.Workers, after.Proxy.Workers)
	refuse("proxy.journal_dir", before.Proxy.JournalDir, after.Proxy.JournalDir)
	refuse("proxy.dns_server", before.Proxy.DNSServer, after.Proxy.DNSServer)
	refuse("log.format", before.Log.Format, after.Log.Format)
	refuse("admin.address", before.Admin.Address, after.Admin.Address)
	refuse("admin.hosts", strings.Join(before.Admin.Hosts, " "), strings.Join(after.Admin.Hosts, " "))
	refuse("admin.pprof", before.Admin.Pprof, after.Admin.Pprof)
	refuse("admin.native_histograms", before.Admin.NativeHistograms, after.Admin.NativeHistograms)
	return c, nil
}

// String says it in lines.
func (c *Change) String() string {
	var b strings.Builder
	if len(c.Lines) == 0 {
		b.WriteString("nothing is said otherwise\n")
	}
	for _, l := range c.Lines {
		fmt.Fprintln(&b, l)
	}
	for _, m := range c.Moves {
		fmt.Fprintln(&b, m)
	}
	for _, w := range c.Warnings {
		fmt.Fprintln(&b, "warning:", w)
	}
	for _, r := range c.Refused {
		fmt.Fprintln(&b, "refused:", r)
	}
	return b.String()
}

// Reload reads the configuration again and goes over to it. On an error nothing has changed. Either is logged and counted.
func (d *Daemon) Reload(ctx context.Context) (report string, err error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.left {
		return "", errors.New("another process has taken over")
	}
	before := d.file.Log.Level
	d.systemd.reloading()
	change, err := d.reload(ctx)
	d.systemd.ready(statusOf(err))
	if err != nil {
		d.Reloaded(nil, err)
		d.log.Error("the configuration is not reloaded, and nothing has changed", zap.String("config", d.path), zap.Error(err))
		return "", err
	}
	d.Reloaded(change.Moves, nil)
	d.log.follow(before, d.file.Log.Level, func() {
		d.log.Info("the configuration is reloaded", zap.String("config", d.path), zap.Strings("changes", change.Lines),
			zap.Stringers("moves", change.Moves))
	})
	for _, w := range change.Warnings {
		d.log.Warn(w, zap.String("config", d.path))
	}
	warn(d.log.Logger, d.file)
	return change.String(), nil
}

func statusOf(err error) string {
	if err != nil {
		return "the last reload failed; clients are accepted"
	}
	return "clients are accepted"
}

// reload does it. The caller holds changing.
func (d *Daemon) reload(ctx context.Context) (*Change, error) {
	if d.path == "" {
		return nil, errors.New("this proxy has no configuration file to read again")
	}
	f, err := config.Load(d.path)
	if err != nil {
		return nil, err
	}
	change, err := Compare(d.file, f)
	if err != nil {
		return nil, err
	}
	if len(change.Refused) > 0 {
		return nil, errors.New(strings.Join(change.Refused, "\n"))
	}
	found, _ := d.find(ctx, f.Proxy)
	cfg := found
	cfg.Version, cfg.Workers = d.version, 0
	if err := d.Server.Reload(ctx, cfg); err != nil {
		return nil, err
	}
	d.file, d.found = f, found
	return change, nil
}
