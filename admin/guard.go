package admin

import (
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
)

// The paths that are posted to: the first three change something, and take nothing but POST; the next may get its key by POST; the last
// changes something by POST, and tells it by GET.
const (
	releasePath  = "/api/release"
	reloadPath   = "/api/reload"
	upgradePath  = "/api/upgrade"
	lookupPath   = "/api/lookup"
	logLevelPath = "/api/loglevel"
)

// pprofPath is where Go's profiles are.
const pprofPath = "/debug/pprof/"

// A guard lets only reads through, but for the paths above, and only from those who know whom they talk to: a page in a browser can make a name
// of its own point to any address, and then reads what it likes. What changes something must not come from another site's page
// (http.CrossOriginProtection), because browsers let pages post anywhere; and not from another machine, nor must what tells of memory.
type guard struct {
	next         http.Handler
	origin       *http.CrossOriginProtection
	loopbackOnly bool     // nobody else can reach the address
	hosts        []string // that requests may ask for, where others can
}

// ServeHTTP is http.Handler's.
func (g *guard) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	methods, told := []string{"GET", "HEAD"}, "only GET and HEAD are answered here"
	switch req.URL.Path {
	case releasePath, reloadPath, upgradePath:
		methods, told = []string{"POST"}, "only POST is answered here"
	case lookupPath, logLevelPath:
		methods, told = []string{"GET", "HEAD", "POST"}, "only GET, HEAD and POST are answered here"
	}
	changes := req.Method == http.MethodPost && req.URL.Path != lookupPath
	switch {
	case !slices.Contains(methods, req.Method):
		w.Header().Set("Allow", strings.Join(methods, ", "))
		say(w, http.StatusMethodNotAllowed, told)
	case g.loopbackOnly && !loopbackHost(req.Host):
		say(w, http.StatusForbidden, "ask for localhost, 127.0.0.1 or [::1]: this address is the machine's own")
	case !g.loopbackOnly && !g.knows(req.Host):
		say(w, http.StatusForbidden, "ask for an IP address, or a name among the hosts of [admin]")
	case g.origin.Check(req) != nil:
		say(w, http.StatusForbidden, "another site's page has sent this")
	case !g.loopbackOnly && (changes || strings.HasPrefix(req.URL.Path, pprofPath)) && !fromHere(req):
		say(w, http.StatusForbidden, "only this machine's own requests are answered here")
	default:
		g.next.ServeHTTP(w, req)
	}
}

// knows says whether a Host header is one that no page of another site can have in its address: an IP address, localhost, or a name that
// the operator gave.
func (g *guard) knows(host string) bool {
	if loopbackHost(host) {
		return true
	}
	name := hostName(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// hostName is a Host header's name or address.
func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
}

// loopbackHost says whether a Host header names this machine. One without a Host, as HTTP/1.0 allows, comes from no browser.
func loopbackHost(host string) bool {
	if host == "" {
		return true
	}
	name := hostName(host)
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return strings.EqualFold(name, "localhost")
}

// fromHere says whether a request comes from this machine.
func fromHere(req *http.Request) bool {
	from, err := netip.ParseAddrPort(req.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// isLoopback says whether an address can be reached from this machine alone.
func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

func addPprof(mux *http.ServeMux) {
	mux.HandleFunc(pprofPath, pprof.Index)
	mux.HandleFunc(pprofPath+"cmdline", pprof.Cmdline)
	mux.HandleFunc(pprofPath+"profile", pprof.Profile)
	mux.HandleFunc(pprofPath+"symbol", pprof.Symbol)
	mux.HandleFunc(pprofPath+"trace", pprof.Trace)
}
