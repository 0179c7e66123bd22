package admin

import (
	"context"
	"time"

	"mcproxy/proxy"
)

// Record has the server's recorder take what the source told at a time.
func (s *Server) Record(at time.Time, snapshot proxy.Snapshot, keys []proxy.HotKeys) {
	s.recorder.take(moment{at, &figures{snapshot, keys}})
}

// Watch has the recorder look each second, as Serve does.
func (s *Server) Watch(ctx context.Context) { s.recorder.run(ctx) }
