package pool

// SetRandom makes the generations of split values repeatable.
func (s *Shared) SetRandom(fill func([]byte)) { s.random = fill }

// SetMinSpread has values spread for their heat from so many bytes on.
func (s *Shared) SetMinSpread(n int) { s.minSpread = n - 1 }

// A Mutant is a promise broken on purpose.
type Mutant = mutant

// The mutants.
const (
	NoMutant      = noMutant
	JoinsSent     = joinsSent
	ManifestFirst = manifestFirst
	SkipsChecksum = skipsChecksum
	TrustsMemory  = trustsMemory
	CleansFirst   = cleansFirst
)

// SetMutant breaks a promise; call it before the first pool is made.
func (s *Shared) SetMutant(m Mutant) { s.mutant = m }
