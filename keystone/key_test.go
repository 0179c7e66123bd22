package keystone_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcproxy/keystone"
	"mcproxy/ring"
)

// TestRegions: the keys that were seen on the wire of a real Keystone 22.
func TestRegions(t *testing.T) {
	seen := map[string]string{
		"tokens":                  "2d6cad476fdd468cd5142307ac89a6534277951e",
		"computed assignments":    "5a1551330578815cc8a0b4c07329ef47276e9db0",
		"revoke":                  "a619987c7b96fd5f3d7c9f80cf5585ac1a22f8ec",
		"id mapping":              "aa83dd6e4c01fa81596d94f21b73f6f8b786529b",
		"shared default":          "2a4b007dd5619393e567dc0c8bc36c2996d52dd7",
		"computed catalog region": "36a0dc4b31dc35fca53a8c0ef0a5776215c8d145",
		"receipts":                "99378388c776e02cd2568956b1e531c3455e7eb5",
	}
	if len(keystone.Regions()) != len(seen) {
		t.Errorf("regions %q", keystone.Regions())
	}
	d := keystone.NewDirectory()
	for name, key := range seen {
		if got := keystone.RegionKey(name); got != key {
			t.Errorf("RegionKey(%q) = %s, want %s", name, got, key)
		}
		if o := d.Whose(key); o.Kind != keystone.Region || o.ID != name {
			t.Errorf("Whose(%s) = %+v", key, o)
		}
	}
}

func TestWhose(t *testing.T) {
	d := keystone.NewDirectory()
	d.AddUser(keystone.ID{ID: "u1", Name: "nova"})
	d.AddToken(keystone.ID{ID: "t1"})
	d.Add(keystone.ID{ID: "both"})
	d.AddRegion("mine")
	for _, tt := range []struct{ key, want string }{
		{keystone.UserKey("u1"), "token list of nova"},
		{keystone.UserKey("u2"), ""},
		{keystone.UserLock("u1"), "lock of nova"},
		{keystone.UserLock("u2"), "lock of u2"},
		{"_lockrevocation-list", "lock of revocation-list"},
		{"_lock" + keystone.RegionKey("tokens"), "lock of tokens"},
		{"_lock" + keystone.UserKey("u9"), "lock"},
		{"_locksmith", ""},
		{keystone.TokenKey("t1"), "token t1"},
		{keystone.MiddlewareKey("t1"), "validated token t1"},
		{"tokens/0123", "validated token"},
		{keystone.UserKey("both"), "token list of both"},
		{keystone.TokenKey("both"), "token both"},
		{keystone.RegionKey("mine"), "region mine"},
		{keystone.RevocationKey(), "revocation list"},
		{"~mcproxy.x", "chunk of a split key"},
		{"", ""},
		{strings.Repeat("0", 40), ""},
	} {
		if got := d.Whose(tt.key).String(); got != tt.want {
			t.Errorf("Whose(%q) = %q, want %q", tt.key, got, tt.want)
		}
	}
	// Of a PKI token the MD5 is the id; md5sum says which.
	if got, want := keystone.TokenKey("MIIabc"), keystone.TokenKey("7da02632e3093fc3cd2ae2f0d6d68d9f"); got != want {
		t.Errorf("TokenKey of a PKI token = %s, want %s", got, want)
	}
}

// TestHash: the key, the hash and the server that python-memcached's own users saw.
func TestHash(t *testing.T) {
	const key = "6e49b86a7502dae881f3b9466ecbdfa4743c7eb9"
	if got := keystone.Hash(key); got != 3065 {
		t.Errorf("Hash = %d, want 3065", got)
	}
	places, err := keystone.Place(key, keystone.Nodes(2), keystone.Recipes())
	if err != nil {
		t.Fatal(err)
	}
	if len(places) != len(keystone.Recipes()) || places[0].Index != 1 || places[0].Server != "10.0.0.2:11211" || places[0].Hash != 3065 {
		t.Errorf("places %+v; want the second of two by cmemcache", places)
	}
}

