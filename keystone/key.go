package keystone

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// What dogpile.cache's key mangler hashes: Kilo's names, and those by which regions are invalidated.
const (
	userPrefix   = "usertokens-"
	tokenPrefix  = "token-"
	revocations  = "revocation-list"
	regionPrefix = "<<<region>>>:"
	lockPrefix   = "_lock"
	middleware   = "tokens/" // keystonemiddleware's, not hashed as a whole
)

func hashed(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// UserKey gives the key of a user's token list.
func UserKey(id string) string { return hashed(userPrefix + id) }

// UserLock gives the key of the lock under which that list is changed.
func UserLock(id string) string { return lockPrefix + userPrefix + id }

// TokenKey gives the key of a token. Of a PKI token Keystone takes the MD5 for the id.
func TokenKey(id string) string { return hashed(tokenPrefix + shortID(id)) }

// shortID is what keystoneclient's cms_hash_token makes of a token's id.
func shortID(id string) string {
	if strings.HasPrefix(id, "MII") || strings.HasPrefix(id, "PKIZ_") {
		sum := md5.Sum([]byte(id))
		return hex.EncodeToString(sum[:])
	}
	return id
}

// MiddlewareKey gives the key under which keystonemiddleware keeps what a token was validated to.
func MiddlewareKey(id string) string {
	sum := sha256.Sum256([]byte(id))
	return middleware + hex.EncodeToString(sum[:])
}

// RevocationKey gives the key of Kilo's revocation list.
func RevocationKey() string { return hashed(revocations) }

// RegionKey gives the key whose value invalidates a region of the cache.
func RegionKey(name string) string { return hashed(regionPrefix + name) }

// Regions lists the names of the regions that Keystone has.
func Regions() []string {
	return []string{"tokens", "computed assignments", "revoke", "id mapping", "shared default", "computed catalog region", "receipts"}
}

// A Kind says what a key is.
type Kind string

// The values of Kind.
const (
	Unknown    Kind = "unknown"
	User       Kind = "token list"           // of a user
	Token      Kind = "token"                // itself
	Validated  Kind = "validated token"      // kept by keystonemiddleware
	Region     Kind = "region"               // a value that invalidates one
	Revocation Kind = "revocation list"      // of tokens
	Lock       Kind = "lock"                 // of a user's token list, of the revocation list, or of a hashed key
	Chunk      Kind = "chunk of a split key" // mcproxy's own
)

// An Owner says what a key is, and whose.
type Owner struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id,omitempty"` // of the user or token, or the region's name; as far as it is known
	Name string `json:"name,omitempty"`
}

// String says it in a few words; of what is not known, "".
func (o Owner) String() string {
	switch {
	case o.Kind == Unknown || o.Kind == "":
		return ""
	case o.Name != "":
		return string(o.Kind) + " of " + o.Name
	case o.ID != "" && (o.Kind == User || o.Kind == Lock):
		return string(o.Kind) + " of " + o.ID
	case o.ID != "":
		return string(o.Kind) + " " + o.ID
	}
	return string(o.Kind)
}

// An ID is a user, or a token, or a region.
type ID struct {
	ID    string
	Name  string // for people; may be ""
	Bytes int64  // of the user's token list; 0: not known
}

// A Directory finds the owners of keys among ids that it was told. It is not safe for concurrent use.
type Directory struct {
	owners map[string]Owner
}

// NewDirectory gives one that knows the keys that every Keystone has.
func NewDirectory() *Directory {
	d := &Directory{owners: map[string]Owner{}}
	for _, name := range Regions() {
		d.AddRegion(name)
	}
	d.owners[RevocationKey()] = Owner{Kind: Revocation}
	return d
}

// AddUser tells of a user.
func (d *Directory) AddUser(id ID) {
	d.owners[UserKey(id.ID)] = Owner{Kind: User, ID: id.ID, Name: id.Name}
}

// AddToken tells of a token.
func (d *Directory) AddToken(id ID) {
	d.owners[TokenKey(id.ID)] = Owner{Kind: Token, ID: id.ID, Name: id.Name}
	d.owners[MiddlewareKey(id.ID)] = Owner{Kind: Validated, ID: id.ID, Name: id.Name}
}

// AddRegion tells of a region.
func (d *Directory) AddRegion(name string) { d.owners[RegionKey(name)] = Owner{Kind: Region, ID: name} }

// Add tells of an id that may be a user's or a token's.
func (d *Directory) Add(id ID) {
	d.AddUser(id)
	d.AddToken(id)
}

// Whose says what a key is.
func (d *Directory) Whose(key string) Owner {
	if o, ok := d.owners[key]; ok {
		return o
	}
	switch {
	case strings.HasPrefix(key, lockPrefix+userPrefix):
		id := strings.TrimPrefix(key, lockPrefix+userPrefix)
		return Owner{Kind: Lock, ID: id, Name: d.owners[UserKey(id)].Name}
	case key == lockPrefix+revocations:
		return Owner{Kind: Lock, ID: revocations}
	case strings.HasPrefix(key, lockPrefix) && isHash(key[len(lockPrefix):], sha1.Size):
		of := d.owners[key[len(lockPrefix):]]
		return Owner{Kind: Lock, ID: of.ID, Name: of.Name}
	case strings.HasPrefix(key, middleware):
		return Owner{Kind: Validated}
	case strings.HasPrefix(key, "~mcproxy."):
		return Owner{Kind: Chunk}
	}
	return Owner{Kind: Unknown}
}

// isHash reports whether text is so many bytes in hex.
func isHash(text string, bytes int) bool {
	return len(text) == 2*bytes && strings.Trim(text, "0123456789abcdef") == ""
}
