package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Page is what a measuring program writes.
type Page struct {
	Title       string
	Target      string // of make, that writes it
	Begun       time.Time
	Machine     [][]string // name, value
	Method      string     // how the figures came about
	Head        []string   // of the summary: name, title, what is to be reached, figures, whether it is
	Kind        string     // stands behind the date in the file's name
	Full        bool       // measured as often as it takes for figures to quote; Run has the last word
	Interrupted bool       // set by Run
	Sections    []Section  // likewise
}

// A Load is one part of what a program measures.
type Load struct {
	Name    string // short
	Title   string
	ToReach string // the targets in words
	Either  bool   // one target is enough
	Measure func(context.Context, *Findings) error
}

// A Section is a load that was measured, or an error with what was found before it.
type Section struct {
	Load     Load
	Findings *Findings
	Err      error
}

// Run measures load after load, and writes the page of all that were measured to the file, or to the page's own if it is "". When ctx is
// done it writes what was finished. A load that could not be measured is an error, after all others were: the page says so.
func (m *Machine) Run(ctx context.Context, page *Page, loads []Load, file string) error {
	var failed []error
	for _, l := range loads {
		m.Say("%s: %s", l.Name, l.Title)
		m.Repeated = nil
		f := &Findings{}
		err := l.Measure(ctx, f)
		if ctx.Err() != nil {
			page.Interrupted = true
			failed = []error{errors.New("interrupted")}
			break
		}
		for _, why := range m.Repeated {
			f.Note("Measured again: %s", why)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", l.Name, err)
			failed = append(failed, err)
			m.Say("%v", err)
		}
		page.Sections = append(page.Sections, Section{l, f, err})
	}
	if len(page.Sections) == 0 {
		return errors.Join(failed...)
	}
	if file == "" {
		file = page.File()
	}
	if err := page.write(file); err != nil {
		return errors.Join(append(failed, err)...)
	}
	m.Say("written to %s", file)
	return errors.Join(failed...)
}

// File is where the page belongs: "-quick" stands behind the name if the figures are not for quoting.
func (p *Page) File() string {
	name := p.Begun.Format(time.DateOnly) + p.Kind
	if !p.Full || p.Interrupted {
		name += "-quick"
	}
	return filepath.Join("bench", "results", name+".md")
}

// write writes the page, and makes the file's directory.
func (p *Page) write(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(p.Markdown()), 0o644)
}

// Markdown is the whole page.
func (p *Page) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, %s\n\n", p.Title, p.Begun.Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(&b, "Written by `make %s`; every figure is computed from the runs.\n\n", p.Target)
	if p.Interrupted {
		b.WriteString("**The run was interrupted: what is missing was not measured.**\n\n")
	}
	Table{Head: []string{"machine", ""}, Rows: p.Machine}.Markdown(&b)
	fmt.Fprintf(&b, "%s\n\n## Summary\n\n", p.Method)
	p.Summary().Markdown(&b)
	for _, s := range p.Sections {
		s.markdown(&b)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (s Section) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "## %s: %s\n\n", s.Load.Name, s.Load.Title)
	if s.Err != nil {
		fmt.Fprintf(b, "**Not measured to the end: %v**\n\n", s.Err)
	}
	if len(s.Findings.Verdicts) > 0 {
		VerdictTable(s.Findings.Verdicts).Markdown(b)
	}
	for _, t := range s.Findings.Tables {
		t.Markdown(b)
	}
	for _, note := range s.Findings.Notes {
		fmt.Fprintf(b, "%s\n\n", note)
	}
}

// Reached reports whether the section's targets were, all of them or, as Either says, one.
func (s Section) Reached() bool {
	reached := 0
	for _, v := range s.Findings.Verdicts {
		if v.Reached() {
			reached++
		}
	}
	return s.Err == nil && reached > 0 && (s.Load.Either || reached == len(s.Findings.Verdicts))
}

// Summary has a row for each section.
func (p *Page) Summary() Table {
	t := Table{Head: p.Head}
	for _, s := range p.Sections {
		var parts []string
		for _, v := range s.Findings.Verdicts {
			text := v.What + " " + v.Figure.Format(v.Text)
			if !v.Reached() {
				text = "**" + text + "**"
			}
			parts = append(parts, text)
		}
		if s.Err != nil {
			parts = append(parts, "not measured to the end")
		}
		t.Rows = append(t.Rows, []string{s.Load.Name, s.Load.Title, s.Load.ToReach, strings.Join(parts, "; "), Yes(s.Reached())})
	}
	return t
}
