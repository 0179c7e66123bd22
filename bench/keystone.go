package bench

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mcproxy/protocol"
)

// What Keystone (Kilo) stores, and for how long.
const (
	tokenTTL     = 3600 // seconds, of a token and a list
	lockTTL      = 6    // seconds
	lockTries    = 15   // then the request fails
	lockPause    = 20 * time.Millisecond
	entryLen     = 86 // bytes of one token in a list
	tokenIDLen   = 32
	pickleFlags  = 1 // python-memcached's flags of a pickled value
	integerFlags = 2 // and of an integer
)

// KeystoneFigures is what became of the tokens.
type KeystoneFigures struct {
	Issued         int64 `json:"tokens_issued"`  // stored, their user's list apart
	Refused        int64 `json:"tokens_refused"` // sets of tokens that were not stored
	Validations    int64 `json:"validations"`
	Invalid        int64 `json:"validations_missed"` // the token was not there any more
	ListUpdates    int64 `json:"list_updates"`       // acknowledged
	ListsRefused   int64 `json:"lists_refused"`      // too large, most likely; memcached then drops the old list too
	LockFailures   int64 `json:"lock_failures"`      // updates given up because the list's lock was never free
	LostUpdates    int64 `json:"lost_updates"`       // tokens that an acknowledged update put into a list that does not name them in the end
	LargestList    int64 `json:"largest_list_bytes"`
	UncheckedUsers int64 `json:"unchecked_users"` // whose list could not be read in the end
}

// keystoneLoad is Keystone's token store as Kilo had it. To issue a token, a client stores it, and then reads the list of its
// user's tokens and writes it back, whole, with the new one, under a lock:
//
//	set sha1(token-ID) ─► get sha1(revocation-list) ─► add _lockusertokens-UID ─► get sha1(usertokens-UID) ─► set it ─► delete the lock
//
// A few service users issue most tokens, so their lists grow to hundreds of kilobytes and are moved twice for each token.
type keystoneLoad struct {
	cfg      *Config
	services []string
	block    []byte
	size     sizePicker
	users    []tokenUser // the services first
	counts   struct {
		issued, refused, validations, invalid, updates, listsRefused, lockFailures, largest atomic.Int64
	}
}

// A tokenUser is one user's list.
type tokenUser struct {
	id, list, lock string // the keys of its list and of that one's lock

	mu    sync.Mutex
	named map[tokenID]bool // guarded by mu: tokens that acknowledged updates put into the list and did not prune
}

type tokenID [tokenIDLen]byte

func newKeystoneLoad(cfg *Config) (*keystoneLoad, error) {
	k := &keystoneLoad{cfg: cfg, services: strings.Split(cfg.ServiceUsers, ",")}
	var err error
	if k.size, err = parseSizes(cfg.TokenSize, maxValueSize); err != nil {
		return nil, fmt.Errorf("token-%w", err)
	}
	k.block = newBlock(cfg.Seed, k.size.largest())
	k.users = make([]tokenUser, len(k.services)+cfg.Users)
	for i := range k.users {
		u := &k.users[i]
		if i < len(k.services) {
			u.id = k.services[i]
		} else {
			u.id = fmt.Sprintf("%016x%016x", mix64(cfg.Seed+uint64(i)), mix64(^cfg.Seed+uint64(i)))
		}
		u.list = hashed("usertokens-" + u.id)
		u.lock = "_lockusertokens-" + u.id
		u.named = map[tokenID]bool{}
	}
	return k, nil
}

// hashed is how Keystone makes keys that memcached takes.
func hashed(key string) string {
	sum := sha1.Sum([]byte(key))
	return hex.EncodeToString(sum[:])
}

// A tokenStep is where a client stands.
type tokenStep uint8

const (
	stepIdle       tokenStep = iota
	stepToken                // set of the token
	stepRevocation           // get of the revocation list
	stepLock                 // add of the lock
	stepRead                 // get of the list
	stepWrite                // set of the list
	stepUnlock               // delete of the lock
	stepValidate             // get of a token
)

// A tokenStream is one client of Keystone's. It has one operation in flight, and is its own observer.
type tokenStream struct {
	*keystoneLoad
	r        *rand.Rand
	conn     int
	step     tokenStep // of the operation in flight, or of the next one
	inFlight bool
	wake     time.Duration // not before

	token    tokenID
	issued   int // by this client, stored or not
	validate int // validations that remain before the next token
	user     *tokenUser
	tries    int    // to get the lock
	list     []byte // as read, then as written
	pruned   []tokenID
}

