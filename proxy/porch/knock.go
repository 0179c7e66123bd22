package porch

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errGone says that nobody takes guests any more.
var errGone = errors.New("it has ended")

// Knock asks one question as a client would, on a conn of which enter takes the other end (or says that it does not), and waits for the
// first line of the answer, until ctx is done.
func Knock(ctx context.Context, question string, enter func(fd int) bool) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	own := os.NewFile(uintptr(fds[0]), "knock")
	defer own.Close()
	if !enter(fds[1]) {
		unix.Close(fds[1])
		return errGone
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	if err := own.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := own.WriteString(question); err != nil {
		return err
	}
	var answer strings.Builder
	for room := make([]byte, 256); !strings.HasSuffix(answer.String(), "\r\n"); {
		n, err := own.Read(room)
		if err != nil {
			return err
		}
		answer.Write(room[:n])
	}
	return nil
}
