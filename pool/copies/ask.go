package copies

import (
	"strconv"

	"mcproxy/backend"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/replica"
)

// An asking is a step that a machine asked for.
type asking struct {
	steps.Step
	ask   replica.Ask
	conn  uint64
	lock  *locking // DoLock: what went before
	begun bool     // some of that was sent
}

// Answer keeps the answer, and the conn that it came on.
func (a *asking) Answer(c *backend.Call, r *protocol.Response, raw []byte) error {
	a.conn = c.ConnID()
	return a.Step.Answer(c, r, raw)
}

// answer is what came back, for the machine.
func (a *asking) answer() replica.Answer {
	if a.lock != nil {
		return a.lockAnswer()
	}
	return a.stepAnswer()
}

func (a *asking) stepAnswer() replica.Answer {
	if a.Err != nil {
		if a.Err.Sent {
			return replica.Answer{Result: replica.NoAnswer}
		}
		return replica.Answer{Result: replica.Unsent}
	}
	ans := replica.Answer{Result: resultOf(a.ask.Do, a.Status), Conn: a.conn, Value: a.Value}
	readFlags(&ans, a.Line)
	return ans
}

// resultOf says what a status means as the answer to a meta command that a machine asked for.
func resultOf(do replica.Do, s protocol.Status) replica.Result {
	switch s {
	case protocol.StatusHit:
		return replica.Hit
	case protocol.StatusOK:
		if do == replica.DoGuard || do == replica.DoCopy || do == replica.DoLockRead {
			return replica.Hit
		}
		return replica.Done
	case protocol.StatusMiss, protocol.StatusNotFound:
		return replica.Missing
	case protocol.StatusExists:
		return replica.Exists
	case protocol.StatusNotStored: // of an add
		return replica.Exists
	case protocol.StatusError, protocol.StatusClientError:
		return replica.Unsupported
	}
	return replica.Refused
}

// readFlags reads the flags of a meta answer's line.
func readFlags(ans *replica.Answer, line []byte) {
	code, rest := protocol.NextKey(line)
	if string(code) == "VA" {
		_, rest = protocol.NextKey(rest)
	}
	for f, arg, rest := protocol.NextFlag(rest); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		switch f {
		case 'c':
			ans.CAS, _ = strconv.ParseUint(string(arg), 10, 64)
		case 'f':
			n, _ := strconv.ParseUint(string(arg), 10, 32)
			ans.Flags = uint32(n)
		case 't':
			ans.TTL, _ = strconv.ParseInt(string(arg), 10, 64)
		case 'W':
			ans.Won = true
		}
	}
}

// requestFor is the command that does what a machine asks for, under the guard's or the copy's key.
func requestFor(a *replica.Ask, key []byte) *protocol.Request {
	req := &protocol.Request{Verb: protocol.MetaGet, Key: key, RawKey: key, ValueLen: -1}
	var flags []byte
	switch a.Do {
	case replica.DoGuard:
		flags = append(flags, guardFlags...)
	case replica.DoLockRead:
		flags = append(flags, "v c"...)
	case replica.DoClear:
		req.Verb = protocol.MetaDelete
	case replica.DoLockDelete:
		req.Verb = protocol.MetaDelete
		flags = appendCAS(flags, a.CAS)
	default:
		req.Verb = protocol.MetaSet
		req.Value, req.ValueLen = a.Value, len(a.Value)
		if a.Do == replica.DoGuardAdd {
			flags = append(flags, "ME"...)
		} else if a.CAS != 0 {
			flags = appendCAS(flags, a.CAS)
		}
		if a.Flags != 0 {
			flags = strconv.AppendUint(append(flags, " F"...), uint64(a.Flags), 10)
		}
		if a.TTL != 0 {
			flags = strconv.AppendInt(append(flags, " T"...), a.TTL, 10)
		}
	}
	req.MetaFlags = flags
	return req
}

func appendCAS(dst []byte, cas uint64) []byte {
	return strconv.AppendUint(append(dst, 'C'), cas, 10)
}
