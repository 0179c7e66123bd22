// Package steps lets a request take several calls, and be written as straight-line code all the same. An Op is a coroutine of the
// event loop (iter.Pull): it runs on the loop's goroutine, from one wait to the next, so it may touch whatever the loop may, waits for
// no scheduler, and is as repeatable as the rest of a simulation.
//
//	o.Send(step…) ─► o.Wait() ─ ─ the loop turns, answers come ─ ─► the code goes on behind Wait
//
// An Op also holds what large values cost while they are put together, and a Large is an answer that is so large that it is not
// copied on its way to clients.
package steps
