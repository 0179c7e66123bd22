package workload

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
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

// tokenStore is Keystone's token store as Kilo had it. To issue a token, a client stores it, and then reads the list of its
// user's tokens and writes it back, whole, with the new one, under a lock:
//
//	set sha1(token-ID) ─► get sha1(revocation-list) ─► add _lockusertokens-UID ─► get sha1(usertokens-UID) ─► set it ─► delete the lock
//
// A few service users issue most tokens, so their lists grow to hundreds of kilobytes and are moved twice for each token.
type tokenStore struct {
	opts     *Options
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

func newTokenStore(opts *Options) (*tokenStore, error) {
	k := &tokenStore{opts: opts, services: strings.Split(opts.ServiceUsers, ",")}
	var err error
	if k.size, err = parseSizes(opts.TokenSize, maxValueSize); err != nil {
		return nil, fmt.Errorf("token-%w", err)
	}
	k.block = newBlock(opts.Seed, k.size.largest())
	k.users = make([]tokenUser, len(k.services)+opts.Users)
	for i := range k.users {
		u := &k.users[i]
		if i < len(k.services) {
			u.id = k.services[i]
		} else {
			u.id = fmt.Sprintf("%016x%016x", mix64(opts.Seed+uint64(i)), mix64(^opts.Seed+uint64(i)))
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
	*tokenStore
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

func (k *tokenStore) stream(conn int) *tokenStream {
	return &tokenStream{tokenStore: k, conn: conn, r: rand.New(rand.NewPCG(k.opts.Seed, 1+uint64(conn)))}
}

// tokenAt is the id of a client's token.
func (s *tokenStream) tokenAt(number int) tokenID {
	n := s.opts.Seed<<48 ^ uint64(s.conn)<<32 ^ uint64(number)
	var id tokenID
	text := strconv.AppendUint(id[:0], mix64(n)|1<<63, 16)
	strconv.AppendUint(text, mix64(n+1<<40)|1<<63, 16)
	return id
}

func (s *tokenStream) Next(o *Op, at time.Duration) Step {
	if s.inFlight {
		return Later
	}
	if at < s.wake {
		o.At = s.wake
		return Later
	}
	if s.step == stepIdle {
		s.choose()
	} else {
		o.Follows = true
	}
	s.inFlight = true
	s.make(o)
	return Ready
}

// choose begins a validation or an issue.
func (s *tokenStream) choose() {
	if s.validate > 0 && s.issued > 0 {
		s.validate--
		s.step = stepValidate
		s.token = s.tokenAt(s.r.IntN(s.issued))
		return
	}
	s.validate = s.opts.Validations
	s.token = s.tokenAt(s.issued)
	s.issued++
	s.step, s.tries = stepToken, 0
	who := s.r.IntN(len(s.services))
	if s.opts.Users > 0 && s.r.Float64() >= s.opts.ServiceShare {
		who = len(s.services) + s.r.IntN(s.opts.Users)
	}
	s.user = &s.users[who]
}

// make fills the operation of the present step.
func (s *tokenStream) make(o *Op) {
	o.Kind, o.Verb = KindGet, protocol.Get
	switch s.step {
	case stepToken, stepValidate:
		sum := sha1.Sum(append([]byte("token-"), s.token[:]...))
		o.Key = hex.AppendEncode(o.Key, sum[:])
		if s.step == stepToken {
			o.Kind, o.Verb, o.Flags, o.Exptime = KindSet, protocol.Set, pickleFlags, tokenTTL
			offset := int(mix64(uint64(s.issued)) % blockSpare)
			o.Value = s.block[offset : offset+s.size.pick(s.r)]
		}
	case stepRevocation:
		o.Key = append(o.Key, hashed("revocation-list")...)
	case stepLock:
		o.Kind, o.Verb, o.Flags, o.Exptime = KindSet, protocol.Add, integerFlags, lockTTL
		o.Key = append(o.Key, s.user.lock...)
		o.Value = append(o.buffer, '1')
	case stepRead:
		o.Key = append(o.Key, s.user.list...)
		s.list = s.list[:0]
	case stepWrite:
		o.Kind, o.Verb, o.Flags, o.Exptime = KindSet, protocol.Set, pickleFlags, tokenTTL
		o.Key = append(o.Key, s.user.list...)
		s.extend()
		o.Value = s.list
	case stepUnlock:
		o.Kind, o.Verb = KindDelete, protocol.Delete
		o.Key = append(o.Key, s.user.lock...)
	}
}

// extend adds the token to the list that was read, and takes the oldest out where the list is bounded, as expired tokens
// are.
func (s *tokenStream) extend() {
	s.list = append(s.list, s.token[:]...)
	s.list = append(s.list, s.block[:entryLen-tokenIDLen]...)
	s.pruned = s.pruned[:0]
	if most := s.opts.ListLimit / entryLen * entryLen; s.opts.ListLimit > 0 && len(s.list) > most {
		for old := s.list[:len(s.list)-most]; len(old) >= entryLen; old = old[entryLen:] {
			s.pruned = append(s.pruned, tokenID(old[:tokenIDLen]))
		}
		s.list = append(s.list[:0], s.list[len(s.list)-most:]...)
	}
}

func (s *tokenStream) Sending(*Op) {}

func (s *tokenStream) Value(_ *Op, r *protocol.Response) {
	if s.step == stepRead {
		s.list = append(s.list[:0], r.Value[:len(r.Value)/entryLen*entryLen]...)
	}
}

// done takes the step that follows an answer.
func (s *tokenStream) Done(o *Op, status protocol.Status) {
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
		if s.step = stepLock; !s.opts.Locks {
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
		if o.Hits == 0 {
			s.counts.invalid.Add(1)
		}
		s.step = stepIdle
	default:
		s.step = stepIdle
	}
}

func (s *tokenStream) afterWrite() tokenStep {
	if s.opts.Locks {
		return stepUnlock
	}
	return stepIdle
}

// locked goes on with the list, or tries again after a while, or gives up, as Keystone then fails the request.
func (s *tokenStream) locked(o *Op, got bool) {
	if got {
		s.step = stepRead
		return
	}
	if s.tries++; s.tries == lockTries {
		s.counts.lockFailures.Add(1)
		s.step = stepIdle
		return
	}
	s.wake = o.Sent + time.Duration(s.r.Int64N(int64(lockPause)))
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
func (k *tokenStore) figures(ctx context.Context, get Get) (*KeystoneFigures, error) {
	f := &KeystoneFigures{
		Issued: k.counts.issued.Load(), Refused: k.counts.refused.Load(),
		Validations: k.counts.validations.Load(), Invalid: k.counts.invalid.Load(),
		ListUpdates: k.counts.updates.Load(), ListsRefused: k.counts.listsRefused.Load(),
		LockFailures: k.counts.lockFailures.Load(), LargestList: k.counts.largest.Load(),
	}
	for i := range k.users {
		u := &k.users[i]
		if len(u.named) == 0 {
			continue
		}
		if ctx.Err() != nil {
			f.UncheckedUsers++
			continue
		}
		list, err := get(u.list)
		if err != nil {
			return nil, fmt.Errorf("reading the lists in the end: %w", err)
		}
		f.LostUpdates += int64(u.missing(list))
	}
	return f, nil
}

// missing counts the tokens that the list should name and does not. It may name some twice: those that an earlier run with the same
// seed has put there.
func (u *tokenUser) missing(list []byte) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	found := make(map[tokenID]bool, len(u.named))
	for ; len(list) >= entryLen; list = list[entryLen:] {
		if id := tokenID(list[:tokenIDLen]); u.named[id] {
			found[id] = true
		}
	}
	return len(u.named) - len(found)
}