func (k *keystoneLoad) stream(conn int) *tokenStream {
	return &tokenStream{keystoneLoad: k, conn: conn, r: rand.New(rand.NewPCG(k.cfg.Seed, 1+uint64(conn)))}
}

// tokenAt is the id of a client's token.
func (s *tokenStream) tokenAt(number int) tokenID {
	n := s.cfg.Seed<<48 ^ uint64(s.conn)<<32 ^ uint64(number)
	var id tokenID
	text := strconv.AppendUint(id[:0], mix64(n)|1<<63, 16)
	strconv.AppendUint(text, mix64(n+1<<40)|1<<63, 16)
	return id
}

func (s *tokenStream) next(o *op, at time.Duration) step {
	if s.inFlight {
		return later
	}
	if at < s.wake {
		o.at = s.wake
		return later
	}
	if s.step == stepIdle {
		s.choose()
	} else {
		o.follows = true
	}
	s.inFlight = true
	s.make(o)
	return ready
}

// choose begins a validation or an issue.
func (s *tokenStream) choose() {
	if s.validate > 0 && s.issued > 0 {
		s.validate--
		s.step = stepValidate
		s.token = s.tokenAt(s.r.IntN(s.issued))
		return
	}
	s.validate = s.cfg.Validations
	s.token = s.tokenAt(s.issued)
	s.issued++
	s.step, s.tries = stepToken, 0
	who := s.r.IntN(len(s.services))
	if s.cfg.Users > 0 && s.r.Float64() >= s.cfg.ServiceShare {
		who = len(s.services) + s.r.IntN(s.cfg.Users)
	}
	s.user = &s.users[who]
}

// make fills the operation of the present step.
func (s *tokenStream) make(o *op) {
	o.kind, o.verb = kindGet, protocol.Get
	switch s.step {
	case stepToken, stepValidate:
		sum := sha1.Sum(append([]byte("token-"), s.token[:]...))
		o.key = hex.AppendEncode(o.key, sum[:])
		if s.step == stepToken {
			o.kind, o.verb, o.flags, o.exptime = kindSet, protocol.Set, pickleFlags, tokenTTL
			offset := int(mix64(uint64(s.issued)) % blockSpare)
			o.value = s.block[offset : offset+s.size.pick(s.r)]
		}
	case stepRevocation:
		o.key = append(o.key, hashed("revocation-list")...)
	case stepLock:
		o.kind, o.verb, o.flags, o.exptime = kindSet, protocol.Add, integerFlags, lockTTL
		o.key = append(o.key, s.user.lock...)
		o.value = append(o.buffer, '1')
	case stepRead:
		o.key = append(o.key, s.user.list...)
		s.list = s.list[:0]
	case stepWrite:
		o.kind, o.verb, o.flags, o.exptime = kindSet, protocol.Set, pickleFlags, tokenTTL
		o.key = append(o.key, s.user.list...)
		s.extend()
		o.value = s.list
	case stepUnlock:
		o.kind, o.verb = kindDelete, protocol.Delete
		o.key = append(o.key, s.user.lock...)
	}
}

// extend adds the token to the list that was read, and takes the oldest out where the list is bounded, as expired tokens
// are.
func (s *tokenStream) extend() {
	s.list = append(s.list, s.token[:]...)
	s.list = append(s.list, s.block[:entryLen-tokenIDLen]...)
	s.pruned = s.pruned[:0]
	if most := s.cfg.ListLimit / entryLen * entryLen; s.cfg.ListLimit > 0 && len(s.list) > most {
		for old := s.list[:len(s.list)-most]; len(old) >= entryLen; old = old[entryLen:] {
			s.pruned = append(s.pruned, tokenID(old[:tokenIDLen]))
		}
		s.list = append(s.list[:0], s.list[len(s.list)-most:]...)
	}
}

func (s *tokenStream) sending(*op) {}

func (s *tokenStream) value(_ *op, r *protocol.Response) {
	if s.step == stepRead {
		s.list = append(s.list[:0], r.Value[:len(r.Value)/entryLen*entryLen]...)
	}
}

