// Package secrets reads what proxies and servers prove themselves with, from files: certificates and keys, the users of a listener, the
// login to a pool's backends. What was read stays in force until the files change and are right again.
package secrets
