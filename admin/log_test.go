package admin_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

func TestLogLevel(t *testing.T) {
	s := &source{snapshot: figures()}
	for _, tt := range []struct {
		method, target string
		status         int
		body           string
	}{
		{"GET", "/api/loglevel", 200, "info\n"},
		{"POST", "/api/loglevel?level=loud", 400, "which level? POST /api/loglevel?level=debug, or info, warn, error\n"},
		{"POST", "/api/loglevel", 400, "which level? POST /api/loglevel?level=debug, or info, warn, error\n"},
		{"POST", "/api/loglevel?level=debug", 200, "the log's level is debug; it was info\n"},
		{"GET", "/api/loglevel", 200, "debug\n"},
		{"DELETE", "/api/loglevel", 405, "only GET, HEAD and POST are answered here\n"},
	} {
		resp := ask(s, tt.method, tt.target, "localhost")
		if got := body(t, resp); resp.StatusCode != tt.status || got != tt.body {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.target, resp.StatusCode, got, tt.status, tt.body)
		}
	}
}

// TestNativeHistograms asks for protocol buffers, the only form in which native buckets are sent, and adds the buckets up.
func TestNativeHistograms(t *testing.T) {
	for _, native := range []bool{false, true} {
		req := httptest.NewRequest("GET", "/metrics", nil)
		req.Host = "localhost"
		req.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
		w := httptest.NewRecorder()
		newServer(&source{snapshot: figures(), native: native}).Handler(true).ServeHTTP(w, req)
		dec := expfmt.NewDecoder(w.Body, expfmt.ResponseFormat(w.Header()))
		seen := 0
		for {
			var f dto.MetricFamily
			if dec.Decode(&f) != nil {
				break
			}
			if !strings.HasPrefix(f.GetName(), "mcproxy_") || f.GetType() != dto.MetricType_HISTOGRAM {
				continue
			}
			for _, m := range f.GetMetric() {
				h := m.GetHistogram()
				if len(h.GetBucket()) == 0 && h.GetSampleCount() > 0 {
					t.Errorf("%s has no classic buckets", f.GetName())
				}
				if h.Schema == nil {
					continue
				}
				seen++
				n, delta := int64(h.GetZeroCount()), int64(0)
				for _, d := range h.GetPositiveDelta() {
					delta += d
					n += delta
				}
				if uint64(n) != h.GetSampleCount() {
					t.Errorf("%s: the native buckets hold %d of %d", f.GetName(), n, h.GetSampleCount())
				}
			}
		}
		if (seen > 0) != native {
			t.Errorf("native = %v: %d histograms have native buckets", native, seen)
		}
	}
}
