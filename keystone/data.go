package keystone

// What Decode makes of a value: nil, bool, int64, float64, and these.
type (
	// A Text is Python's str; of Python 2 also its unicode.
	Text string
	// A Bytes is Python's bytes, or Python 2's str.
	Bytes string
	// A Number is an integer that int64 has no room for, in decimal digits; or hex after 0x, if it is very long.
	Number string
	// A List is a list, a tuple or a set.
	List struct {
		Kind  ListKind
		Items []any
	}
	// A Dict is a dictionary, in the order in which it was written.
	Dict struct{ Pairs []Pair }
	// A Pair is one entry of a Dict.
	Pair struct{ Key, Value any }
	// A Class is the name of a class or function. None is ever made or called.
	Class struct{ Module, Name string }
	// An Object is what a pickle would have made by calling Class. Items and Pairs are what it would have put into it afterwards.
	Object struct {
		Class Class
		Args  []any
		State any
		Items []any
		Pairs []Pair
	}
	// A CachedValue is dogpile.cache's.
	CachedValue struct{ Payload, Metadata any }
)

// A ListKind says which of Python's types a List was.
type ListKind uint8

// The values of ListKind.
const (
	PlainList ListKind = iota
	Tuple
	Set
)

// String is the class's name as Python writes it.
func (c Class) String() string { return c.Module + "." + c.Name }
