// Package backend talks to memcached servers.
//
// A Backend is one memcached as the whole process sees it: its health, its version, its journal of missed writes. A
// Pipeline is one event loop's own conns to it. A Call is one request on its way there and back; whoever sends it gets
// exactly one of Answer (once for each unit of the answer) or Fail. A backend knows no clients, pools or routes.
//
//	Send ─► admit (up? key unsettled?) ─► conn.out ──── one write a turn ───► memcached
//	                                        │ keeps what is unanswered
//	Completer.Answer ◄── ParseResponse ◄── conn.in ◄────────────────────────────┘ first in, first out
//
// # Writes that are missed
//
// A write that failed must not let the old value come back: its key goes into the journal, and from then on no pipeline
// reads or writes it, until a delete of it was confirmed. Where the delete goes depends on what became of the write:
//
//   - it timed out, its conn stands: behind it on the same conn, so the server applies the two in this order;
//   - its conn broke after bytes had been sent: on a new conn, and once more after Options.Settle, because a server that
//     was stopped may read what a closed conn had sent after it read newer conns;
//   - it was never sent: on a new conn, before the backend counts as up again.
//
// The keeper, on one loop of the process, probes a backend that is down and sends those deletes.
//
// Where several proxies agree upon when a backend is used, it has a lease (SetLease): without one its calls fail, and answers that come after its
// end count as failures.
//
// The journal is the server's, and the Ledger keeps it by the server's address: when a Backend is retired, its successor under
// whatever name, in this process or the next, goes on with the same debts.
package backend
