package secrets

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// PEM names the files of one end of TLS.
type PEM struct {
	Cert string // its certificate, and those between that and the authority
	Key  string // the certificate's
	CA   string // whom the other end's certificate must come from; a client without it takes the system's authorities
}

// ErrNoCertificate ends a handshake with a client that shows no certificate where one is demanded.
var ErrNoCertificate = errors.New("the client shows no certificate")

var errNoAuthority = errors.New("no certificate in it")

// An Identity is one end of TLS 1.2 or newer.
type Identity struct {
	files[tls.Config]
	pem PEM
}

// LoadServer reads the identity of a listener. With a CA, clients must show a certificate of it.
func LoadServer(pem PEM) (*Identity, error) { return loadIdentity(pem, demandCertificates) }

// LoadClient reads the identity of who connects. Without Cert it shows none.
func LoadClient(pem PEM) (*Identity, error) {
	// No sessions are resumed: memcached 1.6.18 with ssl_verify_mode=2 hands tickets out and breaks the handshake off when one comes back, as
	// it sets no session id context (SSL_CTX_set_session_id_context(3)).
	return loadIdentity(pem, func(c *tls.Config, authorities *x509.CertPool) { c.RootCAs = authorities })
}

func demandCertificates(c *tls.Config, authorities *x509.CertPool) {
	if authorities == nil {
		return
	}
	// VerifyConnection demands what ClientAuth only verifies, and so that the reason can be told from others; it is called on resumption
	// too.
	c.ClientAuth = tls.VerifyClientCertIfGiven
	c.ClientCAs = authorities
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.VerifiedChains) == 0 {
			return ErrNoCertificate
		}
		return nil
	}
}

func loadIdentity(pem PEM, end func(c *tls.Config, authorities *x509.CertPool)) (*Identity, error) {
	id := &Identity{pem: pem}
	var paths []string
	for _, path := range []string{pem.Cert, pem.Key, pem.CA} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	id.paths = paths
	id.build = func(contents [][]byte) (*tls.Config, error) { return pem.build(contents, end) }
	_, err := id.Refresh(true)
	if err != nil {
		return nil, err
	}
	return id, nil
}

// build makes a configuration of the files' contents.
func (p *PEM) build(contents [][]byte, end func(c *tls.Config, authorities *x509.CertPool)) (*tls.Config, error) {
	// Answers are whole when they come here; small first records would only make more of them.
	c := &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	if p.Cert != "" {
		pair, err := tls.X509KeyPair(contents[0], contents[1])
		if err != nil {
			return nil, fmt.Errorf("%s with %s: %w", p.Cert, p.Key, err)
		}
		c.Certificates = []tls.Certificate{pair}
		contents = contents[2:]
	}
	var authorities *x509.CertPool
	if p.CA != "" {
		authorities = x509.NewCertPool()
		if !authorities.AppendCertsFromPEM(contents[0]) {
			return nil, fmt.Errorf("%s: %w", p.CA, errNoAuthority)
		}
	}
	end(c, authorities)
	return c, nil
}

// Config is for a conn that begins now. It is not to be changed.
func (id *Identity) Config() *tls.Config { return id.value.Load() }

// Expires is when the own certificate does; zero if there is none.
func (id *Identity) Expires() time.Time {
	if certs := id.Config().Certificates; len(certs) > 0 {
		return certs[0].Leaf.NotAfter
	}
	return time.Time{}
}
