package config

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"mcproxy/pool"
)

// defaultPort is memcached's.
const defaultPort = 11211

// maxSocketPath is what fits into sockaddr_un, without the 0 at its end (unix(7)).
const maxSocketPath = 107

// listenAddress takes "host:port" or "unix:/path" to listen on.
func listenAddress(network, address *string) kind {
	const allowed = `"host:port" such as "127.0.0.1:11210" or "[::1]:11210", or "unix:/path"`
	return kind{allowed, func(r *reader, v value) {
		s, ok := v.data.(string)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		n, a, wrong := parseAddress(s, portRange{0, -1})
		if wrong != "" {
			r.fail(v, "%s %s; write %s", quote(s), wrong, allowed)
			return
		}
		*network, *address = n, a
	}}
}

// adminAddress takes "host:port" for HTTP.
func adminAddress(address *string) kind {
	const allowed = `"host:port" such as "127.0.0.1:9151"`
	return kind{allowed, func(r *reader, v value) {
		s, ok := v.data.(string)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		network, a, wrong := parseAddress(s, portRange{0, -1})
		if network == "unix" {
			wrong = "is a unix socket"
		}
		if wrong != "" {
			r.fail(v, "%s %s; write %s", quote(s), wrong, allowed)
			return
		}
		*address = a
	}}
}

// dnsServer takes "host:port" of a DNS server, without a name: who would look that up?
func dnsServer(address *string) kind {
	const allowed = `an IP address, or one with a port, such as "127.0.0.1:53"`
	return kind{allowed, func(r *reader, v value) {
		s, ok := v.data.(string)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		network, a, wrong := parseAddress(s, portRange{1, 53})
		if host, _, err := net.SplitHostPort(a); wrong == "" && (network == "unix" || err != nil || net.ParseIP(host) == nil) {
			wrong = "is no IP address"
		}
		if wrong != "" {
			r.fail(v, "%s %s; write %s", quote(s), wrong, allowed)
			return
		}
		*address = a
	}}
}

// backendAddress takes "host", "host:port" or "unix:/path" of a memcached.
func backendAddress(network, address *string) kind {
	const allowed = `"host", "host:port" such as "10.0.0.1:11211" or "[fd00::1]:11211", "unix:/path", or "dnssrv+" and a name`
	return kind{allowed, func(r *reader, v value) {
		s, ok := v.data.(string)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		n, a, wrong := parseAddress(s, portRange{1, defaultPort})
		if name, set := strings.CutPrefix(s, srvPrefix); set {
			n, a, wrong = pool.NetworkSRV, name, hostProblem(name)
			if name == "" {
				wrong = "has no name"
			}
		}
		if wrong == "" && strings.HasPrefix(a, ":") {
			wrong = "has no host"
		}
		if wrong != "" {
			r.fail(v, "%s %s; write %s", quote(s), wrong, allowed)
			return
		}
		*network, *address = n, a
	}}
}

// srvPrefix begins the address of a set of backends.
const srvPrefix = "dnssrv+"

// A portRange says which ports an address may have.
type portRange struct {
	least  int
	absent int // the port of an address without one; -1 if it must have one
}

// parseAddress reads s. The host stays as it is written, since rings hash it; wrong completes "%q …".
func parseAddress(s string, ports portRange) (network, address, wrong string) {
	if p, ok := strings.CutPrefix(s, "unix:"); ok {
		return "unix", p, socketProblem(p)
	}
	if s == "" {
		return "tcp", "", "is empty"
	}
	host, port, found := s, "", false
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port, found = s[:i], s[i+1:], true
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
			return "tcp", "", "has no IPv6 address in its brackets"
		}
	} else if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(s); err == nil {
			return "tcp", "", "is an IPv6 address without brackets"
		}
		return "tcp", "", "has more than one colon"
	} else if wrong := hostProblem(host); wrong != "" {
		return "tcp", "", wrong
	}
	n := ports.absent
	if found {
		var ok bool
		if n, ok = parsePort(port); !ok || n < ports.least {
			return "tcp", "", fmt.Sprintf("has port %s, not %d to 65535", quote(port), ports.least)
		}
	} else if n < 0 {
		return "tcp", "", "has no port"
	}
	return "tcp", net.JoinHostPort(host, strconv.Itoa(n)), ""
}

