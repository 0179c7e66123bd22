package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mcproxy/config"
	"mcproxy/internal/termtext"
)

// An adminClient asks the admin endpoints of a running proxy. Its fields are the flags that say where that is.
type adminClient struct {
	address string        // HOST:PORT, or an http:// URL of it
	file    string        // a configuration; its [admin] address is asked instead
	timeout time.Duration // for a whole answer; 0: adminTimeout
}

// A refusal is an answer that is no success.
type refusal struct {
	address string
	status  int
	text    string // "409 Conflict"
	body    string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s answers %s: %s", r.address, r.text, firstLine(r.body))
}

// all gives the answer's whole text.
func (r *refusal) all() string { return strings.TrimRight(printableLines(r.body), "\n") }

const (
	defaultAdmin  = "127.0.0.1:9151"
	adminTimeout  = 5 * time.Second // for a whole answer
	maxAdminBytes = 64 << 20        // of one
)

// bind declares the flags.
func (a *adminClient) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.address, "admin", "", "the proxy's [admin] `address` (default "+defaultAdmin+")")
	cmd.Flags().StringVarP(&a.file, "config", "c", "", "take the address from this configuration `file`")
	_ = cmd.MarkFlagFilename("config", "toml") // fails only if there is no such flag
}

// resolve finds out the address, HOST:PORT. Call it once, before the others.
func (a *adminClient) resolve() error {
	if a.file == "" {
		given := cmp.Or(a.address, defaultAdmin)
		a.address = strings.TrimSuffix(strings.TrimPrefix(given, "http://"), "/")
		if _, port, err := net.SplitHostPort(a.address); err != nil || port == "" {
			return usageError(fmt.Sprintf("--admin: %q is no HOST:PORT", given))
		}
		return nil
	}
	if a.address != "" {
		return usageError("--admin and -c exclude each other")
	}
	f, err := config.Load(a.file)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(f.Admin.Address)
	switch {
	case f.Admin.Address == "":
		return fmt.Errorf("%s has no [admin] address, so its proxy cannot be asked", a.file)
	case err != nil:
		return fmt.Errorf("%s: %w", a.file, err)
	case port == "0":
		return fmt.Errorf("%s leaves the [admin] port to the system; take it from the proxy's log, and write --admin", a.file)
	}
	// Who listens everywhere is here too.
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if err == nil && ip.Is6() {
			host = "::1"
		}
	}
	a.address = net.JoinHostPort(host, port)
	return nil
}

// do sends a request without a body, and gives the answer's. An answer that is no success is an error with the proxy's words.
func (a *adminClient) do(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(a.timeout, adminTimeout))
	defer cancel()
	target := url.URL{Scheme: "http", Host: a.address, Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return nil, err
	}
	// No proxy of the environment, no conn kept, nobody else's address.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, a.unanswered(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminBytes))
	if err != nil {
		return nil, a.unanswered(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &refusal{a.address, resp.StatusCode, resp.Status, string(body)}
	}
	return body, nil
}

// unanswered says what to look at when no answer came.
func (a *adminClient) unanswered(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens on %s: is mcproxy running, and is that its [admin] address? --admin or -c says another", a.address)
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return fmt.Errorf("%s did not answer within %v", a.address, cmp.Or(a.timeout, adminTimeout))
	}
	return fmt.Errorf("no answer from %s, is it mcproxy's [admin] address? %w", a.address, err)
}

// firstLine gives what a line of text says, for an error.
func firstLine(text string) string {
	const most = 400
	text, _, _ = strings.Cut(text, "\n")
	text = termtext.Printable(text)
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// printableLines is printable for each line of text.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = termtext.Printable(l)
	}
	return strings.Join(lines, "\n")
}
