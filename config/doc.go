// Package config reads proxy.toml into the values that a proxy is made from.
//
//	text ─► toml.Decode ─► a tree of values ─┐
//	  └───► index ───────► a tree of lines ──┴─► options (one table a section) ─► checks across keys ─► File
//
// The TOML library tells positions only in its own errors, so index finds the line of every key by itself. The two trees
// have the same shape, and are walked together; a fuzz test holds that.
//
// Everything that is wrong is reported at once, by line, with the key and what is allowed there. The options are the single
// list of keys: they read the file, they name the nearest key when one is misspelt, and Reference prints them for docs/config.md.
package config
