// Package ring says which node of a pool a key belongs on.
//
// A Ring is built once from a list of nodes and a recipe, never changes, and may be used by any number of goroutines at
// once. Each recipe is a file:
//
//	consistent     mcproxy's own: xxhash64, then a table of slots shared out by rendezvous hashing
//	cmemcache      python-memcached and the C library it was modelled on: crc32 modulo the weighted list
//	ketama         twemproxy's ketama, with its twelve key hashes, node names and hash tags
//	libmemcached   libmemcached (pylibmc): modulo, and ketama in its two forms
//	rendezvous     pymemcache's HashClient: murmur3 of each node's name with the key
//
// All but the first copy a program that may have filled the memcached servers before mcproxy came, bug for bug, so that
// not one key changes its place. The tests hold them against those programs and against answers recorded from them.
//
// The package knows keys and nodes only: no sockets, no clocks, no goroutines. Whether a node is alive is the caller's
// knowledge, handed to LookupAlive.
package ring
