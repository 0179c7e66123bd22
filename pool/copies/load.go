package copies

import (
	"math"
	"time"

	"mcproxy/backend"
)

// load tells how much each backend has to do, as far as this worker sees: what it asked of it lately, each request and each so many
// bytes the same, older ones less.
type load struct {
	nodes []nodeLoad
	at    int64 // Loop time of the last look
}

type nodeLoad struct {
	mean  float64 // what is left of what was asked before the last look
	since float64 // of copies, since then
	total float64 // all that was ever asked, at the last look
}

const (
	lookEvery = int64(10 * time.Millisecond)
	memory    = float64(250 * time.Millisecond)
	costBytes = 1280.0 // bytes that cost as much as a request
)

// look takes up what the pipelines have done.
func (l *load) look(now int64, pipelines []*backend.Pipeline) {
	if now-l.at < lookEvery {
		return
	}
	keep := math.Exp(-float64(now-l.at) / memory)
	l.at = now
	for i, pl := range pipelines {
		n := &l.nodes[i]
		total := float64(pl.Figures.Calls()) + float64(pl.Figures.BytesIn+pl.Figures.BytesOut)/costBytes
		n.mean, n.since = n.mean*keep+total-n.total, 0
		n.total = total
	}
}

// of gives a backend's load; who does not answer has the greatest.
func (l *load) of(pipelines []*backend.Pipeline, node int) float64 {
	if pipelines[node].Backend.State() != backend.StateUp {
		return math.Inf(1)
	}
	return l.nodes[node].mean + l.nodes[node].since
}

func (l *load) took(node int) { l.nodes[node].since++ }

func (l *load) bytes(node, n int) { l.nodes[node].since += float64(n) / costBytes }
