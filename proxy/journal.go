package proxy

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"mcproxy/internal/durable"
	"mcproxy/internal/epoll"
	"mcproxy/pool"
)

// Journals of missed writes can be kept on disk (Config.JournalDir). Then the answer to a write leaves only when all that was noted
// before is safe there: what a client was told has failed stays so, however the process ends. Writes of all workers that fail at
// once share a sync. No loop waits for the disk; only the answers do, and not for long.

// journalPatience is how long they do. A disk that is slower than that is counted.
const journalPatience = int64(100 * time.Millisecond)

// openJournal opens the file that journals are kept in, and takes over what it has.
func (s *Server) openJournal(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	disk, members, torn, err := durable.Open(filepath.Join(dir, "journal"), durable.Options{
		Notify: s.journalSafe,
		Fail: func(err error) {
			s.log.Error("the journal cannot be written; what is missed now would be forgotten if the proxy ended", zap.Error(err))
		},
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	s.disk.Store(disk)
	if len(members) > 0 || torn > 0 {
		s.log.Info("journal: a process before has left missed writes", zap.Int("keys", len(members)), zap.Int64("torn_bytes", torn))
	}
	s.ledger.KeepIn(disk, members)
	return nil
}

// closeJournal has all that was noted on disk, and lets go of the file.
func (s *Server) closeJournal() {
	if disk := s.disk.Load(); disk != nil {
		disk.Close()
	}
}

// journalSafe is the disk's word that more is safe.
func (s *Server) journalSafe() {
	if !s.ready.Load() && !s.draining.Load() {
		return // there are no workers yet
	}
	for _, w := range s.workers {
		if w.unsafe.Awaited() {
			w.loop.Post(func() { w.unsafe.Release(w.loop.Now) })
		}
	}
}

// unsafeAnswers are a worker's answers that wait for the disk.
type unsafeAnswers struct {
	durable.Queue
	alarm *epoll.Alarm
}

// watch prepares the worker's.
func (u *unsafeAnswers) watch(w *worker) {
	u.Set, u.Patience = w.srv.disk.Load(), journalPatience
	u.alarm = w.loop.NewAlarm(u)
}

// Expire is epoll.Timer's.
func (u *unsafeAnswers) Expire(now int64) (next int64) { return u.Release(now) }

// keepUnsafe keeps an answer back until all that was noted so far is safe, if it must not leave before.
func (s *session) keepUnsafe(x *pool.Exchange, answer []byte) bool {
	u := &s.w.unsafe
	if x.Size == 0 || x.Large != nil || !u.Unsafe() {
		return false
	}
	kept := append(s.w.loop.Buffers.Get(len(answer)), answer...)
	u.alarm.Set(u.Add(s.w.loop.Now, func() {
		s.finish(x, kept)
		s.w.loop.Buffers.Put(kept)
	}))
	return true
}

// JournalFigures tell of the journal on disk.
type JournalFigures struct {
	durable.Figures        // of the file; 0: it is in memory
	Late            uint64 // answers that did not wait any longer for it
}

func (s *Server) journalFigures() (f durable.Figures) {
	if disk := s.disk.Load(); disk != nil {
		f = disk.Figures()
	}
	return f
}
