package door

import (
	"mcproxy/internal/secrets"
	"mcproxy/protocol"
)

// A Gate stands before the requests of one client that may not ask everything.
type Gate struct {
	users *secrets.Users // until the client has logged in as one of them; nil then, and where nobody has to
	rules *Rules         // nil: everything may be asked
	tries int            // logins that failed
}

// maxTries is how many logins of a client may fail before its conn is closed.
const maxTries = 10

// Gate is for a client that has just come; nil: there is none.
func (d *Door) Gate() *Gate {
	if d.Users == nil && d.Rules == nil {
		return nil
	}
	return &Gate{users: d.Users, rules: d.Rules}
}

// GateAfter is for a client that has come by another door of the same listener. Who was let in need not log in again.
func (d *Door) GateAfter(former *Gate) *Gate {
	switch {
	case former.Locked():
		return d.Gate()
	case d.Rules == nil:
		return nil
	}
	return &Gate{rules: d.Rules}
}

// Locked says whether the client has yet to log in. g may be nil.
func (g *Gate) Locked() bool { return g != nil && g.users != nil }

// A Verdict is what becomes of a request.
type Verdict struct {
	Kind   Kind
	Answer string // CRLF included; for all kinds but Pass and More
	Always bool   // the answer is sent to a quiet request too
	// Used is how many bytes the request took, of More how many there must be; Swallow how many follow that belong to it, and go by
	// before the answer.
	Used, Swallow int
	Open          bool // of LoggedIn: there is nothing more to be asked, and no gate is needed
	End           bool // of LoginFailed: the client has had its tries
}

// A Kind of verdicts.
type Kind uint8

// The kinds.
const (
	Pass            Kind = iota // it may be begun
	More                        // not all of it is there
	Forbidden                   // the rules do not permit it
	Unauthenticated             // it is no login
	LoginFailed
	LoggedIn
)

// Judge judges a request that begins data, where its line has n bytes.
func (g *Gate) Judge(req *protocol.Request, data []byte, n int) Verdict {
	if g.users != nil {
		return g.logIn(req, data, n)
	}
	if req.Verb == protocol.Refused {
		return Verdict{}
	}
	answer := g.rules.Refusal(req)
	if answer == "" {
		return Verdict{}
	}
	return refuse(req, Forbidden, n, answer)
}

// refuse refuses a request, of which the line has gone by and the data block has not.
func refuse(req *protocol.Request, why Kind, n int, answer string) Verdict {
	v := Verdict{Kind: why, Answer: answer, Used: n, Swallow: req.Swallow}
	if req.ValueLen >= 0 {
		v.Swallow = req.ValueLen + 2
	}
	return v
}

// logIn judges what a client sends that has yet to log in. (memcached's try_read_command_asciiauth. It leaves the data blocks of other
// commands than set in the stream, where they are answered as further lines; and it answers a login with noreply, as is done here.)
func (g *Gate) logIn(req *protocol.Request, data []byte, n int) Verdict {
	if req.Verb != protocol.Set {
		return refuse(req, Unauthenticated, n, protocol.Unauthenticated)
	}
	if req.ValueLen > protocol.MaxLogin {
		v := g.failed(n, protocol.BadLogin)
		v.Swallow = req.ValueLen + 2
		return v
	}
	size, ok := req.TakeValue(data[n:])
	if size == 0 {
		return Verdict{Kind: More, Used: n + req.ValueLen + 2}
	}
	used := n + size
	if !ok {
		return g.failed(used, protocol.BadDataChunk)
	}
	name, password, ok := protocol.ParseLogin(req.Value)
	if !ok {
		return g.failed(used, protocol.BadLogin)
	}
	if !g.users.Check(name, password) {
		return g.failed(used, protocol.LoginFailed)
	}
	g.users = nil
	return Verdict{Kind: LoggedIn, Answer: protocol.Stored, Always: true, Used: used, Open: g.rules == nil}
}

// failed counts a login that failed: a client that guesses is cut off.
func (g *Gate) failed(used int, answer string) Verdict {
	g.tries++
	return Verdict{Kind: LoginFailed, Answer: answer, Always: true, Used: used, End: g.tries >= maxTries}
}
