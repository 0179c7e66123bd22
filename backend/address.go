package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/internal/resolve"
)

// A location is where conns go. Another one, though it be equal, makes the conns old.
type location struct{ epoll.Address }

// firstLookup is how long a name may take to be resolved when a backend is described.
const firstLookup = 500 * time.Millisecond

// unansweredFor is how long other names are not looked up when it was too short.
const unansweredFor = 5 * time.Second

// locate finds out where conns go, as far as that needs no name to be resolved.
func (b *Backend) locate(network, address string) error {
	if network == "unix" {
		b.addr.Store(&location{epoll.Address{Sockaddr: &unix.SockaddrUnix{Name: address}, Family: unix.AF_UNIX}})
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if b.port, err = strconv.Atoi(port); err != nil || b.port < 0 || b.port > 65535 {
		return fmt.Errorf("port %q", port)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		b.host = host
		return nil
	}
	addr, err := locationOf(ip, b.port)
	b.addr.Store(addr)
	return err
}

func locationOf(ip netip.Addr, port int) (*location, error) {
	if ip = ip.Unmap(); ip.Is4() {
		return &location{epoll.Address{Sockaddr: &unix.SockaddrInet4{Port: port, Addr: ip.As4()}, Family: unix.AF_INET}}, nil
	}
	sa := &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		ifi, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, err
		}
		sa.ZoneId = uint32(ifi.Index)
	}
	return &location{epoll.Address{Sockaddr: sa, Family: unix.AF_INET6}}, nil
}

// ip gives an address of a name as a netip.Addr.
func (l *location) ip() netip.Addr {
	switch sa := l.Sockaddr.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr)
	}
	return netip.Addr{}
}

// Named says whether the backend's address is a name, which Resolve looks up.
func (b *Backend) Named() bool { return b.host != "" }

// resolved is the address that the backend's name has; "" if it has no name, or that is not known.
func (b *Backend) resolved() string {
	if l := b.addr.Load(); b.host != "" && l != nil {
		return l.ip().String()
	}
	return ""
}

// relocate has a name that could not be resolved yet have the address that another process knew.
func (b *Backend) relocate(ip string) {
	if b.host == "" || b.addr.Load() != nil {
		return
	}
	if ip, err := netip.ParseAddr(ip); err == nil {
		if l, err := locationOf(ip, b.port); err == nil {
			b.addr.Store(l)
		}
	}
}

// A finding is when a name was looked up, and for how long what was found holds.
type finding struct {
	at    time.Time
	holds time.Duration
}

// unsure says whether the backend's name may stand for something else by now: what was found does not hold any more, or is as old as an interval.
func (b *Backend) unsure(interval time.Duration) bool {
	f := b.found.Load()
	return f == nil || time.Since(f.at) >= min(f.holds, interval)
}

// Resolve looks up the backend's name, and says whether it has another address than before. While the name
// has the present address among others, that stays. Otherwise the backend goes down, its conns are closed, and it comes back as after
// an outage: what stands at the new address is another server. A name that is not found changes nothing.
func (b *Backend) Resolve(ctx context.Context, r *resolve.Resolver) (changed bool, err error) {
	if b.host == "" {
		return false, nil
	}
	ips, holds, err := r.Addresses(ctx, b.host)
	if last := b.found.Load(); err != nil && last != nil {
		holds = last.holds
	}
	b.found.Store(&finding{time.Now(), holds})
	if err != nil {
		return false, err
	}
	if len(ips) == 0 {
		return false, errors.New("the name has no address")
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	present := b.addr.Load()
	if present != nil && slices.Contains(ips, present.ip()) {
		return false, nil
	}
	// Whoever asks, in whatever order the answer comes, takes the same: IPv4 before IPv6, the lowest first.
	first := slices.MinFunc(ips, netip.Addr.Compare)
	addr, err := locationOf(first, b.port)
	if err != nil {
		return false, err
	}
	if present != nil {
		b.transition(StateUp, StateDown, ErrMoved)
	}
	b.addr.Store(addr) // before it is up again, so that nobody uses an old conn then
	b.kick()
	return true, nil
}
