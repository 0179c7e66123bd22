// Package door is what a listener asks of its clients before their requests are looked at: where they come from, TLS, who they are, and
// which commands and keys are theirs.
package door
