package split

import "fmt"

// A Kind says how a client's value stands on its home server.
type Kind uint8

// The kinds.
const (
	Plain   Kind = iota // as the client stored it
	Wrapped             // behind a head, because the client's own flags are ReservedFlags
	Split               // a manifest; the value is in chunks
)

func (k Kind) String() string {
	switch k {
	case Plain:
		return "plain"
	case Wrapped:
		return "wrapped"
	case Split:
		return "split"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// StoredAs says how a value of length bytes with a client's flags is to be stored, if it is not hot.
func StoredAs(flags uint32, length, threshold int) Kind {
	switch {
	case Oversized(length, threshold):
		return Split
	case flags == ReservedFlags:
		return Wrapped
	}
	return Plain
}

// Stored is an item of a home server, understood.
type Stored struct {
	Kind     Kind
	Flags    uint32   // the client's own
	Value    []byte   // Plain, Wrapped: the client's value; it points into what was opened
	Manifest Manifest // Split
}

// Open tells what an item under a client's key is, by its client flags and value as they stand on the server. maxValue is
// as of DecodeManifest, and so are the errors. Who sees many items compares their flags with ReservedFlags first: the rest is
// for the few that have them.
func Open(flags uint32, value []byte, maxValue int) (Stored, error) {
	if flags != ReservedFlags {
		return Stored{Kind: Plain, Flags: flags, Value: value}, nil
	}
	kind, body, err := openHead(value)
	if err != nil {
		return Stored{}, err
	}
	if kind == kindWrapped {
		return Stored{Kind: Wrapped, Flags: ReservedFlags, Value: body}, nil
	}
	m, err := decodeBody(body, maxValue)
	if err != nil {
		return Stored{}, err
	}
	return Stored{Kind: Split, Flags: m.Flags, Manifest: m}, nil
}

// AppendWrapped appends a client's value, of flags that are ReservedFlags, as it is stored, with those same flags. It may
// be empty; it is WrapLen bytes longer than before.
func AppendWrapped(dst, value []byte) []byte {
	start := len(dst)
	dst = append(appendHead(dst, kindWrapped), value...)
	seal(dst[start:])
	return dst
}
