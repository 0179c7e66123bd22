package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Ask gets a page of the proxy's admin port, such as "/metrics". An answer other than 200 is an error.
func (p Proxy) Ask(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Admin+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Close = true // nothing is to be left open in the end
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	return text, err
}

// Metric gives the sum of a metric's samples that have all of these labels, such as `outcome="copy"`. One that has none is an error.
func (p Proxy) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	text, err := p.Ask(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	return parseMetric(string(text), name, labels)
}

func parseMetric(text, name string, labels []string) (sum float64, err error) {
	found := false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		at := strings.LastIndexByte(rest, ' ')
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest[:at], l) }) {
			continue
		}
		v, err := strconv.ParseFloat(rest[at+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("/metrics: %q: %w", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("/metrics: no %s with %v", name, labels)
	}
	return sum, nil
}
