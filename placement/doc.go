// Package placement says where a key is to be found: on the backend where the ring places it, or, while that is out, on another.
//
//	Table.Spot ─► nobody is out: the ring's node
//	           ─► the ring's node is out: its stand-in, by the ring's own rule (OnDownEject) or from the spare pool (OnDownGutter)
//
// With keys that move, a gate for each backend asks what all proxies have agreed upon, and follows it:
//
//	gate ─► quarantine.Member ─► Home: the backend has a lease (Backend.SetLease)
//	                         ─► Away: the View passes it over
//	                         ─► None: neither, and calls fail
//
// A Table is what all workers of a process share of a pool. Which backends are out is its View, an immutable value that changes for
// all of them at one moment. Package backend says whether a backend is up; here is decided what follows from it for the keys.
//
// # What must hold
//
// Wherever a key is looked for, nothing older is found than a write which was over before, acknowledged or failed. Keys move at two
// moments, and each of them has its rule:
//
//   - A backend goes out. Its stand-ins must hold nothing of its keys from an earlier time. So whatever was written to a stand-in is a
//     stray from the moment when the backend comes back, and is deleted there (Table.gather); the backend is not put out again before
//     every stray is in the journal of the backend where it lies, which lets nobody read it from then on.
//   - A backend comes back. Before a write is sent to a stand-in its key goes into the journals of all the backends that are passed over
//     (Spot.Leave), which delete it before they are read again. A key that cannot be noted is not written.
//
// A write may be under way to a stand-in while the view changes. Therefore the view is looked at once more when its answer is there,
// before the client hears (Spot.Arrived): if it is another, the key becomes a stray at once. Writes and reads that were placed by an
// older view and are answered later are concurrent with all that happened since they came, so any order of them is a good one.
//
// Several proxies before the same backends do not see each other's views. When each of them goes from one place to the other is package
// quarantine's to say, whose protocol sees to it that they are never in different ones. For that, what is answered counts only while what was
// agreed holds still: a backend's answer while its lease stands, a stand-in's while the View does (Spot.Holds). What comes later is a failure
// to the client, and its key is deleted. A gate says that the process has nothing more elsewhere when all writes to stand-ins that were begun
// before have ended, their strays have left the journals of the backends where they lay, and their keys the journal of the backend where they
// belong (gate.clean). A backend that knows no meta commands can hold no agreement: the process judges alone, by the backend's state.
package placement
