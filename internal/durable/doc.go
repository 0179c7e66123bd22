// Package durable keeps a set of byte strings in a file, so that it outlives the process however that ends.
//
//	Put, Drop ─► a buffer ─► the writer: one write and one fdatasync for all that came meanwhile ─► Safe, notify
//
// Put and Drop never wait for the disk. Who must not go on before something is safe compares Safe with Asked, and is told when
// that changes. What was dropped may be there again after a crash; what is safe and was not dropped always is.
//
// The file is a list of records, each with a length and a checksum. A crash can cut the last ones off; from the first that is not whole
// the rest is taken for what was never safe. When most of the file is history it is written anew beside the old one, and renamed.
package durable
