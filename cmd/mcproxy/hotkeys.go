package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mcproxy/admin"
	"mcproxy/internal/termtext"
)

// hotKeysOptions are the flags of hotkeys.
type hotKeysOptions struct {
	client adminClient
	pool   string
	json   bool
	watch  bool
	all    bool
}

// watchInterval is how often hotkeys --watch asks.
const watchInterval = time.Second

// newHotKeysCommand is "mcproxy hotkeys".
func newHotKeysCommand() *cobra.Command {
	var o hotKeysOptions
	cmd := &cobra.Command{
		Use:   "hotkeys [--admin HOST:PORT | -c FILE] [flags]",
		Short: "Show a running proxy's hot keys, and what is done about each",
		Long: "hotkeys asks the [admin] address of a running proxy for the keys that cost its backends more than their share now, and for\n" +
			"those with values over the split threshold, of which it saw something within the last minute. The\n" +
			"share is of the pool's cost; what stands behind the + is the most that it may be too low. SINCE says for how long a\n" +
			"key has been hot. In keys, \\xHH is a byte that cannot be shown, and \\\\ a backslash; \"hash\" and 16 digits stand for a\n" +
			"key that the configuration hides. docs/hot-keys.md explains all of it.",
		Example: "  mcproxy hotkeys\n" +
			"  mcproxy hotkeys -c /etc/mcproxy/proxy.toml --pool main --all\n" +
			"  mcproxy hotkeys --watch\n" +
			"  mcproxy hotkeys --json | jq -r '.pools[].keys[].key'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("pool") && o.pool == "" {
				return usageError("--pool is empty; leave it out for all pools")
			}
			if err := o.client.resolve(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
			if o.watch {
				return o.follow(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			report, err := o.fetch(ctx)
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), report)
			}
			_, err = cmd.OutOrStdout().Write(o.table(report))
			return err
		},
	}
	o.client.bind(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.pool, "pool", "", "this `pool` alone")
	flags.BoolVar(&o.all, "all", false, "also the heaviest keys that are not hot")
	flags.BoolVar(&o.json, "json", false, "print JSON, as /api/hotkeys answers (docs/hot-keys.md); with --watch a line each time")
	flags.BoolVar(&o.watch, "watch", false, "again each second, until Ctrl-C")
	return cmd
}

// fetch asks the proxy once.
func (o *hotKeysOptions) fetch(ctx context.Context) (*admin.HotKeyReport, error) {
	query := url.Values{}
	if o.pool != "" {
		query.Set("pool", o.pool)
	}
	text, err := o.client.do(ctx, http.MethodGet, "/api/hotkeys", query)
	if err != nil {
		return nil, err
	}
	var report admin.HotKeyReport
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("%s answers, but not as mcproxy's [admin] address does: %w", o.client.address, err)
	}
	if !o.all {
		for i := range report.Pools {
			p := &report.Pools[i]
			p.Keys = slices.DeleteFunc(p.Keys, func(k admin.HotKey) bool { return !k.Hot })
		}
	}
	return &report, nil
}

// follow asks each second until ctx is done. That the first answer fails is an error; later ones may, while the proxy is
// restarted.
func (o *hotKeysOptions) follow(ctx context.Context, out, errOut io.Writer) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	screen := newScreen(out)
	for first := true; ; first = false {
		report, err := o.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil && (o.json || !screen.terminal):
			fmt.Fprintln(errOut, "mcproxy:", err)
			err = nil
		case err != nil:
			err = screen.show([]byte(err.Error() + "\n"))
		case o.json:
			e := json.NewEncoder(out)
			e.SetEscapeHTML(false)
			err = e.Encode(report)
		default:
			err = screen.show(o.table(report))
		}
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// table shows a report to people: each pool has a line and, if there are any, its keys.
func (o *hotKeysOptions) table(report *admin.HotKeyReport) []byte {
	var b bytes.Buffer
	for i := range report.Pools {
		p := &report.Pools[i]
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "pool %s: %s\n", termtext.Printable(p.Pool), poolLine(p))
		hotTable(&b, p)
		oversizedTable(&b, p)
	}
	return b.Bytes()
}

