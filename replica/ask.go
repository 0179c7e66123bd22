package replica

import "mcproxy/protocol"

// A Do is what an Ask asks for. G is the guard's key, c the copy's, k the client's.
type Do uint8

// What machines ask for, with the command that does it.
const (
	DoHome       Do = 1 + iota // the client's own request, to the home; a Read's: mg k v f t c
	DoGuard                    // mg G v f c, to the home, on the conn of DoHome and after it
	DoCopy                     // mg c v f c N<StubTTL>
	DoFill                     // ms c C<cas> F<flags> T<ttl>: only on conn Conn, else not at all. Nobody waits for the answer
	DoClear                    // md c
	DoLockRead                 // mg c v c
	DoLock                     // ms c MA, ms c ME T<ttl>, and mg c v c T<ttl>, whose answer it is: on one conn, one behind the other
	DoLockStore                // ms c C<cas> T<ttl>: only on conn Conn
	DoLockDelete               // md c C<cas>: only on conn Conn
	DoGuardAdd                 // ms G ME F<flags>
	DoGuardStore               // ms G C<cas> F<flags> T<ttl>: only on conn Conn
	DoOverwrite                // a mutant's: ms c, with the value that the client wrote
	DoLockAlone                // a mutant's: DoLock with ms c T<ttl> in the place of the first two
)

// Home as an Ask's host is the key's home; the copies' hosts are 0..MaxCopies-1, places in what AppendHosts gives.
const Home = -1

// An Ask is a request that a machine wants sent.
type Ask struct {
	Do    Do
	Host  int    // Home, or a place in the order of hosts
	CAS   uint64 // where a command has one; 0 for none
	Conn  uint64 // 0: any conn
	Flags uint32 // the item's client flags
	TTL   int64  // seconds; 0: for ever
	Value []byte // the item's; nobody changes it
}

// A Result says how an Ask ended.
type Result uint8

// The results.
const (
	NoAnswer    Result = iota // none came: nobody knows whether the request was carried out, or will be
	Unsent                    // no byte of the request was sent, or the conn that it had to go on is gone
	Refused                   // an error of the backend
	Unsupported               // the backend does not know the command, or takes no such key: what it asks about cannot be there
	Hit                       // VA, or HD of an mg
	Missing                   // EN, NF, NS of an append
	Done                      // HD, STORED, DELETED…; of a client's request: it was answered, and may have changed the item
	Exists                    // EX; NS of an add
	Unchanged                 // of a client's request: it was answered, and changed nothing (see Rules.Changes)
)

// An Answer is what came back for an Ask.
type Answer struct {
	Result Result
	Won    bool   // W: the lease is the asker's
	Conn   uint64 // the conn that it came on, not 0; no other conn ever has the same
	CAS    uint64 // c
	Flags  uint32 // f
	TTL    int64  // t, seconds; -1: for ever
	Value  []byte // v; valid until the machine's method returns
}

// Changes says whether a client's request that the home answered may have made copies untrue, so that they must be cleared. It
// is false only for answers that tell that nothing changed. It is true where a copy may be older than what the answer tells:
// after a delete that found nothing and an add that stored, the home may have lost the item while copies have it. An
// answer of error may change too: memcached drops the old item when a new one is too large.
func (r *Rules) Changes(verb protocol.Verb, status protocol.Status) bool {
	switch status {
	case protocol.StatusNotStored, protocol.StatusExists:
		return false
	case protocol.StatusNotFound:
		return (verb == protocol.Delete || verb == protocol.MetaDelete) && r.Mutant != TrustsNotFound
	case protocol.StatusMiss: // gat, and mg with T: nothing was touched
		return false
	}
	return true
}
