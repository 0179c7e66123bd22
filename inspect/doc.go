// Package inspect reads what memcached servers hold: the keys, their sizes and lifetimes, and single items. It writes nothing to
// them.
//
//	Run ──► one goroutine a server ──► lru_crawler metadump ──► tally (bounded: the largest keys, prefixes, counts)
//	                                   (or stats cachedump)          │
//	Report ◄─────────────────────────────────── merged ◄─────────────┘
//
// A dump is read line by line and only counted, so that memory does not grow with the number of keys. A server that hangs,
// breaks off or answers what no memcached does fails alone: the report says so beside the others' figures.
package inspect
