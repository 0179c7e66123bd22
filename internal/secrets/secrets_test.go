package secrets_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/secrets"
	"mcproxy/internal/tlstest"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// refresh fails the test unless the outcome is the wanted one: "same", "changed" or "wrong".
func refresh(t *testing.T, what string, r secrets.Refresher, again bool, want string) {
	t.Helper()
	changed, err := r.Refresh(again)
	got := "same"
	switch {
	case err != nil:
		got = "wrong"
	case changed:
		got = "changed"
	}
	if got != want {
		t.Errorf("%s: Refresh(%v) = %v, %v; want %s", what, again, changed, err, want)
	}
}

func TestUsers(t *testing.T) {
	sum := sha256.Sum256([]byte("long and random"[:4]))
	path := write(t, filepath.Join(t.TempDir(), "users"), "ann:secret\r\n\nbob:x:y\neve:{SHA256}"+hex.EncodeToString(sum[:])+"\n")
	u, err := secrets.LoadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, password string
		want           bool
	}{
		{"ann", "secret", true},
		{"bob", "x:y", true},
		{"eve", "long", true},
		{"ann", "x:y", false},
		{"ann", "", false},
		{"", "", false},
		{"eve", "{SHA256}" + hex.EncodeToString(sum[:]), false},
		{"Ann", "secret", false},
	} {
		if got := u.Check([]byte(tt.name), []byte(tt.password)); got != tt.want {
			t.Errorf("Check(%q, %q) = %v, want %v", tt.name, tt.password, got, tt.want)
		}
	}
	refresh(t, "nothing changed", u, false, "same")
	write(t, path, "ann:other\n")
	refresh(t, "another password", u, false, "changed")
	if u.Check([]byte("ann"), []byte("secret")) || !u.Check([]byte("ann"), []byte("other")) {
		t.Error("the old password is still in force")
	}
	write(t, path, "ann\n")
	refresh(t, "half a file", u, false, "same")
	refresh(t, "half a file, still", u, false, "wrong")
	refresh(t, "half a file, told", u, false, "same")
	refresh(t, "half a file, asked again", u, true, "wrong")
	if !u.Check([]byte("ann"), []byte("other")) {
		t.Error("a broken file took the users away")
	}
	write(t, path, "ann:other\n")
	refresh(t, "mended", u, false, "same")
}

func TestUsersProblems(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ": no user in it"},
		{"\n\n", ": no user in it"},
		{"a:b\nhunter2\n", ":2: no \":\" between a name and a password"},
		{":hunter2\n", ":1: an empty name or password"},
		{"a:\n", ":1: an empty name or password"},
		{"a:hunter2 hunter2\n", ":1: a blank or control character in a name or password"},
		{"a:{SHA256}hunter2\n", ":1: no SHA-256 in hexadecimal after {SHA256}"},
		{strings.Repeat("a:hunter2\n", 200_000), ": longer than 1 MiB"},
	} {
		path := write(t, filepath.Join(t.TempDir(), "users"), tt.text)
		_, err := secrets.LoadUsers(path)
		if err == nil || !strings.HasSuffix(err.Error(), path+tt.want) {
			t.Errorf("LoadUsers of %.20q: %v, want …%s", tt.text, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("LoadUsers of %.20q tells a password: %v", tt.text, err)
		}
	}
}

func TestLogin(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "login"), "proxy:se:cret\nother:x\n")
	l, err := secrets.LoadLogin(path)
	if err != nil {
		t.Fatal(err)
	}
	if name, password := l.Pair(); name != "proxy" || password != "se:cret" {
		t.Errorf("Pair() = %q, %q", name, password)
	}
	write(t, path, "proxy:{SHA256}"+strings.Repeat("0", 64)+"\n")
	refresh(t, "a hash", l, true, "wrong")
	if name, password := l.Pair(); name != "proxy" || password != "se:cret" {
		t.Errorf("Pair() = %q, %q after a file of no use", name, password)
	}
	if _, err := secrets.LoadLogin(path + ".none"); err == nil {
		t.Error("a login from a file that is not there")
	}
}

func TestIdentity(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	pair := ca.Issue("localhost")
	id, err := secrets.LoadServer(secrets.PEM{Cert: pair.Cert, Key: pair.Key, CA: ca.File})
	if err != nil {
		t.Fatal(err)
	}
	leaf := func() []byte { return id.Config().Certificates[0].Leaf.Raw }
	first := leaf()
	refresh(t, "nothing changed", id, false, "same")

	// A certificate without its key is no pair, for a moment.
	before, err := os.ReadFile(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	ca.IssueTo(pair, "localhost", expires)
	after, err := os.ReadFile(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, pair.Key, string(before))
	refresh(t, "half a pair", id, false, "same")
	if !bytes.Equal(leaf(), first) {
		t.Error("half a pair is in force")
	}
	write(t, pair.Key, string(after))
	refresh(t, "a new pair", id, false, "changed")
	if bytes.Equal(leaf(), first) || !id.Expires().Equal(expires) {
		t.Errorf("the old certificate is in force, until %v", id.Expires())
	}
	if err := os.Remove(pair.Key); err != nil {
		t.Fatal(err)
	}
	refresh(t, "no key", id, true, "wrong")
	if id.Config() == nil {
		t.Error("no identity any more")
	}
}

func TestIdentityProblems(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	pair, other := ca.Issue("localhost"), ca.Issue("localhost")
	for what, pem := range map[string]secrets.PEM{
		"another key":      {Cert: pair.Cert, Key: other.Key},
		"no such file":     {Cert: pair.Cert, Key: pair.Key + ".none"},
		"no authority":     {Cert: pair.Cert, Key: pair.Key, CA: pair.Key},
		"a key where not":  {Cert: pair.Key, Key: pair.Key},
		"a directory":      {Cert: pair.Cert, Key: pair.Key, CA: t.TempDir()},
		"an empty file":    {Cert: pair.Cert, Key: write(t, filepath.Join(t.TempDir(), "empty"), "")},
		"only a authority": {CA: pair.Key},
	} {
		if _, err := secrets.LoadServer(pem); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if id, err := secrets.LoadClient(secrets.PEM{CA: ca.File}); err != nil || !id.Expires().IsZero() {
		t.Errorf("a client without a certificate: %v", err)
	}
}
