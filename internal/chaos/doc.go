// Package chaos runs real mcproxy processes over real memcacheds, breaks them all the time, and judges what clients saw. It
// holds tests only.
//
//	16 clients ──► 2 or 3 mcproxy ──► 4 memcached   every command, unique values, half of them split
//	     │               ▲                 ▲
//	     │               └───── faults ────┘        SIGSTOP, SIGKILL and restart, flush_all, chunks deleted
//	     │                                          or damaged, memory filled, links slow, cut, blocked one way
//	     └──► internal/history                      a stream while it runs; zones and porcupine round by round
//
// What is judged: every answer belongs to its request; every value is whole, and its key's; and the operations on a key can be
// explained as those on one register that forgets at will, over both proxies: no read is older than a write that was
// acknowledged before it began, reads do not go back, cas replaces what its number stood for, and what was refused is not seen.
// With one proxy that is never killed, it also holds that what a failed write was to replace does not come back.
//
// With copies of hot keys on other servers (variants copies, strict, ordered), each proxy gives keys copies, and takes them away, every 50
// to 200 ms; between each proxy and each server is a link that is slow, holds back one direction, or breaks conns between a
// request and its answer; and guards, copies, leases and locks are deleted by name. Most reads are of 50 to 100 keys at once, some
// requests under way, so that a run of minutes checks millions. The proxies' metrics tell how many were answered by
// copies. Reads may go back then, to a value that no acknowledged write has replaced; the stream judges that. In variant ordered, where no pause is as long as
// a lease, and no lock gets lost, strict mode promises that they do not go back, which zones judge, but for reads that saw a write before it was acknowledged which took longer than
// that promise allows.
//
// TestChaosFindsMutants breaks the protocol of copies itself, one rule after the other, and wants that to be found.
//
// What is not judged, because nobody promises it. A write that failed, or was not answered, may take effect late: a server or
// a proxy that was stopped wakes up and reads its sockets. The journal that would delete it is in the memory of the proxy that
// it came through, and can be behind another proxy's later write. That is counted as late. And memcached's cas numbers begin
// anew when it is restarted, so a number from before says nothing afterwards: such a cas counts as a set. Nor are misses:
// what a cache has lost, and whether it had to, these judges do not ask.
package chaos
