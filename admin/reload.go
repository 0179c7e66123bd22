package admin

import (
	"context"
	"net/http"
)

// reload answers POST /api/reload.
func (s *Server) reload(w http.ResponseWriter, req *http.Request) {
	// It is not given up half way because who asked for it has gone.
	report, err := s.source.Reload(context.WithoutCancel(req.Context()))
	if err != nil {
		say(w, http.StatusConflict, err.Error())
		return
	}
	say(w, http.StatusOK, report+"reloaded")
}
