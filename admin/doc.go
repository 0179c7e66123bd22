// Package admin serves HTTP for operators, on an address of its own: a page for people, /metrics for Prometheus, /healthz and /readyz
// for whoever starts and watches the process, JSON under /api/ for who looks at its backends and keys, /api/release and /api/reload for whoever has
// repaired a backend.
//
//	Source ─► recorder (each second) ─► history (15 minutes) ─► /api/history ─┐
//	   │          └─► /api/status ────────────────────────────────────────────┼─► the page (page/*.js), mcproxy top
//	   └─► /metrics, /api/hotkeys, /api/lookup ───────────────────────────────┘
//
// It knows nothing of the data path. Only GET and HEAD are answered, and they change nothing; /api/release alone takes POST, and
// /api/lookup takes both; no POST is taken from another site's page. On a loopback address, a
// Host that is not loopback's is refused, so that no web page can read the figures through a name that it makes point to 127.0.0.1
// (DNS rebinding).
package admin
