// Package tally holds what a worker counts while it serves requests, and what becomes of it when the workers' counts are added up:
// histograms whose buckets are plain arrays, the tally of a pool, and the tallies of clients by address.
//
// Nothing here knows a clock, a lock or Prometheus. A count is an increment of an array's element, and a bucket is found by the
// position of a number's highest bit, so that the path of a request can afford it. Each tally has one owner; others get copies.
package tally
