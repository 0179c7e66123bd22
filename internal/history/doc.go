// Package history judges what clients of a cache saw: it takes operations with the times of their call and their return, and finds
// reads that no cache with one truth for each key could have answered. Each value that is written has an ID of its own, which
// stands in its bytes (AppendPiece), so that a read tells which write it saw.
//
//	Decode    one value: is it whole, of this key, and of which writes
//	Stream    as it happens, in bounded memory: no read is older than what was acknowledged, or seen, before it began
//	Zones     afterwards, in n log n: is there one order of all operations on a key that explains every answer (Gibbons and Korach)
//	Search    afterwards, exhaustively, for short histories: the same question, put to porcupine, and what add and replace found
//
// A cache may forget at any time: a miss says nothing, and never contradicts. A write that failed, or that was not answered,
// may take effect at any time after its call, once, or never.
//
// Times are any int64 that rises. An operation comes before another if it returned at a smaller time than the other was
// called; else the two are concurrent.
package history
