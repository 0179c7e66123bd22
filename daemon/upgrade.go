package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"mcproxy/internal/handover"
	"mcproxy/proxy"
)

// An upgrade starts the program anew, from the file that is there now, and gives it the listeners and the clients between two of their
// requests (internal/handover). As long as the new process has not all of it, this one can go on as if nothing had happened.

const (
	readyTimeout = time.Minute      // for the new process to read its configuration and open what it needs
	takeTimeout  = 10 * time.Second // for it to take what it is given
	killTimeout  = 5 * time.Second  // for it to be gone when it is killed
)

// handoverEnv is the number of the descriptor that a new process has from the one before.
const handoverEnv = "MCPROXY_HANDOVER"

// ErrUpgrade is what all errors of an upgrade are: this process goes on.
var ErrUpgrade = errors.New("the upgrade failed, and the process goes on")

// Upgrade has a new process take the place of this one: Run returns afterwards. On an error nothing has changed.
func (d *Daemon) Upgrade(ctx context.Context) (report string, err error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.left {
		return "", fmt.Errorf("%w: it has been replaced already", ErrUpgrade)
	}
	start := time.Now()
	next, err := d.upgrade(ctx)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUpgrade, err)
		d.Upgraded(err)
		d.log.Error("the upgrade failed, and this process goes on", zap.Error(err))
		return "", err
	}
	d.left = true
	pid := next.cmd.Process.Pid
	d.log.Info("another process has taken over", zap.Int("pid", pid), zap.Int("conns", next.conns), zap.Duration("paused", next.paused),
		zap.Duration("took", time.Since(start)))
	if d.adminLn != nil {
		d.adminLn.leave()
	}
	d.systemd.mainPID(pid)
	d.Leave()
	return fmt.Sprintf("process %d has taken over %d conns, which waited for %v\n", pid, next.conns, next.paused.Round(time.Microsecond)), nil
}

// A successor is the process that takes this one's place.
type successor struct {
	cmd    *exec.Cmd
	exited chan error
	conns  int           // that it was given
	paused time.Duration // how long nothing was begun
}

// upgrade does it. The caller holds changing.
func (d *Daemon) upgrade(ctx context.Context) (*successor, error) {
	if d.program == "" {
		return nil, errors.New("the program's file is not known")
	}
	own, others, err := handover.Pair()
	if err != nil {
		return nil, err
	}
	defer own.Close()
	next, err := d.start(others)
	others.Close()
	if err != nil {
		return nil, err
	}
	if err := d.give(ctx, own, next); err != nil {
		return nil, errors.Join(err, next.kill())
	}
	return next, nil
}

// give makes the successor ready and gives it everything. On an error the proxy goes on; the successor is dead if it could be in its way.
func (d *Daemon) give(ctx context.Context, own *handover.Conn, next *successor) error {
	stop := context.AfterFunc(ctx, own.Close) // who ends the process ends its upgrade too
	defer stop()
	own.Deadline(time.Now().Add(readyTimeout))
	listeners, err := d.listeners()
	if err != nil {
		return err
	}
	err = own.Begin(listeners)
	if admin := len(listeners) - 1; admin >= 0 && listeners[admin].Purpose == handover.Admin {
		listeners[admin].File.Close() // a copy
	}
	if err != nil {
		return next.why(err)
	}
	limited, cancel := context.WithTimeout(ctx, d.file.Proxy.DrainTimeout)
	if d.file.Proxy.DrainTimeout == 0 {
		limited, cancel = context.WithTimeout(ctx, proxy.DefaultDrainTimeout)
	}
	defer cancel()
	begun := time.Now()
	state, err := d.Freeze(limited)
	if err != nil {
		return err
	}
	own.Deadline(time.Now().Add(takeTimeout))
	if err = own.Give(state); err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = own.Go()
	}
	if err != nil {
		err = errors.Join(next.why(err), next.kill()) // before its clients are touched again
		d.Thaw()
		return err
	}
	next.conns, next.paused = len(state.Sessions), time.Since(begun)
	return nil
}

// listeners gives what the process listens on; the file of the admin's, which is the last, is a copy.
func (d *Daemon) listeners() ([]handover.Listener, error) {
	all := d.Listeners()
	if d.adminLn == nil {
		return all, nil
	}
	f, err := d.adminLn.File()
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return append(all, handover.Listener{Purpose: handover.Admin, Network: "tcp", Address: d.file.Admin.Address, File: f}), nil
}

