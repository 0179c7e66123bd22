package top

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"mcproxy/admin"
)

// A column of a table. Where there is no room for all, those with the greatest minor are left out first; 0 always stays.
type column struct {
	title string
	right bool // its texts end at its right edge, as numbers do
	minor int
	grow  bool // it is cut where there is no room, and takes what is left over
}

// A cell is what stands in a row under a column.
type cell struct {
	text   string // may have colours
	number float64
	isText bool // it sorts by its text, not by its number
}

// A row is one of a table.
type row struct {
	cells  []cell
	search string // what the filter looks in, in small letters
}

// A table is what a tab shows.
type table struct {
	columns []column
	rows    []row
	sort    int    // the column that it is sorted by, if nobody says otherwise
	none    string // what is said without rows
}

// add appends a row.
func (t *table) add(cells ...cell) {
	var words []string
	for _, c := range cells {
		words = append(words, strings.ToLower(ansi.Strip(c.text)))
	}
	t.rows = append(t.rows, row{cells, strings.Join(words, " ")})
}

// filter keeps the rows that have a word.
func (t *table) filter(word string) {
	if word = strings.ToLower(word); word != "" {
		t.rows = slices.DeleteFunc(t.rows, func(r row) bool { return !strings.Contains(r.search, word) })
	}
}

// order sorts by a column: texts from the first to the last and numbers from the largest down, or the other way round. What is
// no number stands last.
func (t *table) order(by int, reverse bool) {
	slices.SortStableFunc(t.rows, func(a, b row) int {
		x, y := a.cells[by], b.cells[by]
		if x.isText {
			if reverse {
				x, y = y, x
			}
			return strings.Compare(strings.ToLower(ansi.Strip(x.text)), strings.ToLower(ansi.Strip(y.text)))
		}
		if none := cmp.Compare(flag(math.IsNaN(x.number)), flag(math.IsNaN(y.number))); none != 0 {
			return none
		}
		if reverse {
			x, y = y, x
		}
		return cmp.Compare(y.number, x.number)
	})
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

const gap = "  " // between columns

// fit gives each column's width in a terminal of so many columns; 0 for those that are left out. width 0 is as wide as it takes.
func (t *table) fit(width int) []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = ansi.StringWidth(c.title)
		if width > 0 && !c.right {
			widths[i]++ // for the arrow
		}
		for _, r := range t.rows {
			widths[i] = max(widths[i], ansi.StringWidth(r.cells[i].text))
		}
	}
	if width == 0 {
		return widths
	}
	for {
		sum, victim, grows := -len(gap), -1, -1
		for i, c := range t.columns {
			if widths[i] == 0 {
				continue
			}
			sum += widths[i] + len(gap)
			if c.grow {
				grows = i
			}
			if c.minor > 0 && (victim < 0 || c.minor > t.columns[victim].minor) {
				victim = i
			}
		}
		over := sum - width
		switch {
		case over <= 0:
			return widths
		case grows >= 0 && widths[grows]-over >= minGrow, victim < 0 && grows >= 0:
			widths[grows] = max(widths[grows]-over, 1)
			return widths
		case victim < 0:
			return widths
		}
		widths[victim] = 0
	}
}

// minGrow is how far a column that can be cut is cut before others are left out.
const minGrow = 24

// line writes texts under their columns.
func (t *table) line(widths []int, text func(i int) string) string {
	var b strings.Builder
	for i, w := range widths {
		if w == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(gap)
		}
		s := middle(text(i), w)
		pad := strings.Repeat(" ", max(0, w-ansi.StringWidth(s)))
		if t.columns[i].right {
			b.WriteString(pad + s)
		} else {
			b.WriteString(s + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// middle leaves out a text's middle if it is wider than w columns.
func middle(text string, w int) string {
	n := ansi.StringWidth(text)
	if n <= w {
		return text
	}
	if w < 8 {
		return ansi.Truncate(text, w, "…")
	}
	tail := (w - 1) / 3
	return ansi.Truncate(text, w-tail-1, "") + "…" + ansi.TruncateLeft(text, n-tail, "")
}

// Cells.

func textCell(text string) cell { return cell{text: text, isText: true} }

// figureCell writes a figure, or a dash where there is none.
func figureCell(f admin.Figure, write func(float64) string) cell {
	if !f.Known() {
		return cell{text: faint("-"), number: math.NaN()}
	}
	return cell{text: write(float64(f)), number: float64(f)}
}

// badCell is a figure that is to be nothing.
func badCell(f admin.Figure, write func(float64) string) cell {
	c := figureCell(f, write)
	if f > 0 {
		c.text = red(c.text)
	}
	return c
}

// Colours are the terminal's own.

func sgr(code, text string) string {
	if text == "" {
		return ""
	}
	return "\x1b[" + code + "m" + text + "\x1b[m"
}

func red(text string) string   { return sgr("1;31", text) }
func bold(text string) string  { return sgr("1", text) }
func faint(text string) string { return sgr("2", text) }
func green(text string) string { return sgr("32", text) }
