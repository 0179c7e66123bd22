package chunks

// Figures count what was done with large values.
type Figures struct {
	Stored        uint64 // values stored in chunks
	Wrapped       uint64 // values stored wrapped, because their flags are the reserved ones
	Read          uint64 // values put together
	ChunksWritten uint64
	ChunksRead    uint64
	ChunksMissing uint64 // reads of chunks that were not there
	AheadKept     uint64 // reads of chunks that began before the manifest was there, and were of use,
	AheadDropped  uint64 // and that were not
	Spread        uint64 // values rewritten with more copies, because of their heat
	Retried       uint64 // manifests read again, because chunks were missing or did not fit
	Cleaned       uint64 // chunks of replaced or deleted values that were deleted
	Dead          uint64 // manifests without their chunks, deleted
	Damaged       uint64 // items with the reserved flags that are no manifest, values whose checksum was wrong
	Refused       uint64 // requests with a reserved key
	Crowded       uint64 // requests refused because the budget had no bytes for their values in time
	TooLarge      uint64 // values refused because they are longer than the longest that is split
}

// Add adds another worker's figures.
func (f *Figures) Add(o *Figures) {
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
