package keystone

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds of a pickle.
const (
	maxMemory = 32 << 20 // bytes that its values are reckoned to take, beside its own
	valueCost = 32       // of one value, whatever it is, and beside its text
	itemCost  = 24       // of its place on the stack, or in a list or a dictionary, each time
	memoCost  = 56       // of its place in the memo
	maxOps    = 4 << 20  // opcodes that are worked on
	maxDigits = 4096     // of an integer
)

// What is wrong with a pickle.
var (
	errCut      = errors.New("is cut off")
	errUnder    = errors.New("takes values that it never gave")
	errNotOne   = errors.New("does not end with one value")
	errTooMuch  = fmt.Errorf("holds more values than are read: they would take over %d MiB", maxMemory>>20)
	errTooLong  = fmt.Errorf("has more than %d opcodes", maxOps)
	errInteger  = fmt.Errorf("has an integer of more than %d digits, or of none", maxDigits)
	errUnhinged = errors.New("appends to what is no list, or sets in what is no dictionary")
)

// An unpickler reads one pickle, protocols 0 to 5, as data: https://github.com/python/cpython/blob/main/Lib/pickletools.py has the
// opcodes. Nothing that it reads is called, imported or looked up.
type unpickler struct {
	in    []byte
	at    int
	stack []any
	marks []int          // places on the stack
	memo  []any          // places 0, 1 and so on, as pickles are written
	far   map[uint64]any // places behind those, which cost no more
	spent int
}

// unpickle reads a pickle that in begins with. It gives its length too.
func unpickle(in []byte) (value any, n int, err error) {
	u := &unpickler{in: in, far: map[uint64]any{}}
	for range maxOps {
		op, err := u.byte()
		if err != nil {
			return nil, 0, err
		}
		if op == '.' {
			if len(u.stack) != 1 {
				return nil, 0, errNotOne
			}
			return u.stack[0], u.at, nil
		}
		at := u.at - 1
		if err := u.do(op); err != nil {
			return nil, 0, fmt.Errorf("%w (opcode %q at byte %d)", err, op, at)
		}
	}
	return nil, 0, errTooLong
}

// do works on one opcode. The opcodes fall into groups, and each group knows its own.
func (u *unpickler) do(op byte) error {
	for _, group := range [...]func(byte) (bool, error){u.number, u.text, u.container, u.place, u.object} {
		if known, err := group(op); known || err != nil {
			return err
		}
	}
	return errors.New("is no pickle: there is no such opcode")
}

// spend counts memory.
func (u *unpickler) spend(n int) error {
	if u.spent += n; u.spent > maxMemory {
		return errTooMuch
	}
	return nil
}

// push puts a new value on the stack.
func (u *unpickler) push(v any) error {
	u.stack = append(u.stack, v)
	return u.spend(valueCost + itemCost)
}

func (u *unpickler) byte() (byte, error) {
	if u.at >= len(u.in) {
		return 0, errCut
	}
	u.at++
	return u.in[u.at-1], nil
}

// take gives the next n bytes.
func (u *unpickler) take(n uint64) ([]byte, error) {
	if n > uint64(len(u.in)-u.at) {
		return nil, errCut
	}
	u.at += int(n)
	return u.in[u.at-int(n) : u.at], nil
}

// uint gives the next n bytes as a number, the lowest first. n is at most 8.
func (u *unpickler) uint(n int) (uint64, error) {
	b, err := u.take(uint64(n))
	if err != nil {
		return 0, err
	}
	var all [8]byte
	copy(all[:], b)
	return binary.LittleEndian.Uint64(all[:]), nil
}

// counted gives the bytes whose number stands before them, in n bytes.
func (u *unpickler) counted(n int) ([]byte, error) {
	length, err := u.uint(n)
	if err != nil {
		return nil, err
	}
	return u.take(length)
}

// line gives what stands before the next line end.
func (u *unpickler) line() (string, error) {
	for i := u.at; i < len(u.in); i++ {
		if u.in[i] == '\n' {
			text := string(u.in[u.at:i])
			u.at = i + 1
			return text, nil
		}
	}
	return "", errCut
}

// bottom is the place on the stack below which the current mark allows nothing to be taken.
func (u *unpickler) bottom() int {
	if n := len(u.marks); n > 0 {
		return u.marks[n-1]
	}
	return 0
}

// pop takes the last n values. They are valid until the next push.
func (u *unpickler) pop(n int) ([]any, error) {
	if len(u.stack)-n < u.bottom() {
		return nil, errUnder
	}
	last := u.stack[len(u.stack)-n:]
	u.stack = u.stack[:len(u.stack)-n]
	return last, nil
}

// popMark takes all values down to the last mark, and the mark. They are valid until the next push.
func (u *unpickler) popMark() ([]any, error) {
	if len(u.marks) == 0 {
		return nil, errUnder
	}
	from := u.bottom()
	u.marks = u.marks[:len(u.marks)-1]
	last := u.stack[from:]
	u.stack = u.stack[:from]
	return last, nil
}

// top gives the last value.
func (u *unpickler) top() (any, error) {
	if len(u.stack) <= u.bottom() {
		return nil, errUnder
	}
	return u.stack[len(u.stack)-1], nil
}

// place works on the opcodes that move values: marks, and the memo.
func (u *unpickler) place(op byte) (known bool, err error) {
	switch op {
	case 0x80: // PROTO
		version, err := u.byte()
		if err == nil && version > 5 {
			err = fmt.Errorf("is of protocol %d; 0 to 5 are read", version)
		}
		return true, err
	case 0x95: // FRAME: only how much a reader may read ahead
		_, err := u.take(8)
		return true, err
	case '(':
		u.marks = append(u.marks, len(u.stack))
		return true, u.spend(itemCost)
	case '0':
		if len(u.marks) > 0 && u.bottom() == len(u.stack) { // pickle's own readers take the mark then
			u.marks = u.marks[:len(u.marks)-1]
			return true, nil
		}
		_, err := u.pop(1)
		return true, err
	case '1':
		_, err := u.popMark()
		return true, err
	case '2':
		v, err := u.top()
		if err == nil {
			err = u.push(v)
		}
		return true, err
	case 'p', 'q', 'r', 0x94:
		return true, u.put(op)
	case 'g', 'h', 'j':
		at, err := u.index(op)
		if err != nil {
			return true, err
		}
		if at < uint64(len(u.memo)) {
			return true, u.push(u.memo[at])
		}
		v, ok := u.far[at]
		if !ok {
			return true, fmt.Errorf("reads place %d of its memo before it writes it", at)
		}
		return true, u.push(v)
	}
	return false, nil
}

// index reads the place in the memo that an opcode names.
func (u *unpickler) index(op byte) (uint64, error) {
	switch op {
	case 'p', 'g':
		text, err := u.line()
		if err != nil {
			return 0, err
		}
		return parseUint(text)
	case 'q', 'h':
		return u.uint(1)
	case 'r', 'j':
		return u.uint(4)
	}
	return uint64(len(u.memo) + len(u.far)), nil // MEMOIZE
}

// put keeps the last value in the memo.
func (u *unpickler) put(op byte) error {
	at, err := u.index(op)
	if err != nil {
		return err
	}
	v, err := u.top()
	if err != nil {
		return err
	}
	switch n := uint64(len(u.memo)); {
	case at < n:
		u.memo[at] = v
	case at == n:
		u.memo = append(u.memo, v)
		delete(u.far, at)
	default:
		u.far[at] = v
	}
	return u.spend(memoCost)
}
