package proxy

import (
	"fmt"

	"go.uber.org/zap"

	"mcproxy/internal/secrets"
	"mcproxy/proxy/door"
)

// secrets are the files that listeners and pools prove themselves and others with.
func (t *tables) secrets() (all []secrets.Refresher) {
	for _, a := range t.acceptors {
		all = append(all, a.Door.Load().Secrets()...)
	}
	for _, p := range t.pools {
		all = append(all, p.Secrets()...)
	}
	return all
}

// filesTold is told of changes of those files.
func (s *Server) filesTold(files []string, err error) {
	if err != nil {
		s.log.Warn("files have changed and are of no use: what they held before stays in force", zap.Strings("files", files), zap.Error(err))
		return
	}
	s.log.Info("files have changed, and are in force", zap.Strings("files", files))
}

// readDoors reads the files of the listeners, and those of the pools that former has too. What pools have anew they have read.
func (t *tables) readDoors() error {
	for i := range t.cfg.Listeners {
		d, err := door.New(&t.cfg.Listeners[i].Door)
		if err != nil {
			return fmt.Errorf("listener %s: %w", t.cfg.Listeners[i].Address, err)
		}
		t.doors = append(t.doors, d)
	}
	for _, p := range t.pools {
		if err := p.Config.ReadFiles(); err != nil {
			return err
		}
	}
	return nil
}

// openDoors has the listeners ask of their clients what t says.
func (t *tables) openDoors() {
	for i, a := range t.acceptors {
		a.Door.Store(t.doors[i])
	}
}

// ReadFiles reads the certificates, keys and files of users that a configuration names, and says what is wrong with them.
func (c *Config) ReadFiles() error {
	if err := (&tables{cfg: *c}).readDoors(); err != nil {
		return err
	}
	for i := range c.Pools {
		if err := c.Pools[i].ReadFiles(); err != nil {
			return err
		}
	}
	return nil
}
