package pool

import (
	"fmt"
	"net"

	"mcproxy/backend"
	"mcproxy/internal/secrets"
	"mcproxy/internal/tlsrelay"
)

// TLSConfig says how the conns to a pool's backends are encrypted. The files are PEM.
type TLSConfig struct {
	Enabled    bool
	CA         string // authorities for the backends' certificates; "": the system's
	Cert, Key  string // that the proxy shows; "": none
	ServerName string // that each backend's certificate must be for; "": its address's host
}

// proofs are what a pool's conns to its backends need, read from files.
type proofs struct {
	identity *secrets.Identity // nil: no TLS
	login    *secrets.Login    // nil: none
}

func readProofs(cfg *Config) (p proofs, err error) {
	if c := &cfg.TLS; c.Enabled {
		if p.identity, err = secrets.LoadClient(secrets.PEM{Cert: c.Cert, Key: c.Key, CA: c.CA}); err != nil {
			return proofs{}, fmt.Errorf("pool %s: tls: %w", cfg.Name, err)
		}
	}
	if cfg.AuthFile != "" {
		if p.login, err = secrets.LoadLogin(cfg.AuthFile); err != nil {
			return proofs{}, fmt.Errorf("pool %s: auth_file: %w", cfg.Name, err)
		}
	}
	return p, nil
}

// ReadFiles reads the files that a configuration names, and says what is wrong with them.
func (c *Config) ReadFiles() error {
	_, err := readProofs(c)
	return err
}

// Equip has the backends live by the pool's configuration from now on: their limits, and how conns to them are opened. relays are for those with TLS.
func (s *Shared) Equip(relays *tlsrelay.Group) {
	for i, b := range s.Backends {
		b.SetOptions(s.Config.Backend)
		if s.proofs == (proofs{}) {
			b.SetTransport(nil)
			continue
		}
		b.SetTransport(&backend.Transport{
			TLS: s.proofs.identity, ServerName: s.Config.serverName(i), Relays: relays, Login: s.proofs.login,
		})
	}
}

// serverName is what the certificate of the i-th backend must be for.
func (c *Config) serverName(i int) string {
	if c.TLS.ServerName != "" {
		return c.TLS.ServerName
	}
	host, _, err := net.SplitHostPort(c.Backends[i].Address)
	if err != nil {
		return "" // of a socket's path; the handshake fails, as config has said
	}
	return host
}

// Secrets are the files that the pool's conns are opened with, if there are any.
func (s *Shared) Secrets() (all []secrets.Refresher) {
	if s.proofs.identity != nil {
		all = append(all, s.proofs.identity)
	}
	if s.proofs.login != nil {
		all = append(all, s.proofs.login)
	}
	return all
}

// Identity is what the proxy shows to the backends; nil without TLS.
func (s *Shared) Identity() *secrets.Identity { return s.proofs.identity }
