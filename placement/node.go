package placement

import (
	"cmp"
	"fmt"
	"net"
	"strconv"

	"mcproxy/ring"
)

// Node describes a backend to a ring. name "" is the address; network is "tcp" (address "host:port") or "unix" (address a path);
// weight 0 is 1.
func Node(name, network, address string, weight int) (ring.Node, error) {
	n := ring.Node{Name: cmp.Or(name, address), Named: name != "", Weight: max(1, weight), Host: address}
	if network != "tcp" { // a path, or the name of a set
		return n, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return n, fmt.Errorf("backend address %q: %w", address, err)
	}
	if n.Port, err = strconv.Atoi(port); err != nil {
		return n, fmt.Errorf("backend address %q: %w", address, err)
	}
	n.Host = host
	return n, nil
}
