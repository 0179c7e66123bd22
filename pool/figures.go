package pool

import "mcproxy/backend"

// Add adds another worker's figures.
func (f *SplitFigures) Add(o *SplitFigures) {
	f.Stored += o.Stored
	f.Wrapped += o.Wrapped
	f.Read += o.Read
	f.ChunksWritten += o.ChunksWritten
	f.ChunksRead += o.ChunksRead
	f.ChunksMissing += o.ChunksMissing
	f.AheadKept += o.AheadKept
	f.AheadDropped += o.AheadDropped
	f.Spread += o.Spread
	f.Retried += o.Retried
	f.Cleaned += o.Cleaned
	f.Dead += o.Dead
	f.Damaged += o.Damaged
	f.Refused += o.Refused
	f.Crowded += o.Crowded
	f.TooLarge += o.TooLarge
}

// Bulk is the pipeline to the i-th backend that large values use; nil if the pool's values are not split.
func (p *Pool) Bulk(i int) *backend.Pipeline {
	if p.splitter == nil {
		return nil
	}
	return p.splitter.bulk[i]
}
