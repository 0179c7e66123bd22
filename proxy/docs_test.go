package proxy_test

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy"
	"mcproxy/proxy/door"
)

const protocolDoc = "../docs/protocol.md"

// A document is what a test can play or check of docs/protocol.md.
type document struct {
	text   string
	blocks []docBlock
	tables []docTable
}

// A docBlock is a fenced block; line is the fence's.
type docBlock struct {
	line int
	info string
	text string
}

// A docTable is a table; cells are trimmed.
type docTable struct {
	header []string
	rows   []docRow
}

type docRow struct {
	line  int
	cells []string
}

func readDocument(t *testing.T) *document {
	t.Helper()
	text, err := os.ReadFile(protocolDoc)
	if err != nil {
		t.Fatal(err)
	}
	d := &document{text: string(text)}
	var block *docBlock
	inTable := false
	for i, line := range strings.Split(d.text, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && block != nil:
			d.blocks = append(d.blocks, *block)
			block = nil
		case isFence:
			block = &docBlock{line: i + 1, info: fence}
		case block != nil:
			block.text += line + "\n"
		case strings.HasPrefix(line, "| ") && !inTable:
			d.tables = append(d.tables, docTable{header: docCells(line)})
			inTable = true
		case strings.HasPrefix(line, "| "):
			table := &d.tables[len(d.tables)-1]
			table.rows = append(table.rows, docRow{i + 1, docCells(line)})
		default:
			inTable = inTable && strings.HasPrefix(line, "|---")
		}
	}
	return d
}

