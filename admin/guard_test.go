package admin_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mcproxy/admin"
)

// TestGuardRemote asks for the endpoints of an address that other machines reach.
func TestGuardRemote(t *testing.T) {
	const here, there = "127.0.0.1:40000", "10.0.0.9:40000"
	const byName, notHere, otherSite = "ask for an IP address, or a name among the hosts of [admin]\n",
		"only this machine's own requests are answered here\n", "another site's page has sent this\n"
	tests := []struct {
		name, method, target, host, from string
		header                           [2]string
		status                           int
		body                             string
	}{
		{name: "address", method: "GET", target: "/healthz", host: "10.0.0.1:9151", from: there, status: 200, body: "ok\n"},
		{name: "address in IPv6", method: "GET", target: "/healthz", host: "[fd00::1]:9151", from: there, status: 200, body: "ok\n"},
		{name: "name", method: "GET", target: "/healthz", host: "Cache1.example.org:9151", from: there, status: 200, body: "ok\n"},
		{name: "localhost", method: "GET", target: "/healthz", host: "localhost", from: here, status: 200, body: "ok\n"},
		{name: "rebound name", method: "GET", target: "/metrics", host: "evil.example:9151", from: there, status: 403, body: byName},
		{name: "rebound lookalike", method: "GET", target: "/healthz", host: "10.0.0.1.evil.example", from: there, status: 403, body: byName},
		{name: "rebound post", method: "POST", target: "/api/release?pool=main&backend=a", host: "evil.example", from: here, status: 403, body: byName},
		{name: "release from there", method: "POST", target: "/api/release?pool=main&backend=a", host: "10.0.0.1", from: there, status: 403, body: notHere},
		{name: "release from here", method: "POST", target: "/api/release?pool=main&backend=none", host: "10.0.0.1", from: here, status: 404},
		{name: "release by a page", method: "POST", target: "/api/release?pool=main&backend=a", host: "10.0.0.1", from: here, header: [2]string{"Sec-Fetch-Site", "cross-site"}, status: 403, body: otherSite},
		{name: "release by an old browser's page", method: "POST", target: "/api/release?pool=main&backend=a", host: "10.0.0.1", from: here, header: [2]string{"Origin", "http://evil.example"}, status: 403, body: otherSite},
		{name: "level from there", method: "POST", target: "/api/loglevel?level=debug", host: "10.0.0.1", from: there, status: 403, body: notHere},
		{name: "level read from there", method: "GET", target: "/api/loglevel", host: "10.0.0.1", from: there, status: 200},
		{name: "lookup from there", method: "POST", target: "/api/lookup", host: "10.0.0.1", from: there, status: 400},
		{name: "profile from there", method: "GET", target: "/debug/pprof/heap", host: "10.0.0.1", from: there, status: 403, body: notHere},
		{name: "profile from here", method: "GET", target: "/debug/pprof/heap", host: "10.0.0.1", from: here, status: 200},
		{name: "profile by post", method: "POST", target: "/debug/pprof/symbol", host: "10.0.0.1", from: here, status: 405},
	}
	s := &source{ready: true, snapshot: figures(), hotKeys: hotKeys()}
	server := newServerOf(s, admin.Options{Log: &logStub{level: "info"}, Hosts: []string{"cache1.example.org"}, Pprof: true})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := httptest.NewRequest(tt.method, tt.target, nil)
			req.Host, req.RemoteAddr = tt.host, tt.from
			if tt.header[0] != "" {
				req.Header.Set(tt.header[0], tt.header[1])
			}
			w := httptest.NewRecorder()
			server.Handler(false).ServeHTTP(w, req)
			if w.Code != tt.status || tt.body != "" && w.Body.String() != tt.body {
				t.Errorf("%s %s of %q from %s: %d %.200q, want %d %q", tt.method, tt.target, tt.host, tt.from, w.Code, w.Body, tt.status, tt.body)
			}
		})
	}
}

// TestPprof asks a server that serves profiles for them, one of which takes its time.
func TestPprof(t *testing.T) {
	server := newServerOf(&source{ready: true}, admin.Options{Pprof: true})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, ln) }() // ends with ctx
	client := &http.Client{Timeout: time.Minute}
	for _, path := range []string{"", "heap", "goroutine?debug=1", "cmdline", "symbol", "profile?seconds=1", "trace?seconds=1"} {
		resp, err := client.Get(fmt.Sprintf("http://%s/debug/pprof/%s", ln.Addr(), path))
		if err != nil {
			t.Fatal(err)
		}
		if text := body(t, resp); resp.StatusCode != 200 || text == "" {
			t.Errorf("GET /debug/pprof/%s: %s %.200q", path, resp.Status, text)
		}
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if resp := ask(&source{}, "GET", "/debug/pprof/heap", "localhost"); resp.StatusCode != 404 || !strings.Contains(body(t, resp), "not found") {
		t.Errorf("profiles that nobody asked for: %s", resp.Status)
	}
}
