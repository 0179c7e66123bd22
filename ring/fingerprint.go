package ring

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Fingerprint is a hash of all that New is given, so that two processes can tell whether they place keys alike. It is the
// same for the nodes in another order if the recipe does not care. Different spellings of one ring, such as an option
// written out that is the default, may differ; different rings do not agree but by a chance of 1 in 2^64.
func Fingerprint(nodes []Node, opts Options) uint64 {
	rec, err := findRecipe(opts.Kind)
	if err != nil {
		rec.kind = opts.Kind
	}
	items := make([]string, len(nodes))
	for i, n := range nodes {
		item := appendField(nil, n.Name)
		item = appendField(item, n.Host)
		item = binary.AppendUvarint(item, uint64(n.Port))
		item = binary.AppendUvarint(item, uint64(n.Weight))
		items[i] = string(appendBool(item, n.Named))
	}
	if !rec.ordered {
		slices.Sort(items)
	}
	var all []byte
	for _, option := range []string{rec.kind, opts.Hash, opts.HashTag, opts.Distribution} {
		all = appendField(all, option)
	}
	all = appendBool(all, opts.NoOrOne)
	return xxhash.Sum64(append(all, strings.Join(items, "")...))
}

// appendField appends s so that where it ends can be told.
func appendField(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
