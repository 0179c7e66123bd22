package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"text/tabwriter"
	"time"

	"mcproxy/bench"
	"mcproxy/bench/workload"
	"mcproxy/keystone"
	"mcproxy/ring"
)

// A tokenClient is one client of quickstart's Keystone: a service whose user's tokens it issues, or all other users.
type tokenClient struct {
	user   string  // whose list of tokens is long; "": many users with short ones
	source string  // its address; every loopback address is this machine's
	rate   float64 // tokens issued a second
}

// tokenClients are those of a Keystone whose services ask for a token for each of their requests.
func tokenClients() []tokenClient {
	return []tokenClient{
		{"ceilometer", "127.0.1.1", 8},
		{"neutron", "127.0.1.2", 5},
		{"nova", "127.0.1.3", 3},
		{"", "127.0.1.9", 60},
	}
}

const (
	tokenRing        = "libmemcached" // as pylibmc places keys: all three lists are on one of two servers
	tokenEntry       = 86             // bytes of a token in a list
	tokenList        = 4700 * tokenEntry
	tokenLimit       = 400 << 10 // bytes that a list grows to; the oldest tokens leave it
	tokenValidations = 4         // reads of tokens for each that is issued
	tokenUsers       = 500       // that are no services
	tokenTTL         = 3600      // seconds
	tokenMemory      = 256       // MiB of each memcached
)

// seedTokens gives the services lists as they are after days.
func seedTokens(proxy net.Addr) error {
	conn, err := net.DialTimeout(proxy.Network(), proxy.String(), sessionTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(sessionTimeout)); err != nil {
		return err
	}
	list := bytes.Repeat([]byte("t"), tokenList)
	for _, c := range tokenClients() {
		if c.user == "" {
			continue
		}
		if _, err := fmt.Fprintf(conn, "set %s 1 %d %d\r\n%s\r\n", keystone.UserKey(c.user), tokenTTL, len(list), list); err != nil {
			return err
		}
		answer := make([]byte, len("STORED\r\n"))
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "STORED\r\n" {
			return fmt.Errorf("the list of %s is not stored: %q %w", c.user, answer, err)
		}
	}
	return nil
}

// loadTokens sends the load until ctx is done. An error is why it could not go on.
func loadTokens(ctx context.Context, proxy string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var problems []error
	for _, c := range tokenClients() {
		wg.Go(func() { // ends with ctx
			cfg := bench.Default()
			cfg.Endpoint, cfg.Workload, cfg.Warmup, cfg.Duration, cfg.Threads = proxy, workload.KeystoneTokens, 0, 7*24*time.Hour, 1
			cfg.Source, cfg.Conns, cfg.Rate = c.source, 4, c.rate*(1+tokenValidations)
			cfg.Validations, cfg.TokenSize, cfg.ListLimit = tokenValidations, "2KiB", tokenLimit
			if c.user != "" {
				cfg.ServiceUsers, cfg.ServiceShare, cfg.Users = c.user, 1, 0
			} else {
				cfg.ServiceShare, cfg.Users, cfg.Conns = 0, tokenUsers, 16
			}
			if _, err := bench.Run(ctx, cfg, nil); err != nil && ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, fmt.Errorf("load of %s: %w", c.source, err))
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(problems...)
}

// introduceTokens says who the clients are, and where their lists stand.
func introduceTokens(opts quickstartOptions, file string, backends []*memcached, out io.Writer) error {
	var nodes []ring.Node
	for _, m := range backends {
		nodes = append(nodes, ring.Node{Name: m.name, Weight: 1})
	}
	r, err := ring.New(nodes, ring.Options{Kind: opts.ring})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe load is Keystone's: for each token that is issued, its user's list of tokens is read and written, whole.\n\n")
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "  USER\tCLIENT\tTOKENS/S\tLIST\tKEY OF THE LIST\tON")
	for _, c := range tokenClients() {
		if c.user == "" {
			fmt.Fprintf(w, "  %d others\t%s\t%.0f\t\teach its own, short\n", tokenUsers, c.source, c.rate)
			continue
		}
		key := keystone.UserKey(c.user)
		fmt.Fprintf(w, "  %s\t%s\t%.0f\t%d B\t%s\t%s\n", c.user, c.source, c.rate, tokenList, key, nodes[r.Lookup([]byte(key))].Name)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nLook at it:         http://%s/   or   mcproxy top --admin %s\n"+
		"Take the skew away: write \"enabled = true\" at the end of %s\n"+
		"                    and   mcproxy reload --admin %s\n\n"+
		"Ctrl-C ends the load, the proxy and the memcacheds.\n", opts.admin, opts.admin, file, opts.admin)
	return err
}
