package placement

// A Mutant is a rule of a table's that is broken on purpose, so that tests can show that they would notice. The zero value breaks none.
type Mutant uint8

// The mutants.
const (
	NoMutant     Mutant = iota
	LeavesNoNote        // a write to a stand-in is not noted where the key belongs
	LeavesStrays        // what was written to a stand-in stays there when the backend comes back
)
