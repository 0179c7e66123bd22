// Package hotkey finds the keys of a pool that cost its backends more than a fair share, while they do.
//
//	worker, one of several                                          coordinator, one a pool
//
//	a request                                                       each Config.Window
//	   │
//	Detector.Observe ── not picked: a subtraction and a branch
//	   │ picked, and scaled back up
//	active Summary
//	   ⇅ Detector.Freeze(now)
//	frozen Window ────────────────────── lent ────────────────────► Merger.Merge ─► View
//	   ▲                                                                             │
//	   └─ Detector.Release ◄──────────── back ◄───────────────────────── Tracker.Update(view, backends)
//	                                                                                 │
//	what the worker looks keys up in ◄── a copy that nobody changes ◄── AppendHot ◄──┼──► events: log, count, act
//	                                                                                 └──► AppendTop: the list for people
//
// The package knows no sockets, clocks, goroutines or locks: time is an argument, in nanoseconds of any clock that never
// goes back, and each value has one owner. What crosses from a worker to the coordinator is a Window alone, and it is lent,
// not shared: from Freeze to Release only the borrower touches it, and both are called by the worker, when the coordinator
// asks for it. It asks every worker each Config.Window, also those with nothing to do, for the end of a key's heat is seen in
// windows without it. A worker that is late is left out of one view and has its part, of a longer window, in a later one.
//
// What is hot. A request costs as much as Config.OpBytes, its value's bytes come on top, and a Summary ranks keys by the sum
// of that; so a key that is heavy in either way is found, and its counters tell in which. A key is hot when its cost is at
// least Tau of the mean backend's in two windows running, or four times that in one, and cold again when it has been below
// a third of it for Config.Cool. One that begins in the middle of a window is found with the end of the next when it has
// four times Tau, within two windows, and within three when it has less.
//
// What the figures are worth. Against the requests that were picked, the bounds of a Summary and of a View are exact:
// Count-Err is at most the truth, Count at least, and Err at most W/m. The picked ones stand for all: each estimate is right
// on the mean whatever the rhythm of the requests is, and a key of k requests that were picked with probability p is off by
// about 1/sqrt(k·p). Large values, which are always picked, are exact.
//
// Keys are told apart by 64-bit hashes, so whoever acts on a hot key must compare its bytes.
package hotkey
