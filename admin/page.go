package admin

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strings"
)

// pageFiles are what the page is put together from. uplot.js and uplot.css are uPlot 1.6.32's dist/uPlot.iife.min.js and
// dist/uPlot.min.css, unchanged; uplot.LICENSE is its licence.
//
//go:embed page/*.html page/*.css page/*.js
var pageFiles embed.FS

// A page is one document with its style sheet and scripts within: a browser fetches nothing else for it.
type page struct {
	text   string
	policy string // Content-Security-Policy
}

// newPage puts the page together. Its policy lets exactly these scripts and styles run, and connects to nobody else; so even a key
// that made its way into the document as HTML could do nothing.
func newPage() page {
	read := func(names ...string) string {
		var all strings.Builder
		for _, name := range names {
			text, err := pageFiles.ReadFile("page/" + name)
			if err != nil {
				panic("admin: " + err.Error()) // it is embedded
			}
			all.Write(text)
			all.WriteByte('\n')
		}
		return all.String()
	}
	style := read("uplot.css", "page.css")
	script := read("uplot.js", "format.js", "table.js", "plot.js", "data.js", "page.js")
	source := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return page{
		text: strings.NewReplacer("/*style*/", style, "/*script*/", script).Replace(read("page.html")),
		policy: "default-src 'none'; connect-src 'self'; img-src data:; style-src " + source(style) + "; script-src " + source(script) +
			"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}
}

// endpoints is what GET / tells whoever is no browser.
const endpoints = `mcproxy

/              this list, and to browsers the page
/metrics       figures for Prometheus
/healthz       the process runs
/readyz        clients are accepted
/api/status    pools, backends and clients as they are now, as JSON
/api/history   the last 15 minutes by the second, as JSON; ?after=N&pool=POOL
/api/hotkeys   the heaviest and the largest keys, as JSON; ?pool=POOL
/api/lookup    where a key belongs, and what is there, as JSON; ?key=KEY
/api/release   POST ?pool=POOL&backend=BACKEND lets a held backend come back
/api/reload    POST has the configuration file read again
/api/upgrade   POST has a new process of the program take over
/api/loglevel  the lowest level that is logged; POST ?level=LEVEL changes it`

// root answers GET /.
func (s *Server) root(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Vary", "Accept")
	if !strings.Contains(req.Header.Get("Accept"), "text/html") {
		say(w, http.StatusOK, endpoints)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", s.page.policy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write([]byte(s.page.text)) // the client is gone, and nobody else wants to know
}
