package durable

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Set is a set of byte strings in a file. Its methods are safe for concurrent use.
type Set struct {
	// Immutable after Open.
	path   string
	notify func() // may be nil
	fail   func(error)
	lock   *os.File
	done   chan struct{} // closed when the writer has ended

	safe   atomic.Uint64
	asked  atomic.Uint64
	syncs  atomic.Uint64
	errors atomic.Uint64
	bytes  atomic.Int64 // length of the file

	mu      sync.Mutex
	more    sync.Cond
	pending []byte              // guarded by mu: records that are not written
	live    map[string]struct{} // guarded by mu
	size    int64               // guarded by mu: bytes of live's records
	closed  bool                // guarded by mu

	file *os.File // the writer's
}

// Options of a Set.
type Options struct {
	// Notify is called by the writer each time that Safe has changed. It must not block. nil: nobody wants to know.
	Notify func()
	// Fail is told of each failure to write, at most once a second. The set goes on in memory and tries again. nil: nobody is told.
	Fail func(error)
}

// ErrLocked says that another process has the file.
var ErrLocked = errors.New("another process uses it")

const (
	leastRewrite = 1 << 20     // bytes of file that are not worth being written anew
	retryAfter   = time.Second // that writing failed
	lockPatience = 5 * time.Second
)

// Open opens the set in the file at path, or begins one there. It gives the members, and how many bytes at the end of the file were cut off
// because they were no whole records. A file that another process has is waited for, a few seconds.
func Open(path string, o Options) (s *Set, members []string, torn int64, err error) {
	s = &Set{path: path, notify: o.Notify, fail: o.Fail, done: make(chan struct{}), live: make(map[string]struct{})}
	s.more.L = &s.mu
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, nil, 0, err
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.lock.Close()
		return nil, nil, 0, err
	}
	whole, err := replay(data, s.live)
	if err == nil {
		err = s.rewrite()
	}
	if err != nil {
		s.lock.Close()
		return nil, nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	for m := range s.live {
		members = append(members, m)
		s.size += recordBytes(m)
	}
	go s.write() // ends with Close, which waits for it
	return s, members, int64(len(data) - whole), nil
}

// lockFile takes the lock that a process holds as long as it lives.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = ErrLocked
			}
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
}

// Put adds a member, at most 64 KiB long.
func (s *Set) Put(member string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, has := s.live[member]; has || s.closed {
		return
	}
	s.live[member] = struct{}{}
	s.size += recordBytes(member)
	s.pending = appendRecord(s.pending, opPut, member)
	s.asked.Add(1)
	s.more.Signal()
}

// Drop takes a member away.
func (s *Set) Drop(member string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, has := s.live[member]; !has || s.closed {
		return
	}
	delete(s.live, member)
	s.size -= recordBytes(member)
	s.pending = appendRecord(s.pending, opDrop, member)
	s.more.Signal()
}

// Asked is how many members were ever put.
func (s *Set) Asked() uint64 { return s.asked.Load() }

// Safe is how many of those, the first ones, are safe on disk; or were given up, because the disk does not take them.
func (s *Set) Safe() uint64 { return s.safe.Load() }

// Figures tell of a set's file.
type Figures struct {
	Bytes  int64 // its length
	Syncs  uint64
	Errors uint64 // failures to write
}

// Figures gives the set's.
func (s *Set) Figures() Figures {
	return Figures{Bytes: s.bytes.Load(), Syncs: s.syncs.Load(), Errors: s.errors.Load()}
}

// Close writes what is pending, and lets the file go.
func (s *Set) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.more.Signal()
	s.mu.Unlock()
	<-s.done
}

// write is the writer's goroutine.
func (s *Set) write() {
	defer close(s.done)
	defer s.lock.Close()
	var spare []byte
	broken := false // the file does not have all that it should
	for {
		s.mu.Lock()
		for len(s.pending) == 0 && !s.closed && !broken {
			s.more.Wait()
		}
		batch, upTo, closed := s.pending, s.asked.Load(), s.closed
		stale := s.bytes.Load()+int64(len(batch)) > max(leastRewrite, 4*s.size)
		s.pending = spare[:0]
		s.mu.Unlock()
		if len(batch) == 0 && closed && !broken {
			s.file.Close()
			return
		}
		err := error(nil)
		if broken || stale {
			err = s.rewriteLive()
		} else {
			err = s.append(batch)
		}
		spare = batch
		broken = err != nil
		s.safe.Store(upTo) // with an error too: nobody can wait for a disk that is broken
		if s.notify != nil {
			s.notify()
		}
		if broken {
			s.errors.Add(1)
			if s.fail != nil {
				s.fail(err)
			}
			if closed {
				return
			}
			time.Sleep(retryAfter)
		}
	}
}

// append adds records to the file.
func (s *Set) append(batch []byte) error {
	if _, err := s.file.Write(batch); err != nil {
		return err
	}
	s.bytes.Add(int64(len(batch)))
	s.syncs.Add(1)
	return unix.Fdatasync(int(s.file.Fd()))
}
