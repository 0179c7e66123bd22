// Package keystonetest runs OpenStack's Keystone, Debian's under uWSGI, with its cache on mcproxy, breaks what is behind and
// before the proxy, and judges what Keystone's users saw. It holds tests only, behind the build tag keystone: `make
// e2e-keystone` installs what they need and runs them.
//
//	users ──► 2 Keystones, one database ──► 1 mcproxy ──► 3 memcached, one of them
//	              (TCP; unix socket)                      behind a link that lies
//
// There is such a site for each way that oslo.cache knows to speak to memcached, and all run at once. Every line of the pages
// docs/keystone.md that says what was measured comes from here.
//
// What must hold: answers are right, among them that a revoked token and a removed role are refused by either Keystone
// whatever has become of a memcached; nobody is answered with HTTP 500; and no Keystone loses a conn to the proxy.
package keystonetest
