package admin_test

import (
	"errors"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"

	"mcproxy/admin"
)

func TestChanges(t *testing.T) {
	for _, tt := range []struct {
		name, method, path string
		header             [2]string
		err                error
		status             int
		body               string
		changes            int
	}{
		{"reload", "POST", "/api/reload", [2]string{}, nil, 200, "a: 1 → 2\nreloaded\n", 1},
		{"upgrade", "POST", "/api/upgrade", [2]string{}, nil, 200, "a: 1 → 2\nupgraded\n", 1},
		{"refused", "POST", "/api/reload", [2]string{}, errors.New("proxy.toml:1: wrong\nproxy.toml:2: wrong too"), 409, "proxy.toml:1: wrong\nproxy.toml:2: wrong too\n", 1},
		{"failed", "POST", "/api/upgrade", [2]string{}, errors.New("no such file"), 409, "no such file\n", 1},
		{"read", "GET", "/api/reload", [2]string{}, nil, 405, "only POST is answered here\n", 0},
		{"read too", "GET", "/api/upgrade", [2]string{}, nil, 405, "only POST is answered here\n", 0},
		{"another site", "POST", "/api/reload", [2]string{"Sec-Fetch-Site", "cross-site"}, nil, 403, "another site's page has sent this\n", 0},
		{"upgrade by another site", "POST", "/api/upgrade", [2]string{"Origin", "http://evil.example"}, nil, 403, "another site's page has sent this\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			change := func() (string, error) {
				n++
				return "a: 1 → 2\n", tt.err
			}
			s := &source{reload: change, upgrade: change}
			req := httptest.NewRequest(tt.method, tt.path, nil)
			req.Host = "localhost"
			if tt.header[0] != "" {
				req.Header.Set(tt.header[0], tt.header[1])
			}
			w := httptest.NewRecorder()
			admin.New(s, admin.Options{}, zap.NewNop()).Handler(true).ServeHTTP(w, req)
			if w.Code != tt.status || w.Body.String() != tt.body || n != tt.changes {
				t.Errorf("%d %q, %d changes; want %d %q, %d", w.Code, w.Body, n, tt.status, tt.body, tt.changes)
			}
		})
	}
}
