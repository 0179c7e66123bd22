package pool

// A mutant is a promise broken on purpose, so that tests can show that they would notice. There is none but in tests
// (export_test.go); who asks for one does it where several calls are under way anyway.
type mutant uint8

const (
	noMutant      mutant = iota
	joinsSent            // a get joins a fetch that was sent already
	manifestFirst        // the manifest is sent together with its chunks
	skipsChecksum        // a value is given out whatever its checksum says
	trustsMemory         // what was read ahead is given out although the manifest is another now
	cleansFirst          // the old generation is deleted before the new one stands
)
