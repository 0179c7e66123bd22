package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"mcproxy/proxy"
)

// release answers POST /api/release.
func (s *Server) release(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	poolName, backendName := query.Get("pool"), query.Get("backend")
	if poolName == "" || backendName == "" {
		say(w, http.StatusBadRequest, "which backend? POST /api/release?pool=POOL&backend=BACKEND")
		return
	}
	f, err := figuresOf(req.Context(), s.source)
	if err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	i := slices.IndexFunc(f.Pools, func(p proxy.PoolFigures) bool { return p.Name == poolName })
	if i < 0 {
		say(w, http.StatusNotFound, noPool(&f.Snapshot, poolName))
		return
	}
	backends := f.Pools[i].Backends
	j := slices.IndexFunc(backends, func(b proxy.BackendFigures) bool { return b.Name == backendName })
	if j < 0 {
		var names []string
		for _, b := range backends {
			names = append(names, b.Name)
		}
		say(w, http.StatusNotFound, fmt.Sprintf("pool %s has no backend %q; it has %s", poolName, backendName, strings.Join(names, ", ")))
		return
	}
	if state := backends[j].State; !s.source.Release(poolName, backendName) {
		say(w, http.StatusConflict, fmt.Sprintf("backend %s of pool %s is not held; it is %s",
			backendName, poolName, state))
		return
	}
	s.log.Info("an operator has released a backend", zap.String("pool", poolName), zap.String("backend", backendName),
		zap.String("client", req.RemoteAddr))
	say(w, http.StatusOK, fmt.Sprintf("backend %s of pool %s is released; it is used again when it answers", backendName, poolName))
}
