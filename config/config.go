package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"

	"mcproxy/proxy"
)

// MaxSize is the longest file that is read, in bytes.
const MaxSize = 1 << 20

// A File is what a proxy.toml says, checked.
type File struct {
	Proxy proxy.Config
	Log   Log
	Admin Admin

	// Warnings are not errors: the proxy runs with them. Sorted by line.
	Warnings []Problem

	data map[string]any // the file as it was decoded
}

// Log says how the log is written.
type Log struct {
	Level  string // "debug", "info", "warn" or "error"
	Format string // "console" or "json"
}

// Admin says where the HTTP endpoints for operators are.
type Admin struct {
	Address          string // "127.0.0.1:9151"; "" is no endpoint
	NativeHistograms bool   // histograms have native buckets too

	Remote bool     // Address may be one that other machines reach
	Hosts  []string // names that requests may ask for then
	Pprof  bool     // Go's profiles are served
}

// Load reads the file at path. Its error is Problems if the file could be read.
func Load(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, string(text))
}

// Parse reads text, which is at most MaxSize bytes and is called name in problems. Its error is Problems.
func Parse(name, text string) (*File, error) {
	if len(text) > MaxSize {
		return nil, Problems{{File: name, Line: 1, Text: fmt.Sprintf("longer than %d bytes", MaxSize)}}
	}
	data := make(map[string]any)
	if _, err := toml.Decode(text, &data); err != nil {
		return nil, Problems{syntaxProblem(name, err)}
	}
	r := reader{file: name}
	root, again := index(text)
	for _, a := range again {
		r.problems = append(r.problems, Problem{name, a.line, a.first.path(), fmt.Sprintf("is already on line %d; write it once", a.first.line)})
	}
	file := r.document(value{at: root, data: data})
	sortByLine(r.warnings)
	file.Warnings, file.data = r.warnings, data
	if len(r.problems) > 0 {
		sortByLine(r.problems)
		return nil, r.problems
	}
	return file, nil
}

// syntaxProblem says what the library says of text that is no TOML.
func syntaxProblem(name string, err error) Problem {
	p := Problem{File: name, Line: 1, Text: err.Error()}
	var parse toml.ParseError
	if errors.As(err, &parse) {
		// The library counts down from the end of the file, and may arrive at 0.
		p.Line = max(1, parse.Position.Line)
		p.Key = visible(parse.LastKey)
		p.Text = visible(parse.Message)
	}
	return p
}

// visible gives text with its control characters as escapes, so that it stays on one line.
func visible(text string) string {
	var b strings.Builder
	for _, c := range text {
		if unicode.IsControl(c) {
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}