// parsePort reads 0..65535 in plain digits.
func parsePort(s string) (port int, ok bool) {
	if s == "" || len(s) > 5 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= 65535
}

// hostProblem says what is wrong with a host that is no IPv6 address. An empty one, all of the machine's addresses, is fine.
func hostProblem(host string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	switch _, err := netip.ParseAddr(host); {
	case err == nil || host == "":
		return ""
	case strings.Trim(host, "0123456789.") == "":
		return "is no IPv4 address"
	case len(host) > 253:
		return "has a host name of more than 253 bytes"
	case strings.Trim(host, letters) != "" || strings.ContainsFunc(host, func(c rune) bool { return !strings.ContainsRune(letters, c) }):
		return "has a host name with other signs than letters, digits, \"-\", \"_\" and \".\""
	}
	return ""
}

// socketProblem says what is wrong with a socket's path.
func socketProblem(p string) string {
	switch {
	case !strings.HasPrefix(p, "/"):
		return "has no path that begins with \"/\""
	case len(p) > maxSocketPath:
		return fmt.Sprintf("has a path of %d bytes, more than the %d that a socket can have", len(p), maxSocketPath)
	case strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "has a control character"
	case strings.HasSuffix(p, "/"):
		return "has the path of a directory"
	}
	return ""
}

// isLoopback says whether a "host:port" can be reached from this machine alone.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// sameAddress gives one text for each way to write an address.
func sameAddress(network, address string) string {
	if network == pool.NetworkSRV {
		return srvPrefix + strings.ToLower(strings.TrimSuffix(address, "."))
	}
	if network == "unix" {
		return "unix:" + path.Clean(address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(host, ".")), port)
}

// fileMode takes the permissions of a unix socket.
func fileMode(dst *fs.FileMode) kind {
	const allowed = `permissions in octal such as "0660"`
	return kind{allowed, func(r *reader, v value) {
		s, ok := v.data.(string)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		n, err := strconv.ParseUint(s, 8, 32)
		if err != nil || len(s) < 3 || len(s) > 4 || n > 0o777 || n == 0 {
			r.fail(v, "%s are no permissions; write %s", quote(s), allowed)
			return
		}
		*dst = fs.FileMode(n)
	}}
}

// batchDelay takes a duration. "0s" is none, which package proxy calls a negative one.
func batchDelay(dst *time.Duration) kind {
	inner := duration(dst, 0, time.Millisecond)
	return kind{`a duration, 0s to 1ms`, func(r *reader, v value) {
		if inner.read(r, v); v.data == "0s" || v.data == "0" {
			*dst = -1
		}
	}}
}

// orNever takes a duration. "0s" is never, which package proxy calls a negative one.
func orNever(dst *time.Duration, least, most time.Duration) kind {
	inner := duration(dst, least, most)
	return kind{`"0s", or ` + inner.allowed, func(r *reader, v value) {
		if v.data == "0s" || v.data == "0" {
			*dst = -1
			return
		}
		inner.read(r, v)
	}}
}

// keepalive takes a duration. "0s" is none, which package proxy calls a negative one.
func keepalive(dst *time.Duration) kind {
	// TCP_KEEPIDLE takes 1..32,767 whole seconds (tcp(7)).
	inner := duration(dst, 0, 9*time.Hour)
	return kind{`"0s", or a duration of whole seconds, 1s to 9h`, func(r *reader, v value) {
		inner.read(r, v)
		switch {
		case v.data == "0s" || v.data == "0":
			*dst = -1
		case *dst%time.Second != 0:
			r.fail(v, "%s is no whole number of seconds; write a duration such as \"60s\"", quote(v.data.(string)))
			*dst = 0
		}
	}}
}
