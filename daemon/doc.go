// Package daemon is the life of a mcproxy process: it starts with a configuration, goes over to others, and ends.
//
// A Daemon owns what the process has: the proxy, the admin endpoints, the log, and the configuration in force. Whoever asks for a
// change, by a signal or over HTTP, asks the Daemon, and one change is made at a time.
package daemon
