package backend

// A Mutant is a promise of the journal's that is broken on purpose, so that tests can show that they would notice. The zero
// value breaks none.
type Mutant uint8

// The mutants.
const (
	NoMutant    Mutant = iota
	DeletesOnce        // a write whose conn broke gets one delete, and none after Options.Settle
	ForgetsConn        // a delete that got no answer on a write's own conn counts as if it had stood
)
