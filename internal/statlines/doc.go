// Package statlines understands what memcached answers to `stats`: STAT lines. It adds up those of several servers for a client, and
// reads out of one server's what operators want to know.
package statlines
