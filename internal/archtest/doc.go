// Package archtest holds the house to its plan: which package may import
// which, how large things may grow, what must be documented, and that no
// package keeps mutable state of its own. It reads sources and runs nothing.
//
// The plan for this module, and the exceptions with their reasons, stand in
// house_test.go. Each check is a function from a Tree to Findings, tested on
// the small modules in testdata, which break the rules on purpose.
package archtest