func TestReadIDs(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []keystone.ID // nil: an error
		err        string
	}{
		{"lines", "a\n\n# comment\nb  bob # the builder\nc,\tcarol smith, 500\nd dan 5x\n", []keystone.ID{
			{ID: "a"}, {ID: "b", Name: "bob"}, {ID: "c", Name: "carol smith", Bytes: 500}, {ID: "d", Name: "dan 5x"},
		}, ""},
		{"no last line end", "a", []keystone.ID{{ID: "a"}}, ""},
		{"the client's CSV", "\"ID\",\"Name\"\r\n\"a1\",\"nova\"\r\n", []keystone.ID{{ID: "a1", Name: "nova"}}, ""},
		{"the client's JSON", "\n[\n {\"ID\": \"a1\", \"Name\": \"nova\"},\n {\"ID\": \"a2\", \"Name\": \"neutron\"}\n]\n", []keystone.ID{
			{ID: "a1", Name: "nova"}, {ID: "a2", Name: "neutron"},
		}, ""},
		{"Keystone's JSON", `{"links": {"self": "x"}, "users": [{"id": "a", "name": "b", "enabled": true}], "more": 1}`, []keystone.ID{{ID: "a", Name: "b"}}, ""},
		{"plain JSON", `["a", "b"]`, []keystone.ID{{ID: "a"}, {ID: "b"}}, ""},
		{"with bytes", `[{"id": "a", "bytes": 5}]`, []keystone.ID{{ID: "a", Bytes: 5}}, ""},
		{"nothing", "", []keystone.ID{}, ""},
		{"cut off", `[{"id": "a"}, {"id": `, nil, "JSON, item 2: unexpected EOF"},
		{"not closed", `["a"`, nil, "JSON: EOF"},
		{"no id", `[{"name": "a"}]`, nil, "JSON, item 1 has no ID"},
		{"no list", `{"a": 1}`, nil, "JSON: there is no list of ids in it"},
		{"no list of users", `{"users": 1}`, nil, `JSON: "users" is no list`},
		{"wrong type", `[5]`, nil, "JSON, item 1: "},
		{"negative bytes", `[{"id": "a", "bytes": -1}]`, nil, "JSON, item 1: -1 is no number of bytes of a list"},
		{"a long line", strings.Repeat("a", 2<<20), nil, "token too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := []keystone.ID{}
			err := keystone.ReadIDs(strings.NewReader(tt.text), func(id keystone.ID) error {
				got = append(got, id)
				return nil
			})
			if tt.want == nil {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
	stop := errors.New("stop")
	if err := keystone.ReadIDs(strings.NewReader("a\nb\n"), func(keystone.ID) error { return stop }); !errors.Is(err, stop) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("an error of the caller: %v", err)
	}
}

func TestSkew(t *testing.T) {
	var users []keystone.ID
	for i := range 200 {
		users = append(users, keystone.ID{ID: fmt.Sprintf("%032x", i), Bytes: 1000})
	}
	users[7].Bytes = 200_000
	recipe := keystone.Recipes()[0]
	s, err := keystone.NewSkew(users, keystone.Nodes(4), recipe)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ring.New(keystone.Nodes(4), recipe.Options)
	if err != nil {
		t.Fatal(err)
	}
	var bytes [4]int64
	sum := int64(0)
	for _, u := range users {
		bytes[r.Lookup([]byte(keystone.UserKey(u.ID)))] += u.Bytes
		sum += u.Bytes
	}
	most := int64(0)
	for i, server := range s.Servers {
		if server.Bytes != bytes[i] {
			t.Errorf("server %d has %d bytes, want %d", i, server.Bytes, bytes[i])
		}
		most = max(most, bytes[i])
	}
	if want := float64(most) * 4 / float64(sum); s.BytesMaxMean < want-0.001 || s.BytesMaxMean > want+0.001 || want < 2 {
		t.Errorf("busiest over mean is %v, want %v", s.BytesMaxMean, want)
	}
	if s.Users[0].ID != users[7].ID || s.Users[0].Key != keystone.UserKey(users[7].ID) {
		t.Errorf("the largest list is %+v", s.Users[0])
	}
	counts := map[int]int{}
	for _, a := range s.Alternatives {
		counts[a.Servers]++
	}
	if want := map[int]int{4: len(keystone.Recipes()), 3: 1, 5: 1, 6: 1, 8: 1}; !cmp.Equal(want, counts) {
		t.Errorf("alternatives by servers: %v, want %v", counts, want)
	}
	if _, err := keystone.NewSkew(nil, keystone.Nodes(2), recipe); err != nil {
		t.Errorf("no users: %v", err)
	}
	if _, err := keystone.NewSkew(users, keystone.Nodes(1001), recipe); err == nil {
		t.Error("1001 servers are taken")
	}
	var page strings.Builder
	if err := s.WriteHTML(&page); err != nil || !strings.Contains(page.String(), "Busiest over mean") {
		t.Errorf("the page: %v", err)
	}
}

func FuzzReadIDs(f *testing.F) {
	for _, text := range []string{"a\nb bob 5\n", `["a"]`, `{"users": [{"id": "a"}]}`, "\"ID\",\"Name\"\na,b\n", "{", "[[", "#"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_ = keystone.ReadIDs(strings.NewReader(text), func(id keystone.ID) error {
			if id.Bytes < 0 {
				t.Fatalf("id %+v", id)
			}
			return nil
		})
	})
}
