package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"mcproxy/admin"
	"mcproxy/internal/termtext"
	"mcproxy/keystone"
)

// A topKey is a heavy key and its owner.
type topKey struct {
	Pool  string         `json:"pool"`
	Owner keystone.Owner `json:"owner"`
	admin.HotKey
}

// A topUser is a user whose token list is stored often.
type topUser struct {
	ID              string  `json:"id"`
	Name            string  `json:"name,omitempty"`
	TokensPerMinute float64 `json:"tokens_per_minute"`
	ListBytes       uint32  `json:"list_bytes"`

	Clients []admin.KeyClient `json:"clients"` // who read and write the list most: each does both for each token
}

// A topJSON is what top --json prints.
type topJSON struct {
	Users []topUser `json:"users"` // who are issued most first
	Keys  []topKey  `json:"keys"`
}

// topReport names the owners of the keys of a report.
func topReport(report *admin.HotKeyReport, d *keystone.Directory) topJSON {
	out := topJSON{Users: []topUser{}, Keys: []topKey{}}
	for i := range report.Pools {
		for _, k := range report.Pools[i].Keys {
			// Keystone's own keys are never escaped: what is no key of its own finds no owner either way.
			o := d.Whose(k.Key)
			out.Keys = append(out.Keys, topKey{report.Pools[i].Pool, o, k})
			if o.Kind == keystone.User && k.Writes > 0 {
				out.Users = append(out.Users, topUser{ID: o.ID, Name: o.Name, TokensPerMinute: 60 * k.Writes, ListBytes: k.ValueBytes, Clients: k.Clients})
			}
		}
	}
	slices.SortStableFunc(out.Users, func(a, b topUser) int { return cmp.Compare(b.TokensPerMinute, a.TokensPerMinute) })
	return out
}

func printTop(out io.Writer, r topJSON) error {
	rows := [][]string{{"KEY", "OWNER", "KIND", "OPS/S", "BYTES/S", "VALUE", "SHARE", "BACKEND"}}
	for i := range r.Keys {
		k := &r.Keys[i]
		rows = append(rows, []string{
			termtext.Key(k.Key, k.Hash), cmp.Or(termtext.Printable(k.Owner.String()), "-"), termtext.Printable(k.Kind), termtext.Rate(k.Ops), termtext.Bytes(k.Bytes),
			termtext.Bytes(float64(k.ValueBytes)), fmt.Sprintf("%.1f%%", 100*k.Share), termtext.Printable(cmp.Or(k.Backend, "-")),
		})
	}
	if err := columns(out, rows); err != nil {
		return err
	}
	if len(r.Users) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	rows = [][]string{{"USER", "NAME", "TOKENS/MINUTE", "LIST", "BY"}}
	for _, u := range r.Users {
		var by []string
		for _, c := range u.Clients[:min(len(u.Clients), 3)] {
			by = append(by, fmt.Sprintf("%s %.0f%%", termtext.Printable(c.Address), 100*float64(c.Share)))
		}
		rows = append(rows, []string{
			termtext.Printable(u.ID), termtext.Printable(cmp.Or(u.Name, "-")), termtext.Rate(u.TokensPerMinute), termtext.Bytes(float64(u.ListBytes)), cmp.Or(strings.Join(by, ", "), "-"),
		})
	}
	return columns(out, rows)
}
