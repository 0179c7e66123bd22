package config

import (
	"fmt"
	"strings"
)

// Reference gives every key with its default, what is allowed and what it does, as the Markdown of docs/config.md.
func Reference() string {
	var b strings.Builder
	for _, s := range sections() {
		fmt.Fprintf(&b, "## %s\n\n", heading(s.title))
		b.WriteString("| key | default | allowed | what it does |\n|---|---|---|---|\n")
		for _, o := range s.options {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o.name, code(o.def), cell(o.kind.allowed), cell(o.doc))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func heading(title string) string {
	if strings.HasPrefix(title, "[") {
		return "`" + title + "`"
	}
	return strings.ToUpper(title[:1]) + title[1:]
}

// code gives a default as code, or a dash for none.
func code(toml string) string {
	if toml == "" {
		return "–"
	}
	return "`" + toml + "`"
}

// cell takes away what would end a table's cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
