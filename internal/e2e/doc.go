// Package e2e proves mcproxy from the outside: real clients on one side, real memcached processes on the other, and a
// proxy between them. It holds tests only.
//
//	TestDifferential…     random command streams get the same bytes from the proxy as from memcached
//	TestGolden            the edge cases of the protocol, one by one
//	TestWire              what the Python clients really sent, replayed
//	TestClients…          the libraries and tools themselves
//	TestWarmDropIn        what other programs placed is found through the proxy's rings
//	TestBadInput          broken clients and broken backends harm nobody else
//	TestFailingBackend    backends that hang, die and come back: every command answered, in step, nothing stale
//	TestHotKeyIsFound     a viral key is found, its gets share fetches, and it is forgotten
//	TestIdleMemory        what an idle client costs
//	TestFaults            the program for long: broken links and networks, slow clients, random streams; nothing leaks, nobody waits
//
// Every suite talks to an endpoint, an address that speaks memcached's text protocol, and not to the proxy as such. So
// each can be checked itself: with -through=memcached the suites run against memcached and must pass, and TestNotices…
// runs them against a relay that corrupts, drops, repeats or reorders, and they must fail.
package e2e