// hotTable shows a pool's keys, if there are any.
func hotTable(b *bytes.Buffer, p *admin.HotKeyPool) {
	if len(p.Keys) == 0 {
		return
	}
	w := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tKIND\tOPS/S\tBYTES/S\tVALUE\tSHARE\tSINCE\tBACKEND\tACTION")
	for j := range p.Keys {
		k := &p.Keys[j]
		since, value := "not hot", "-"
		if k.Hot {
			since = termtext.Age(p.At.Sub(k.Since)) + " ago"
		}
		if k.ValueBytes > 0 {
			value = termtext.Bytes(float64(k.ValueBytes))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f%% +%.1f%%\t%s\t%s\t%s\n", termtext.Key(k.Key, k.Hash), termtext.Printable(k.Kind), termtext.Rate(k.Ops), termtext.Bytes(k.Bytes), value,
			100*k.Share, 100*k.ShareError, since, termtext.Printable(cmp.Or(k.Backend, "-")), termtext.Printable(cmp.Or(k.Action, "-")))
	}
	_ = w.Flush() // to memory
}

// oversizedTable shows a pool's keys with large values, if there are any.
func oversizedTable(b *bytes.Buffer, p *admin.HotKeyPool) {
	if len(p.Oversized) == 0 {
		return
	}
	w := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "OVERSIZED KEY\tVALUE\tOPS/S\tBYTES/S\tSEEN\tBACKEND\tACTION")
	for i := range p.Oversized {
		k := &p.Oversized[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s ago\t%s\t%s\n", termtext.Key(k.Key, k.Hash), termtext.Bytes(float64(k.ValueBytes)), termtext.Rate(k.Ops),
			termtext.Bytes(k.Ops*float64(k.ValueBytes)), termtext.Age(time.Duration(k.Age*float64(time.Second))), termtext.Printable(cmp.Or(k.Backend, "-")), termtext.Printable(cmp.Or(k.Action, "-")))
	}
	_ = w.Flush() // to memory
}

// poolLine is what is said of a pool as a whole.
func poolLine(p *admin.HotKeyPool) string {
	switch {
	case !p.Watched:
		return "its keys are not watched"
	case p.At.IsZero():
		return "nothing has been seen yet"
	}
	hot := 0
	for i := range p.Keys {
		if p.Keys[i].Hot {
			hot++
		}
	}
	keys := "no hot key"
	if hot == 1 {
		keys = "1 hot key"
	} else if hot > 1 {
		keys = fmt.Sprintf("%d hot keys", hot)
	}
	return fmt.Sprintf("%s; since the start %d promotions, %d demotions, %d gets answered by another's fetch", keys, p.Promoted, p.Demoted, p.Joined)
}

// A screen shows one text after another: in the same place on a terminal, elsewhere each below the one before.
type screen struct {
	out      io.Writer
	file     *os.File // the terminal
	terminal bool
	begun    bool
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if file, ok := out.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
		s.file, s.terminal = file, err == nil
	}
	return s
}

// What a terminal is told.
const (
	clearScreen = "\x1b[H\x1b[2J" // cursor to the first line, and clear all
	toFirstLine = "\x1b[H"
	clearLine   = "\x1b[K" // from the cursor on
	clearBelow  = "\x1b[J"
	noWrap      = "\x1b[?7l" // what is too wide is cut off
	wrap        = "\x1b[?7h"
)

// show shows text, whose lines end in line ends, under the time of day. On a terminal it is cut to what there is room for, and the
// lines are written over the old ones, so that nothing flickers.
func (s *screen) show(text []byte) error {
	var b bytes.Buffer
	now := time.Now().Format(time.TimeOnly)
	if !s.terminal {
		fmt.Fprintf(&b, "%s\n%s\n", now, text)
		_, err := s.out.Write(b.Bytes())
		return err
	}
	width, height := s.size()
	lines := append([]string{now + "  Ctrl-C ends", ""}, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)
	if room := height - 1; len(lines) > room { // the last line is the cursor's
		lines = append(lines[:room-1], fmt.Sprintf("… %d more lines", len(lines)-room+1))
	}
	if s.begun {
		b.WriteString(noWrap + toFirstLine)
	} else {
		b.WriteString(noWrap + clearScreen)
		s.begun = true
	}
	for _, line := range lines {
		if r := []rune(line); len(r) >= width { // a full line's last character would be cleared
			line = string(r[:width-2]) + "…"
		}
		b.WriteString(line + clearLine + "\r\n")
	}
	b.WriteString(clearBelow + wrap)
	_, err := s.out.Write(b.Bytes())
	return err
}

// size gives the terminal's columns and lines, which may change at any time.
func (s *screen) size() (width, height int) {
	width, height = 80, 24
	if w, err := unix.IoctlGetWinsize(int(s.file.Fd()), unix.TIOCGWINSZ); err == nil && w.Col > 0 && w.Row > 0 {
		width, height = int(w.Col), int(w.Row)
	}
	return max(width, 2), max(height, 3)
}
