//go:build !uncounted

package tally

// Counting says whether requests are counted at all. Only "make bench-metrics" builds programs that do not (the build tag uncounted), to
// measure what counting costs.
const Counting = true
