package protocol_test

import (
	"bytes"
	"testing"

	"mcproxy/protocol"
)

func TestParseLogin(t *testing.T) {
	for _, tt := range []struct{ block, name, password string }{
		{"ann secret", "ann", "secret"},
		{"  ann   secret  ", "ann", "secret"},
		{"ann secret more", "ann", "secret"},
		{"ann", "", ""},
		{"ann ", "", ""},
		{"", "", ""},
		{"   ", "", ""},
	} {
		name, password, ok := protocol.ParseLogin([]byte(tt.block))
		if want := tt.name != ""; ok != want || ok && (string(name) != tt.name || string(password) != tt.password) {
			t.Errorf("ParseLogin(%q) = %q, %q, %v", tt.block, name, password, ok)
		}
	}
}

func FuzzLogin(f *testing.F) {
	f.Add("ann", "secret")
	f.Add("a:b", "{SHA256}")
	f.Fuzz(func(t *testing.T, name, password string) {
		if name == "" || password == "" || len(name)+len(password) > protocol.MaxLogin || bytes.ContainsAny([]byte(name+password), " \r\n") {
			return // no login has these
		}
		line := protocol.AppendLogin(nil, name, password)
		var req protocol.Request
		n, err := protocol.ParseRequest(line, &req)
		if err != nil || n == 0 || req.Verb != protocol.Set {
			t.Fatalf("AppendLogin(%q, %q) = %q, no set: %v", name, password, line, err)
		}
		if v, ok := req.TakeValue(line[n:]); !ok || n+v != len(line) {
			t.Fatalf("AppendLogin(%q, %q) = %q, no block", name, password, line)
		}
		gotName, gotPassword, ok := protocol.ParseLogin(req.Value)
		if !ok || string(gotName) != name || string(gotPassword) != password {
			t.Fatalf("ParseLogin(AppendLogin(%q, %q)) = %q, %q, %v", name, password, gotName, gotPassword, ok)
		}
	})
}
