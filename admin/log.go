package admin

import (
	"maps"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// logLevel answers GET and POST /api/loglevel.
func (s *Server) logLevel(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		say(w, http.StatusOK, s.level.Level())
		return
	}
	before, level := s.level.Level(), req.URL.Query().Get("level")
	if err := s.level.SetLevel(level); err != nil {
		say(w, http.StatusBadRequest, "which level? POST /api/loglevel?level=debug, or info, warn, error")
		return
	}
	s.log.Info("the log's level was changed", zap.String("level", level), zap.String("before", before), zap.String("client", req.RemoteAddr))
	say(w, http.StatusOK, "the log's level is "+level+"; it was "+before)
}

// A logCollector tells how much was logged.
type logCollector struct {
	log  Log
	desc *prometheus.Desc
}

func newLogCollector(log Log) *logCollector {
	return &logCollector{log, prometheus.NewDesc("mcproxy_log_lines_total", "Lines that were logged, by level.", []string{"level"}, nil)}
}

// Describe is prometheus.Collector's.
func (c *logCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect is prometheus.Collector's.
func (c *logCollector) Collect(ch chan<- prometheus.Metric) {
	lines := c.log.Lines()
	for _, level := range slices.Sorted(maps.Keys(lines)) {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(lines[level]), level)
	}
}
