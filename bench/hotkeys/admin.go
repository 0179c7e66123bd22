package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

// A hotKey is an entry of /api/hotkeys, as far as it matters here.
type hotKey struct {
	Key     string `json:"key"`
	Kind    string `json:"kind"`
	Hot     bool   `json:"hot"`
	Backend string `json:"backend"`
	Action  string `json:"action"`
}

// parseHotKeys gives the hot keys of all pools.
func parseHotKeys(text []byte) ([]hotKey, error) {
	var answer struct {
		Pools []struct {
			Watched bool     `json:"watched"`
			Keys    []hotKey `json:"keys"`
		} `json:"pools"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("/api/hotkeys: %w", err)
	}
	watched := false
	var hot []hotKey
	for _, p := range answer.Pools {
		watched = watched || p.Watched
		for _, k := range p.Keys {
			if k.Hot {
				hot = append(hot, k)
			}
		}
	}
	if !watched {
		return nil, errors.New("/api/hotkeys: no pool is watched")
	}
	return hot, nil
}

// pollInterval is the time between two looks at the list.
const pollInterval = 3 * time.Millisecond

// hotKeys asks for the list.
func hotKeys(ctx context.Context, p rig.Proxy) ([]hotKey, error) {
	text, err := p.Ask(ctx, "/api/hotkeys")
	if err != nil {
		return nil, err
	}
	return parseHotKeys(text)
}

// parseMetric reads a metric without labels in what /metrics answers.
func parseMetric(text []byte, name string) (float64, error) {
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("/metrics: no %s", name)
}

// waitHotKey looks until the list has a key with the prefix, and gives the time at which it had the list. When the timeout is over it
// gives the time as well, and a key without a name.
func waitHotKey(ctx context.Context, p rig.Proxy, prefix string, timeout time.Duration) (hotKey, time.Time, error) {
	deadline := time.Now().Add(timeout)
	for {
		keys, err := hotKeys(ctx, p)
		now := time.Now()
		if err != nil {
			return hotKey{}, now, err
		}
		for _, key := range keys {
			if strings.HasPrefix(key.Key, prefix) {
				return key, now, nil
			}
		}
		if now.After(deadline) {
			return hotKey{Kind: "not found"}, now, nil
		}
		select {
		case <-ctx.Done():
			return hotKey{}, now, ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}
