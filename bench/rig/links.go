package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// ErrLinks says that this process may not make network namespaces.
var ErrLinks = errors.New("servers behind links of their own take root, and ip and tc of iproute2")

// A link is a network namespace with one server, and the virtual cable to it, whose ends send no faster than the link's rate.
type link struct {
	namespace, cable  string
	host, server, net string // addresses; of 198.18.0.0/15, which is for benchmarks (RFC 2544)
}

func newLink(number int) link {
	pid := os.Getpid()
	return link{
		namespace: fmt.Sprintf("mcproxy-bench-%d-%d", pid, number), cable: fmt.Sprintf("mcb%d-%d", pid%1_000_000, number),
		host: fmt.Sprintf("198.18.%d.1", number), server: fmt.Sprintf("198.18.%d.2", number), net: "/30",
	}
}

// up makes the link. tbf is a token bucket: a bucket of 128 KiB is less than a millisecond's worth, and 4 MiB wait where TCP would
// otherwise see losses.
func (l link) up(ctx context.Context, rate string) error {
	far := l.cable + "p"
	inside := []string{"ip", "netns", "exec", l.namespace}
	bucket := []string{"root", "tbf", "rate", rate, "burst", "128kb", "limit", "4mb"}
	for _, argv := range [][]string{
		{"ip", "netns", "add", l.namespace},
		{"ip", "link", "add", l.cable, "type", "veth", "peer", "name", far, "netns", l.namespace},
		{"ip", "address", "add", l.host + l.net, "dev", l.cable},
		{"ip", "link", "set", l.cable, "up"},
		append(inside, "ip", "address", "add", l.server+l.net, "dev", far),
		append(inside, "ip", "link", "set", far, "up"),
		append([]string{"tc", "qdisc", "add", "dev", l.cable}, bucket...),
		append(append(inside[:4:4], "tc", "qdisc", "add", "dev", far), bucket...),
	} {
		if _, err := Output(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

// down removes the link; the cable goes with the namespace.
func (l link) down() error {
	_, err := Output(context.Background(), "ip", "netns", "delete", l.namespace)
	return err
}

// StartFleetOnLinks is StartFleet, but each memcached has a network of its own: it and the proxies send each other at most rate, a
// rate of tc such as "1gbit". ErrLinks: this process may not.
func (m *Machine) StartFleetOnLinks(ctx context.Context, n, memory int, rate string, more ...string) (*Fleet, error) {
	if os.Geteuid() != 0 {
		return nil, ErrLinks
	}
	f, err := m.StartFleet(ctx, 0, memory)
	if err != nil {
		return nil, err
	}
	for i := range n {
		l := newLink(i)
		err := l.up(ctx, rate)
		f.links = append(f.links, l)
		if err == nil {
			err = f.startOnLink(ctx, l, i, memory, more)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

func (f *Fleet) startOnLink(ctx context.Context, l link, number, memory int, more []string) error {
	address := l.server + ":11211"
	argv := append([]string{
		"ip", "netns", "exec", l.namespace, f.m.Program("memcached"), "-t", "1", "-m", strconv.Itoa(memory), "-l", l.server, "-U", "0", "-u", "root",
	}, more...)
	if _, err := f.Start(ctx, "memcached "+strconv.Itoa(number+1), address, f.m.LoadCores(), argv); err != nil {
		return err
	}
	f.Memcacheds = append(f.Memcacheds, address)
	return nil
}