// done takes the step that follows an answer.
func (s *tokenStream) done(o *op, status protocol.Status) {
	s.inFlight = false
	stored := status == protocol.StatusStored
	switch s.step {
	case stepToken:
		if !stored {
			s.counts.refused.Add(1)
			s.step = stepIdle // the request has failed
			return
		}
		s.counts.issued.Add(1)
		s.step = stepRevocation
	case stepRevocation:
		if s.step = stepLock; !s.cfg.Locks {
			s.step = stepRead
		}
	case stepLock:
		s.locked(o, stored)
	case stepRead:
		s.step = stepWrite
		if status == protocol.StatusInvalid || status.IsError() {
			s.step = s.afterWrite() // nobody may write a list that could not be read
		}
	case stepWrite:
		s.written(stored)
		s.step = s.afterWrite()
	case stepValidate:
		s.counts.validations.Add(1)
		if o.hits == 0 {
			s.counts.invalid.Add(1)
		}
		s.step = stepIdle
	default:
		s.step = stepIdle
	}
}

func (s *tokenStream) afterWrite() tokenStep {
	if s.cfg.Locks {
		return stepUnlock
	}
	return stepIdle
}

// locked goes on with the list, or tries again after a while, or gives up, as Keystone then fails the request.
func (s *tokenStream) locked(o *op, got bool) {
	if got {
		s.step = stepRead
		return
	}
	if s.tries++; s.tries == lockTries {
		s.counts.lockFailures.Add(1)
		s.step = stepIdle
		return
	}
	s.wake = o.sent + time.Duration(s.r.Int64N(int64(lockPause)))
}

// written notes what the list names now.
func (s *tokenStream) written(stored bool) {
	if !stored {
		s.counts.listsRefused.Add(1)
		return
	}
	s.counts.updates.Add(1)
	for size := int64(len(s.list)); ; {
		most := s.counts.largest.Load()
		if size <= most || s.counts.largest.CompareAndSwap(most, size) {
			break
		}
	}
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	s.user.named[s.token] = true
	for _, id := range s.pruned {
		delete(s.user.named, id)
	}
}

// figures reads every list once more and gives what became of the tokens.
func (k *keystoneLoad) figures(ctx context.Context) (*KeystoneFigures, error) {
	f := &KeystoneFigures{
		Issued: k.counts.issued.Load(), Refused: k.counts.refused.Load(),
		Validations: k.counts.validations.Load(), Invalid: k.counts.invalid.Load(),
		ListUpdates: k.counts.updates.Load(), ListsRefused: k.counts.listsRefused.Load(),
		LockFailures: k.counts.lockFailures.Load(), LargestList: k.counts.largest.Load(),
	}
	addr, err := parseAddress(k.cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	conn, err := addr.dial(k.cfg.Timeout)
	if err != nil {
		return nil, fmt.Errorf("%s: reading the lists in the end: %w", addr.text, err)
	}
	defer conn.Close()
	for i := range k.users {
		u := &k.users[i]
		if len(u.named) == 0 {
			continue
		}
		if ctx.Err() != nil {
			f.UncheckedUsers++
			continue
		}
		list, err := getOnce(conn, u.list, k.cfg.Timeout)
		if err != nil {
			return nil, fmt.Errorf("%s: reading the lists in the end: %w", addr.text, err)
		}
		f.LostUpdates += int64(u.missing(list))
	}
	return f, nil
}

// missing counts the tokens that the list should name and does not.
func (u *tokenUser) missing(list []byte) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	found := 0
	for ; len(list) >= entryLen; list = list[entryLen:] {
		if u.named[tokenID(list[:tokenIDLen])] {
			found++
		}
	}
	return len(u.named) - found
}

// getOnce gets one value; nil is a miss.
func getOnce(conn net.Conn, key string, timeout time.Duration) ([]byte, error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("get " + key + "\r\n")); err != nil {
		return nil, err
	}
	var in []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		in = append(in, buf[:n]...)
		var r protocol.Response
		n, err = protocol.ParseResponse(in, protocol.ShapeValue, &r)
		switch {
		case err != nil:
			return nil, err
		case n > 0 && r.Status.IsError():
			return nil, fmt.Errorf("%s", r.Line)
		case n > 0:
			return bytes.Clone(r.Value), nil
		}
	}
}
