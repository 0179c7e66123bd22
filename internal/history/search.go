package history

import (
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what Search has found.
type Verdict uint8

const (
	Possible   Verdict = iota // there is an order that explains everything
	Impossible                // there is none
	Unknown                   // the time was over
)

// Search asks what Zones asks, by looking for the order itself: exhaustively, with porcupine, for as long as limit (0: without
// a limit). It is for histories of some hundred operations. Beyond Zones it takes Needs into account.
func Search(ops []Op, limit time.Duration) Verdict {
	list, maybe, violations := clusters(ops)
	if len(violations) > 0 {
		return Impossible
	}
	if slices.ContainsFunc(list, func(w *cluster) bool { return w.write.Needs == Presence }) {
		list = append(list, maybe...) // what it found may be theirs; else they come behind everything, where nobody sees them
	}
	var operations []porcupine.Operation
	for _, w := range list {
		for _, op := range slices.Concat([]*Op{w.write}, w.reads) {
			operations = append(operations, porcupine.Operation{
				ClientId: op.Client, Input: inputOf(w, op), Call: op.Call, Output: nil, Return: op.ends(),
			})
		}
	}
	switch porcupine.CheckOperationsTimeout(cacheModel(), operations, limit) {
	case porcupine.Ok:
		return Possible
	case porcupine.Illegal:
		return Impossible
	}
	return Unknown
}

// input is a step of the register.
type input struct {
	kind   Kind
	value  ID // read, or written
	expect ID // 0: whatever is there
	needs  Needs
}

func inputOf(w *cluster, op *Op) input {
	in := input{kind: op.Kind, value: w.write.ID, needs: op.Needs}
	if op.Kind != Read && w.prior != nil {
		in.expect = w.prior.write.ID
	}
	return in
}

// cacheModel is a register; its state is the ID of the value, 0 if there is none. Misses are not among the steps, since they
// are always possible. A write that may have had no effect, but was seen, is among those that must have one.
func cacheModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return ID(0) },
		Step: func(state, in, _ any) (bool, any) {
			now, step := state.(ID), in.(input)
			switch {
			case step.kind == Read:
				return now == step.value, now
			case step.kind == Delete:
				return true, ID(0)
			case step.expect != 0 && now != step.expect, step.needs == Presence && now == 0:
				return false, now
			}
			return true, step.value
		},
		Hash: func(state any) uint64 { return uint64(state.(ID)) },
	}
}
