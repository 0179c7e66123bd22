// Package protocol is the codec of memcached's text protocol, classic and meta: it parses what clients send and what
// backends answer, and appends what backends get. It does no I/O, knows no time, starts no goroutine and allocates nothing.
//
//	client's bytes ─► ParseRequest ─► Request ─► TakeValue (storage verbs) ─► AppendRequest ─► backend
//	                       │
//	                       └─► Refused: Refusal, after Swallow bytes were dropped
//
//	backend's bytes ─► ParseResponse (by Shape) ─► Response ─► Suppressed? ─► client
//
// Two rules hold everywhere.
//
// A line is forwarded only if every version of memcached answers it with exactly one answer of the verb's Shape and takes
// exactly its data block. Lines that versions frame differently (a key that is too long, a NUL, a bad byte count, missing
// arguments, too many meta flags, …) are refused here, with the text of the newest memcached. Versions compared: 1.6.18,
// and the source after 1.6.40, where the tokenizer was rewritten ("newest" in comments).
//
// What is forwarded is rebuilt from parsed tokens and has exactly one LF outside its data block, which is its last
// byte. A CR inside a line is an ordinary byte of a token for every version: only a blank splits tokens, only LF ends a
// line. It is kept in keys and opaques, and cannot begin a second command.
//
// Slices in a Request and a Response point into the buffer that was parsed and are valid until it is reused.
package protocol
