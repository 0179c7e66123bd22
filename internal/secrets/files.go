package secrets

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// maxFile is the longest file that is read, in bytes.
const maxFile = 1 << 20

var errTooLong = errors.New("longer than 1 MiB")

// A Refresher looks whether its files have changed.
type Refresher interface {
	// Refresh reads the files. changed says that what they hold now is in force. With an error what was in force stays; the error of
	// one state of the files is told once, unless again is set.
	Refresh(again bool) (changed bool, err error)
	// Files names them, for logs.
	Files() []string
}

// files are the content of some files as a T. It is safe for concurrent use.
type files[T any] struct {
	paths []string
	build func(contents [][]byte) (*T, error)
	value atomic.Pointer[T]

	mu     sync.Mutex
	seen   [sha256.Size]byte // guarded by mu: of what was read last, right or wrong
	torn   bool              // guarded by mu: that was wrong, and has not been told
	inUse  [sha256.Size]byte // guarded by mu: of what value was built from
	broken error             // guarded by mu: why seen is not in use
}

// Files is Refresher's.
func (f *files[T]) Files() []string { return f.paths }

// Refresh is Refresher's. Who replaces several files does it one by one, so what is wrong is told when it has been seen twice.
func (f *files[T]) Refresh(again bool) (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	contents, sum, err := f.read()
	if sum == f.seen && f.value.Load() != nil {
		if !again && !f.torn {
			return false, nil
		}
		f.torn = false
		return false, f.broken
	}
	f.seen, f.broken, f.torn = sum, nil, false
	if sum == f.inUse {
		return false, nil
	}
	var v *T
	if err == nil {
		v, err = f.build(contents)
	}
	if err != nil {
		f.broken = err
		f.torn = !again
		if f.torn {
			return false, nil
		}
		return false, err
	}
	f.inUse = sum
	f.value.Store(v)
	return true, nil
}

// read gives the contents, and a sum that differs where they, or the error, differ.
func (f *files[T]) read() (contents [][]byte, sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, path := range f.paths {
		b, err := readFile(path)
		if err != nil {
			fmt.Fprintf(h, "error %s", err)
			return nil, [sha256.Size]byte(h.Sum(nil)), err
		}
		fmt.Fprintf(h, "%d:", len(b))
		h.Write(b)
		contents = append(contents, b)
	}
	return contents, [sha256.Size]byte(h.Sum(nil)), nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = &os.PathError{Op: "read", Path: path, Err: errTooLong}
	}
	return b, err
}
