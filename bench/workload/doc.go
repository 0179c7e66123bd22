// Package workload makes the operations of a load, and judges what became of them. It knows no sockets: a Load gives each
// conn of a run a Stream, which fills one Op after the other, and an Observer, which hears of the answers.
//
//	Options ─► New ─► Load ─► Stream.Next ─► Op ─► Observer.Sending ─► Op.Append ─► the endpoint
//	                                          │
//	                                          └─ Observer.Value, Observer.Done ◄── its answer ─► Load.Figures
//
// The workload mixed draws kinds, keys, sizes by their laws; with Verify it stamps the values and checks those that come back.
// keystone-tokens is a client of Keystone's token store, whose every step waits for the one before. trace and commands replay a
// file.
//
// A stream depends on the options, the seed among them, and its conn's number alone, so that a run can be repeated; what
// follows from answers (keystone-tokens) and from the time (hot-swap) does so from run to run as far as these do.
package workload
