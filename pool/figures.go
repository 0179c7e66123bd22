package pool

import (
	"mcproxy/backend"
	"mcproxy/pool/chunks"
)

// SplitFigures count what was done with large values.
type SplitFigures = chunks.Figures

// Bulk is the pipeline to the i-th backend that large values use; nil if the pool's values are not split.
func (p *Pool) Bulk(i int) *backend.Pipeline {
	if p.splitter == nil {
		return nil
	}
	return p.splitter.Bulk(i)
}
