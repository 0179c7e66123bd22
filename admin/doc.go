// Package admin serves HTTP for operators, on an address of its own: /metrics for Prometheus, /healthz and /readyz for whoever
// starts and watches the process, /api/hotkeys for whoever looks at its keys, and /api/release for whoever has repaired a backend.
//
// It asks a Source for its figures when somebody asks for them, and knows nothing of the data path. Only GET and HEAD are
// answered, and they change nothing; /api/release alone takes POST, and not from another site's page. On a loopback address, a
// Host that is not loopback's is refused, so that no web page can read the figures through a name that it makes point to 127.0.0.1
// (DNS rebinding).
package admin