// start starts the program anew, as this process was started.
func (d *Daemon) start(conn *os.File) (*successor, error) {
	cmd := exec.Command(d.program, d.args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{conn} // it is 3 there
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID", handoverEnv}, name)
	})
	cmd.Env = append(cmd.Env, handoverEnv+"=3")
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", d.program, err)
	}
	s := &successor{cmd: cmd, exited: make(chan error, 1)}
	go func() { s.exited <- cmd.Wait() }() // ends with the process, or with this one
	return s, nil
}

// why adds to what went wrong how the process has ended, if it has.
func (s *successor) why(err error) error {
	select {
	case how := <-s.exited:
		s.exited <- how
		if how == nil {
			how = errors.New("without an error")
		}
		return fmt.Errorf("%w (the new process %d has ended: %w)", err, s.cmd.Process.Pid, how)
	case <-time.After(100 * time.Millisecond): // it may be about to
		return err
	}
}

// kill ends the process, and returns when it has ended.
func (s *successor) kill() error {
	_ = s.cmd.Process.Kill() // it may be gone
	select {
	case how := <-s.exited:
		s.exited <- how
		return nil
	case <-time.After(killTimeout):
		return fmt.Errorf("the new process %d does not end", s.cmd.Process.Pid)
	}
}

// An Inheritance is what a process has from the one before it, or from systemd. nil is none.
type Inheritance struct {
	conn      *handover.Conn // nil: there is nobody before
	listeners []handover.Listener
	paths     []string // of unix sockets that nobody needs any more, when this process has taken over
}

// Inherit gives what the environment says that the process has inherited, and takes it out of the environment, so that no child thinks the same.
func Inherit() (*Inheritance, error) {
	number := os.Getenv(handoverEnv)
	if number == "" {
		return inheritSockets()
	}
	os.Unsetenv(handoverEnv)
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q is no descriptor", handoverEnv, number)
	}
	i := &Inheritance{}
	if i.conn, err = handover.Open(os.NewFile(uintptr(fd), "handover")); err != nil {
		return nil, err
	}
	i.conn.Deadline(time.Now().Add(readyTimeout))
	if i.listeners, err = i.conn.Listeners(); err != nil {
		i.conn.Close()
		return nil, err
	}
	i.conn.Deadline(time.Time{}) // the other process has deadlines, and if it ends, so does the dialogue
	return i, nil
}

// takesOver says whether there is a process before.
func (i *Inheritance) takesOver() bool { return i != nil && i.conn != nil }

// Failed tells the process before why this one does not take its place. It does nothing if why is nil, or nobody is there.
func (i *Inheritance) Failed(why error) {
	if i.takesOver() && why != nil {
		i.conn.Failed(why)
		i.conn.Close()
	}
}

// takeOver waits until everything is given to d, which may serve then; with an error the process before goes on.
func (i *Inheritance) takeOver(ctx context.Context, d *Daemon) error {
	defer i.conn.Close()
	stop := context.AfterFunc(ctx, i.conn.Close)
	defer stop()
	state, err := i.conn.Take()
	if err != nil {
		return err
	}
	if err := d.Adopt(state, i.listeners); err != nil {
		i.conn.Failed(err)
		return err
	}
	if err := i.conn.Taken(); err != nil {
		return err
	}
	for _, path := range i.paths {
		_ = os.Remove(path) // whoever finds it there is refused
	}
	d.log.Info("this process has taken over", zap.Int("conns", len(state.Sessions)))
	return nil
}

// admin gives the listener for the admin endpoints, if there is one; its file is taken.
func (i *Inheritance) admin(address string) (net.Listener, error) {
	if i == nil {
		return nil, nil
	}
	for n := range i.listeners {
		l := &i.listeners[n]
		if l.Purpose == handover.Admin && l.File != nil && l.Is("tcp", address) {
			ln, err := net.FileListener(l.File)
			l.File.Close()
			l.File = nil
			return ln, err
		}
	}
	return nil, nil
}

// inherited is what the proxy begins with.
func (i *Inheritance) inherited() proxy.Inherited {
	if i == nil {
		return proxy.Inherited{}
	}
	return proxy.Inherited{Listeners: i.listeners, Clients: i.takesOver()}
}

// closeRest closes what nobody needs.
func (i *Inheritance) closeRest(log *zap.Logger) {
	if i == nil {
		return
	}
	for n := range i.listeners {
		if l := &i.listeners[n]; l.File != nil {
			log.Warn("an inherited socket is in no [[listeners]] or [admin] of the configuration, and is closed", zap.String("address", l.Address))
			l.File.Close()
			l.File = nil
			if l.Unlink {
				i.paths = append(i.paths, l.Address)
			}
		}
	}
}
