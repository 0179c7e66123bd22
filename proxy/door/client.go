package door

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// AddressOf gives the address that a client comes from; it is not valid for one that comes by a unix socket.
func AddressOf(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr).Unmap()
	}
	return netip.Addr{}
}

// NameOf is what people are told of where a client comes from: its address without the port, or "unix".
func NameOf(from netip.Addr) string {
	if !from.IsValid() {
		return "unix"
	}
	return from.String()
}
