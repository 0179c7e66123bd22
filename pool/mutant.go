package pool

// A mutant is a promise broken on purpose, so that tests can show that they would notice. There is none but in tests
// (export_test.go); who asks for one does it where several calls are under way anyway. Package chunks has its own.
type mutant uint8

const (
	noMutant  mutant = iota
	joinsSent        // a get joins a fetch that was sent already
)
