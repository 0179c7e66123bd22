package config

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"mcproxy/protocol"
	"mcproxy/proxy"
	"mcproxy/proxy/door"
)

func listenerOptions(l *proxy.Listener) []option {
	d := &l.Door
	return []option{
		{
			"address", listenAddress(&l.Network, &l.Address), "",
			"Where to listen. Port 0 is any free port; the log tells which.",
		},
		{"mode", fileMode(&l.Mode), `"0660"`, "Permissions of a unix socket."},
		{
			"cert", filePath(&d.Cert), "",
			"PEM file of a certificate, and of those between it and its authority. With it the listener speaks TLS, 1.2 or newer, and nothing else.",
		},
		{"key", filePath(&d.Key), "", "PEM file of the certificate's key."},
		{"client_ca", filePath(&d.ClientCA), "", "PEM file of authorities. Clients must show a certificate of one of them."},
		{
			"handshake_timeout", duration(&d.HandshakeTimeout, 10*time.Millisecond, time.Minute), `"5s"`,
			"For a client's TLS handshake.",
		},
		{
			"max_handshakes", integer(&d.MaxHandshakes, 1, 1_000_000), "1024",
			"TLS handshakes under way at once; further clients wait to be accepted.",
		},
		{
			"auth_file", filePath(&d.AuthFile), "",
			"File of lines \"name:password\", as memcached's (-Y). Clients must log in as one of them first, with memcached's text authentication.",
		},
		{"allow", networks(&d.Allow), "", "Networks that clients may come from. Without it they may come from any. On a unix socket the permissions say who may."},
		{
			"commands", commands(d), `"all"`,
			"What clients may use: \"read\" is get, gets, stats without an argument, me, and mg without the flags that change an item. Any client may use version, verbosity, mn and quit.",
		},
		{"prefixes", prefixes(&d.Prefixes), "[]", "Keys of clients must begin with one of these. Without any, every key will do."},
	}
}

// filePath takes the path of a file, which is not looked at.
func filePath(dst *string) kind {
	return text(dst, `a path that begins with "/"`, func(s string) string {
		switch {
		case !path.IsAbs(s):
			return "does not begin with \"/\""
		case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
			return "has a control character"
		}
		return ""
	})
}

// networks takes a list of networks and addresses.
func networks(dst *[]netip.Prefix) kind {
	const allowed = `a list such as ["10.0.0.0/8", "fd00::/8", "192.168.1.7"]`
	return kind{allowed, func(r *reader, v value) {
		items, ok := v.items()
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		if len(items) == 0 {
			r.fail(v, "the list is empty, so that no client may come; write %s", allowed)
		}
		for _, item := range items {
			s, ok := item.data.(string)
			if !ok {
				r.wrongType(item, `a string such as "10.0.0.0/8"`)
				continue
			}
			p, err := netip.ParsePrefix(s)
			if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
				p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
			}
			switch {
			case err != nil:
				r.fail(item, `%s is no network; write one such as "10.0.0.0/8" or "fd00::/8", or an address`, quote(s))
			case p.Addr().Is4In6():
				r.fail(item, `%s is an IPv4 address in IPv6; write it as IPv4`, quote(s))
			case p != p.Masked():
				r.fail(item, `%s has bits behind its mask; write "%s"`, quote(s), p.Masked())
			default:
				*dst = append(*dst, p)
			}
		}
	}}
}

// verbNames are the words that commands may list.
func verbNames() []string {
	var names []string
	for v := protocol.Refused + 1; int(v) < protocol.Verbs; v++ {
		names = append(names, v.String())
	}
	return names
}

// commands takes what clients of a listener may use.
func commands(d *door.Config) kind {
	const allowed = `"all", "read", or a list such as ["get", "set"] or ["read", "touch"]`
	return kind{allowed, func(r *reader, v value) {
		if s, ok := v.data.(string); ok {
			if s != "all" && s != "read" {
				r.fail(v, "%s is unknown; write %s", quote(s), allowed)
			}
			d.ReadOnly = s == "read"
			return
		}
		items, ok := v.items()
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		if len(items) == 0 {
			r.fail(v, "the list is empty, so that no client may use anything; write %s", allowed)
		}
		names := verbNames()
		for _, item := range items {
			s, ok := item.data.(string)
			i := slices.Index(names, s)
			switch {
			case !ok:
				r.wrongType(item, `a string such as "get"`)
			case s == "read":
				d.ReadOnly = true
			case i < 0:
				r.fail(item, "%s is no command; there are read, %s", quote(s), strings.Join(names, ", "))
			default:
				d.Verbs = append(d.Verbs, protocol.Refused+1+protocol.Verb(i))
			}
		}
	}}
}

// checkDoor checks what the keys of a listener say together.
func checkDoor(r *reader, item value, l *proxy.Listener) {
	d := &l.Door
	pairOfFiles(r, item, d.Cert, d.Key)
	if d.Cert == "" && d.Key == "" {
		for _, name := range []string{"client_ca", "handshake_timeout", "max_handshakes"} {
			if item.has(name) {
				r.fail(item.key(name), "the listener does not speak TLS; write cert and key too, or take the key out")
			}
		}
	}
	if l.Network == "unix" && item.has("allow") {
		r.fail(item.key("allow"), "%s is a unix socket, and clients have no addresses; write mode = \"0600\" or another", quote(l.Address))
	}
	if l.Network == "unix" || isLoopback(l.Address) {
		return
	}
	address := item.key("address")
	switch {
	case d.ClientCA == "" && d.AuthFile == "" && d.Allow == nil:
		r.warn(address, "%s can be reached from other machines; cached values are pickles, and whoever can write to the cache "+
			"can run code in Keystone: listen on 127.0.0.1, [::1] or unix:/path, or write allow, client_ca or auth_file", quote(l.Address))
	case d.AuthFile != "" && d.Cert == "":
		r.warn(item.key("auth_file"), "passwords for %s cross the network in plain text: write cert and key", quote(l.Address))
	}
}

// pairOfFiles checks that cert and key are both there, or neither.
func pairOfFiles(r *reader, at value, cert, key string) {
	for _, k := range []struct{ name, value, other, otherValue string }{{"cert", cert, "key", key}, {"key", key, "cert", cert}} {
		if k.value == "" && k.otherValue != "" && !at.has(k.name) {
			r.fail(at.key(k.other), "there is no %s; write %s = %q too", k.name, k.name, fmt.Sprintf("/etc/mcproxy/%s.pem", k.name))
		}
	}
}
