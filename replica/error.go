package replica

import "errors"

// What DecodeGuard finds wrong with an item. Only ErrVersion may be another proxy's good guard, so only that one is left as it
// stands; all of them make every key of the home Unknown.
var (
	ErrNoGuard = errors.New("item under the guard's key is no guard")
	ErrVersion = errors.New("guard of an unknown version")
	ErrDamaged = errors.New("guard's checksum does not match")
	ErrBounds  = errors.New("guard's numbers are out of bounds")
)