func docCells(line string) []string {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// table gives the rows of the tables with that header.
func (d *document) table(t *testing.T, header ...string) (rows []docRow) {
	t.Helper()
	for _, table := range d.tables {
		if slices.Equal(table.header, header) {
			rows = append(rows, table.rows...)
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s: no table %q", protocolDoc, header)
	}
	return rows
}

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	repeated = regexp.MustCompile(`(\w)\{(\d+)\}`)
)

// docLines gives the lines that a cell's code stands for, each with CRLF.
func docLines(cell string) (lines string) {
	for _, span := range codeSpan.FindAllStringSubmatch(cell, -1) {
		lines += unescape(expand(span[1])) + "\r\n"
	}
	return lines
}

// expand writes k{3} out as kkk.
func expand(s string) string {
	return repeated.ReplaceAllStringFunc(s, func(r string) string {
		n, err := strconv.Atoi(r[2 : len(r)-1])
		if err != nil {
			panic(err)
		}
		return strings.Repeat(r[:1], n)
	})
}

// serveMemcacheds runs a proxy over one pool of real memcacheds.
func serveMemcacheds(t *testing.T, cfg pool.Config, maxValue int64, memcacheds int) string {
	t.Helper()
	return serveMemcachedsBehind(t, door.Config{}, cfg, maxValue, memcacheds)
}

func serveMemcachedsBehind(t *testing.T, d door.Config, cfg pool.Config, maxValue int64, memcacheds int) string {
	t.Helper()
	cfg.Name = "main"
	cfg.Backend.Timeout = 5 * time.Second // a busy machine is no failing backend
	for i := range memcacheds {
		cfg.Backends = append(cfg.Backends, pool.BackendConfig{
			Name: string(rune('a' + i)), Network: "tcp", Address: memcachedtest.Start(t).Addr(),
		})
	}
	return serve(t, proxy.Config{
		Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0", Door: d}}, Workers: 1, MaxValue: maxValue, Pools: []pool.Config{cfg},
	})
}

// TestProtocolDocConversations plays the fenced blocks of docs/protocol.md, before real memcacheds or scripted backends.
func TestProtocolDocConversations(t *testing.T) {
	blocks := readDocument(t).blocks
	if len(blocks) == 0 {
		t.Fatal("no conversations")
	}
	for _, block := range blocks {
		t.Run(fmt.Sprintf("line %d", block.line), func(t *testing.T) {
			p := newPlay(t, protocolDoc)
			p.line = block.line
			text := block.text
			switch block.info {
			case "conversation scripted":
			case "conversation":
				memcacheds := 1
				if two := "option backends=2\n"; strings.Contains(text, two) {
					memcacheds, text = 2, strings.Replace(text, two, "# "+two, 1)
				}
				p.maxValue, p.backends = 0, nil
				p.begin = func() {
					p.addr = serveMemcachedsBehind(t, p.door, pool.Config{AllowFlushAll: p.flushAll}, p.maxValue, memcacheds)
				}
			default:
				t.Fatalf("%s:%d: %q is no kind of conversation", protocolDoc, block.line, block.info)
			}
			p.run(expand(text))
		})
	}
}

// ask plays a table's row: the client gets what the cell says, and nothing else.
func (p *play) ask(row docRow, cell string) {
	p.t.Helper()
	p.line = row.line
	want := docLines(cell)
	if want == "" && cell != "nothing" {
		p.fatalf("%q is no answer", cell)
	}
	p.client("c", '>', docLines(row.cells[0]))
	for line := range strings.Lines(want) {
		p.client("c", '<', line)
	}
	p.client("c", '.', "")
}

// TestProtocolDocTables plays every row of the tables of docs/protocol.md that say what a client sends and gets.
func TestProtocolDocTables(t *testing.T) {
	p := newPlay(t, protocolDoc)
	p.addr = serveMemcacheds(t, pool.Config{}, 0, 1)
	for _, row := range readDocument(t).table(t, "client sends", "client gets") {
		p.ask(row, row.cells[1])
	}
}

// TestProtocolDocDeviations plays the table of deviations against a proxy, and against memcached itself if that is 1.6.18: of
// another release the table says nothing.
func TestProtocolDocDeviations(t *testing.T) {
	rows := readDocument(t).table(t, "client sends", "client gets", "from memcached 1.6.18")
	through := newPlay(t, protocolDoc)
	through.addr = serveMemcacheds(t, pool.Config{}, 0, 2)
	server := memcachedtest.Start(t)
	direct := newPlay(t, protocolDoc)
	direct.addr = server.Addr()
	version := server.Command("version")
	for _, row := range rows {
		through.ask(row, row.cells[1])
		if version == "VERSION 1.6.18\r\n" && strings.HasPrefix(row.cells[2], "`") {
			direct.ask(row, row.cells[2])
		}
	}
	// The differential test forgives what its table says and nothing else; this one has a row for each of its rules, but for
	// those of values that are split, which this proxy does not do.
	rules := 0
	ast.Inspect(parseFile(t, "../internal/e2e/deviations_test.go"), func(n ast.Node) bool {
		if kv, ok := n.(*ast.KeyValueExpr); ok {
			switch fmt.Sprint(kv.Key) {
			case "rule":
				rules++
			case "splits":
				rules--
			}
		}
		return true
	})
	if rules != len(rows) {
		t.Errorf("%s has %d deviations, internal/e2e/deviations_test.go %d", protocolDoc, len(rows), rules)
	}
}

// TestProtocolDocFailures plays the table of what a client is told when a backend does not answer.
func TestProtocolDocFailures(t *testing.T) {
	rows := readDocument(t).table(t, "client sends", "`on_error = \"miss\"`", "`on_error = \"error\"`")
	said := make(map[string]bool)
	for _, row := range rows {
		word, _, _ := strings.Cut(docLines(row.cells[0]), " ")
		said[word] = true
	}
	for v := range protocol.Verbs {
		if verb := protocol.Verb(v); (verb.IsRead() || verb.IsWrite()) && !said[verb.String()] {
			t.Errorf("%s: what does a client hear whose %s failed?", protocolDoc, verb)
		}
	}
	for _, onError := range []pool.OnError{pool.OnErrorMiss, pool.OnErrorError} {
		p := newPlay(t, protocolDoc)
		p.addr = serve(t, proxy.Config{
			Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}},
			Pools: []pool.Config{{
				Name: "main", OnError: onError,
				Backends: []pool.BackendConfig{{Name: "a", Network: "unix", Address: filepath.Join(t.TempDir(), "nobody")}},
			}},
		})
		for _, row := range rows {
			switch {
			case onError == pool.OnErrorMiss:
				p.ask(row, row.cells[1])
			case row.cells[2] == "nothing":
				p.ask(row, row.cells[2])
			case row.cells[2] == "`SERVER_ERROR` and the reason":
				p.line = row.line
				p.client("c", '>', docLines(row.cells[0]))
				p.client("c", '~', "SERVER_ERROR a: .+")
				p.client("c", '.', "")
			default:
				t.Errorf("%s:%d: %q is no answer", protocolDoc, row.line, row.cells[2])
			}
		}
	}
}

