package bench

import (
	"errors"
	"net"
	"time"
)

// errAgain says that a read or a write would have to wait.
var errAgain = errors.New("not ready")

// A poller waits for the conns of one worker, and is used by its goroutine alone.
type poller interface {
	// add takes conn over, whether it succeeds or not: id comes back from wait when it can be read, or written after watchWrites.
	add(id int, conn net.Conn) (socket, error)
	// wait appends the ids of ready conns to ids. It waits at most timeout, which is >= 0.
	wait(ids []int32, timeout time.Duration) ([]int32, error)
	// close ends the poller; its sockets are closed one by one before.
	close()
}

// A socket is a conn in a poller.
type socket interface {
	// read gives errAgain when there is nothing yet, and io.EOF at the end of the stream.
	read(p []byte) (int, error)
	// write gives errAgain when nothing is taken at present.
	write(p []byte) (int, error)
	// watchWrites says whether wait tells of the socket being writable.
	watchWrites(id int, on bool) error
	close()
}
