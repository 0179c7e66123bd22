package admin

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// status answers GET /api/status.
func (s *Server) status(w http.ResponseWriter, req *http.Request) {
	now, then, err := s.recorder.moments(req.Context())
	if err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, statusOf(now, then, s.build, s.source.Ready()))
}

// getHistory answers GET /api/history.
func (s *Server) getHistory(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	number := uint64(0)
	if text := query.Get("after"); text != "" {
		var err error
		if number, err = strconv.ParseUint(text, 10, 64); err != nil {
			say(w, http.StatusBadRequest, "after is the number that an earlier answer called next")
			return
		}
	}
	now, _, err := s.recorder.moments(req.Context())
	if err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	name := query.Get("pool")
	if name != "" && poolOf(&now.Snapshot, name) == nil {
		say(w, http.StatusNotFound, noPool(&now.Snapshot, name))
		return
	}
	s.recorder.mu.Lock()
	h := s.recorder.history.after(number, &now.Snapshot, name)
	s.recorder.mu.Unlock()
	answer(w, h)
}

// answer writes v as JSON, whose texts stand such that they are harmless in HTML too.
func answer(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil { // a figure that is no number
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the client is gone, and nobody else wants to know
}
