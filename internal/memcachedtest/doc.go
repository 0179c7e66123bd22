// Package memcachedtest starts real memcached processes for tests.
//
// A test says
//
//	mc := memcachedtest.Start(t)           // or Start(t, "-m", "64", "-I", "2m")
//	conn := mc.Dial()                      // closed when the test ends
//	mc.Command("set k 0 0 1\r\na")         // "STORED\r\n"
//	mc.Pause()                             // hangs without closing its sockets
//	mc.Restart()                           // the same address, empty
//
// and the process is gone when the test ends, also when the test binary is
// killed. A machine without memcached fails the test and names the package to
// install: nothing is skipped. Linux only, as the proxy's event loop is.
package memcachedtest
