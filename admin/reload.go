package admin

import (
	"context"
	"net/http"
	"time"
)

// changeTimeout is how long a change may take, and its answer.
const changeTimeout = 3 * time.Minute

// change answers POST /api/reload and /api/upgrade by what do says came of it, and done.
func (s *Server) change(do func(ctx context.Context) (string, error), done string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(changeTimeout)) // where it cannot be set there is none
		// It is not given up half way because who asked for it has gone.
		report, err := do(context.WithoutCancel(req.Context()))
		if err != nil {
			say(w, http.StatusConflict, err.Error())
			return
		}
		say(w, http.StatusOK, report+done)
	}
}
