package epoll

import (
	"time"

	"golang.org/x/sys/unix"
)

// Events are epoll's event bits.
type Events uint32

// The bits a handler asks for and is told.
const (
	In  Events = unix.EPOLLIN
	Out Events = unix.EPOLLOUT
	Err Events = unix.EPOLLERR
	Hup Events = unix.EPOLLHUP
)

// An Event is one ready descriptor: the tag it was registered with, and what it is ready for.
type Event struct {
	Tag    uint64
	Events Events
}

// A Kernel does the system calls of a Loop. None of them blocks but Wait. Descriptors are non-blocking. An Errno of 0 is
// success.
type Kernel interface {
	// Wait fills events with what is ready, and gives how many. It waits at most timeout (< 0: until something is ready),
	// rounded up to milliseconds. An interrupted wait gives 0.
	Wait(events []Event, timeout time.Duration) (int, error)
	// Pause sleeps for d, at most a millisecond, whatever happens meanwhile.
	Pause(d time.Duration)
	Add(fd int, tag uint64, want Events) error
	Modify(fd int, tag uint64, want Events) error
	Remove(fd int) error

	// Read fills p: 0 bytes without an error is the end of the stream.
	Read(fd int, p []byte) (int, unix.Errno)
	Write(fd int, p []byte) (int, unix.Errno)
	// Connect opens a stream to addr. It gives EINPROGRESS, with a descriptor, when it is not through yet: then Out tells that
	// it is, and Connected how it ended.
	Connect(addr Address) (fd int, err unix.Errno)
	Connected(fd int) unix.Errno
	Close(fd int)

	// Now is a monotonic clock in nanoseconds.
	Now() int64
	// Elapsed is Clock.Elapsed: Now, and what the machine slept through.
	Elapsed() int64
	// Wake makes a present or the next Wait return; any goroutine may call it.
	Wake()
	// Release frees what the kernel holds for the loop; nothing else may be called afterwards.
	Release()
}

// An Address is where Connect goes.
type Address struct {
	Sockaddr  unix.Sockaddr
	Family    int           // unix.AF_INET, AF_INET6 or AF_UNIX
	Keepalive time.Duration // TCP keepalive's idle time; <= 0 is off
}
