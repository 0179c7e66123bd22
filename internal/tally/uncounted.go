//go:build uncounted

package tally

// Counting is false in the program that one which counts is compared with.
const Counting = false