// TestProtocolDocStats holds the list of the proxy's own stats lines.
func TestProtocolDocStats(t *testing.T) {
	var want []string
	for _, row := range readDocument(t).table(t, "line", "what it says") {
		want = append(want, strings.Trim(row.cells[0], "`"))
	}
	conn, err := net.Dial("tcp", serveMemcacheds(t, pool.Config{}, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "stats\r\nquit\r\n"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "STAT mcproxy_"); ok {
			name, _, _ = strings.Cut(name, " ")
			got = append(got, "mcproxy_"+strings.NewReplacer("pool_main", "pool_POOL", "backend_a", "backend_BACKEND").Replace(name))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("stats has %q, %s says %q", got, protocolDoc, want)
	}
}

// TestProtocolDocLimits holds the bounds that the table of limits names against the code and docs/config.md.
func TestProtocolDocLimits(t *testing.T) {
	session, gather, meta := parseFile(t, "session.go"), parseFile(t, "../pool/gather.go"), parseFile(t, "../protocol/meta.go")
	bounds := map[string][]string{
		"bytes of a key, as it stands on the line and base64 decoded":                      {figure(protocol.MaxKeyLen)},
		"bytes of a line before its LF, but for `get` and `gets`":                          {figure(protocol.MaxLineLen)},
		"bytes of a `get` or `gets` line":                                                  {constantOf(t, session, "maxLine")},
		"flags of a meta command":                                                          {constantOf(t, meta, "maxMetaFlags"), constantOf(t, meta, "maxMetaSetFlags")},
		"bytes of an opaque token, its O included":                                         {constantOf(t, meta, "maxOpaque")},
		"requests of one client under way, at first":                                       {constantOf(t, session, "firstWindow")},
		"bytes of answers expected for them, by the usual size of an answer to the client": {constantOf(t, session, "maxExpected")},
		"bytes of values of one client that backends have not confirmed":                   {constantOf(t, session, "maxFlight")},
		"bytes of the answer to a retrieval of several keys":                               {constantOf(t, gather, "maxGathered")},
	}
	config, err := os.ReadFile("../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range readDocument(t).table(t, "what", "bound", "past it") {
		what, bound := row.cells[0], row.cells[1]
		figures, ours := bounds[what]
		delete(bounds, what)
		for _, f := range figures {
			if !strings.Contains(bound, f) {
				t.Errorf("%s:%d: %s: %q, and it is %s", protocolDoc, row.line, what, bound, f)
			}
		}
		if spans := codeSpan.FindAllString(bound, -1); !ours {
			if len(spans) != 2 || !strings.Contains(string(config), "\n| "+spans[0]+" | "+spans[1]+" |") {
				t.Errorf("%s:%d: %s: docs/config.md has no default %q", protocolDoc, row.line, what, bound)
			}
		}
	}
	for what := range bounds {
		t.Errorf("%s says nothing of %s", protocolDoc, what)
	}
}

// TestProtocolDocWords looks for every verb, every word that is refused, every answer and every reason in the document.
func TestProtocolDocWords(t *testing.T) {
	doc := readDocument(t)
	var words []string
	for v := protocol.Refused + 1; int(v) < protocol.Verbs; v++ {
		words = append(words, "`"+v.String()+"`")
	}
	refused := refusedWords(t)
	if !slices.Contains(refused, "`shutdown`") || !slices.Contains(refused, "`watch`") {
		t.Fatalf("refused words: %q", refused)
	}
	words = append(words, refused...)
	var commands strings.Builder
	for _, row := range doc.table(t, "command", "what becomes of it") {
		commands.WriteString(row.cells[0])
	}
	for _, word := range words {
		if !strings.Contains(commands.String(), word) {
			t.Errorf("%s: the table of commands has no %s", protocolDoc, word)
		}
	}
	for _, answer := range literals(parseFile(t, "../protocol/answer.go"), func(s string) bool { return strings.HasSuffix(s, "\r\n") && s != "\r\n" }) {
		if !strings.Contains(doc.text, "`"+strings.TrimSpace(answer)) {
			t.Errorf("%s does not have the answer %q", protocolDoc, answer)
		}
	}
	var reasons strings.Builder
	for _, row := range doc.table(t, "reason", "what it means") {
		reasons.WriteString(row.cells[0])
	}
	for _, err := range []error{
		backend.ErrDown, backend.ErrHeld, backend.ErrLogin, backend.ErrUnsettled, backend.ErrTimeout, backend.ErrClosed, backend.ErrProtocol, backend.ErrShutdown,
	} {
		if !strings.Contains(reasons.String(), "`"+err.Error()+"`") {
			t.Errorf("%s does not have the reason %q", protocolDoc, err)
		}
	}
}

// refusedWords are those that protocol's parser refuses by name, as code spans.
func refusedWords(t *testing.T) (words []string) {
	t.Helper()
	for _, decl := range parseFile(t, "../protocol/parse.go").Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "parseUnknown" {
			ast.Inspect(fn, func(n ast.Node) bool {
				if clause, ok := n.(*ast.CaseClause); ok {
					for _, expr := range clause.List {
						words = append(words, literals(expr, func(string) bool { return true })...)
					}
				}
				return true
			})
		}
	}
	for i := range words {
		words[i] = "`" + words[i] + "`"
	}
	return words
}

func parseFile(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// literals are the strings in a piece of Go that want takes.
func literals(node ast.Node, want func(string) bool) (found []string) {
	ast.Inspect(node, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && want(s) {
				found = append(found, s)
			}
		}
		return true
	})
	return found
}

// constantOf gives a constant of a file as the document writes it.
func constantOf(t *testing.T, file *ast.File, name string) (text string) {
	t.Helper()
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != name || len(spec.Values) != 1 {
			return true
		}
		value, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(spec.Values[0]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n64, _ := constant.Int64Val(value.Value)
		text = figure(n64)
		return true
	})
	if text == "" {
		t.Fatalf("no constant %s", name)
	}
	return text
}

// figure writes 2048 as 2,048 and 1<<20 as 1 MiB.
func figure(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1000:
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return strconv.FormatInt(n, 10)
}
