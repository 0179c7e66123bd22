package secrets

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
)

// What is wrong with a line of a file of users.
var (
	errNoColon = errors.New("no \":\" between a name and a password")
	errEmpty   = errors.New("an empty name or password")
	errBlank   = errors.New("a blank or control character in a name or password")
	errHash    = errors.New("no SHA-256 in hexadecimal after " + hashed)
	errNoUser  = errors.New("no user in it")
	errHashed  = errors.New("a hash, and the password itself is needed")
)

// hashed begins a password that is written as its SHA-256.
const hashed = "{SHA256}"

// Users are who may log in at a listener. The file is memcached's (its option -Y): a line "name:password" for each; the password can be
// "{SHA256}" and its hash in hexadecimal too. That hash is fast to guess from, so such passwords are to be long and random.
type Users struct{ files[[]user] }

type user struct{ name, password [sha256.Size]byte } // their SHA-256

// LoadUsers reads a file of at least one user.
func LoadUsers(path string) (*Users, error) {
	u := &Users{}
	u.paths = []string{path}
	u.build = func(contents [][]byte) (*[]user, error) {
		var users []user
		err := eachUser(path, contents[0], func(name, password []byte) error {
			one := user{name: sha256.Sum256(name), password: sha256.Sum256(password)}
			if text, ok := bytes.CutPrefix(password, []byte(hashed)); ok {
				sum, err := hex.DecodeString(string(text))
				if err != nil || len(sum) != sha256.Size {
					return errHash
				}
				one.password = [sha256.Size]byte(sum)
			}
			users = append(users, one)
			return nil
		})
		return &users, err
	}
	if _, err := u.Refresh(true); err != nil {
		return nil, err
	}
	return u, nil
}

// Check says whether there is such a user. How long it takes tells nothing of names and passwords.
func (u *Users) Check(name, password []byte) bool {
	n, p := sha256.Sum256(name), sha256.Sum256(password)
	found := 0
	for i := range *u.value.Load() {
		one := &(*u.value.Load())[i]
		found |= subtle.ConstantTimeCompare(n[:], one.name[:]) & subtle.ConstantTimeCompare(p[:], one.password[:])
	}
	return found == 1
}

// A Login is a name and its password, to be told to servers: the first line of a file of users.
type Login struct{ files[login] }

type login struct{ name, password string }

// LoadLogin reads a file of at least one user.
func LoadLogin(path string) (*Login, error) {
	l := &Login{}
	l.paths = []string{path}
	l.build = func(contents [][]byte) (*login, error) {
		var first *login
		err := eachUser(path, contents[0], func(name, password []byte) error {
			if first == nil && bytes.HasPrefix(password, []byte(hashed)) {
				return errHashed
			}
			if first == nil {
				first = &login{string(name), string(password)}
			}
			return nil
		})
		return first, err
	}
	if _, err := l.Refresh(true); err != nil {
		return nil, err
	}
	return l, nil
}

// Pair gives name and password, neither with a blank.
func (l *Login) Pair() (name, password string) {
	v := l.value.Load()
	return v.name, v.password
}

// eachUser calls take for every line. Errors name the line and never what is in it.
func eachUser(path string, content []byte, take func(name, password []byte) error) error {
	n, some := 0, false
	for line := range bytes.Lines(content) {
		n++
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		name, password, colon := bytes.Cut(line, []byte(":"))
		var err error
		switch {
		case !colon:
			err = errNoColon
		case len(name) == 0 || len(password) == 0:
			err = errEmpty
		case bytes.ContainsFunc(line, func(c rune) bool { return c <= ' ' || c == 0x7f }):
			err = errBlank
		default:
			err = take(name, password)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
		some = true
	}
	if !some {
		return fmt.Errorf("%s: %w", path, errNoUser)
	}
	return nil
}
