package pool

import "mcproxy/pool/chunks"

// SetRandom makes the generations of split values repeatable.
func (s *Shared) SetRandom(fill func([]byte)) { s.split.Random = fill }

// SetMinSpread has values spread for their heat from so many bytes on.
func (s *Shared) SetMinSpread(n int) { s.split.MinSpread = n - 1 }

// A Mutant is a promise broken on purpose.
type Mutant uint8

// The mutants.
const (
	NoMutant Mutant = iota
	JoinsSent
	ManifestFirst
	SkipsChecksum
	TrustsMemory
	CleansFirst
)

// SetMutant breaks a promise; call it before the first pool is made.
func (s *Shared) SetMutant(m Mutant) {
	s.mutant = map[Mutant]mutant{JoinsSent: joinsSent}[m]
	s.split.Mutant = map[Mutant]chunks.Mutant{
		ManifestFirst: chunks.ManifestFirst, SkipsChecksum: chunks.SkipsChecksum, TrustsMemory: chunks.TrustsMemory, CleansFirst: chunks.CleansFirst,
	}[m]
}
