package split

import "errors"

// What Open and DecodeManifest find wrong with an item that carries ReservedFlags. To the client it is a miss. Only ErrVersion
// and ErrTooLarge may be another proxy's good value.
var (
	ErrNoManifest = errors.New("item with the reserved flags is neither manifest nor wrapped")
	ErrVersion    = errors.New("manifest of an unknown version")
	ErrDamaged    = errors.New("manifest's checksum does not match")
	ErrBounds     = errors.New("manifest's numbers are out of bounds or do not fit each other") // Plan, Start: the caller's
	ErrTooLarge   = errors.New("value is larger than the largest allowed")                      // Plan too
)

// What Assembler finds wrong. ErrForeign and ErrLength are about one chunk, which then is as good as missing.
var (
	ErrForeign    = errors.New("chunk is another one's")
	ErrLength     = errors.New("chunk is cut short or too long")
	ErrIncomplete = errors.New("chunks are missing")
	ErrChecksum   = errors.New("joined value's checksum does not match")
	ErrBuffer     = errors.New("buffer is too small for the value")
)
