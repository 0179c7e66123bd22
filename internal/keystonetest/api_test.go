//go:build keystone

package keystonetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// An api speaks Keystone's API to one Keystone after the other, as a load balancer before them would.
type api struct {
	t         testing.TB
	instances []*instance
	client    *http.Client
	turn      *atomic.Int64
	token     string // who asks
}

// apiTimeout is how long a user waits.
const apiTimeout = 90 * time.Second

// An answer is what Keystone says.
type answer struct {
	status int
	token  string // X-Subject-Token
	body   []byte
	took   time.Duration
}

func newAPI(t testing.TB, instances ...*instance) *api {
	transport := &http.Transport{DisableKeepAlives: true}
	return &api{t: t, instances: instances, client: &http.Client{Transport: transport, Timeout: apiTimeout}, turn: new(atomic.Int64)}
}

// only is the API of one of the Keystones.
func (a *api) only(number int) *api {
	one := *a
	one.instances = a.instances[number : number+1]
	return &one
}

// as is the API as the owner of a token uses it.
func (a *api) as(token string) *api {
	other := *a
	other.token = token
	return &other
}

// do sends a request. subject is the token that it is about, if it is about one; body is nil or becomes JSON. A status of 0 is no answer.
func (a *api) do(method, path, subject string, body any) answer {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			a.t.Errorf("%s %s: %v", method, path, err)
			return answer{}
		}
		in = bytes.NewReader(text)
	}
	at := a.instances[int(a.turn.Add(1))%len(a.instances)]
	request, err := http.NewRequest(method, "http://"+at.address+"/v3"+path, in)
	if err != nil {
		a.t.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "X-Auth-Token": a.token, "X-Subject-Token": subject} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	start := time.Now()
	got, err := a.client.Do(request)
	if err != nil {
		return answer{body: []byte(err.Error()), took: time.Since(start)}
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return answer{body: []byte(err.Error()), took: time.Since(start)}
	}
	return answer{status: got.StatusCode, token: got.Header.Get("X-Subject-Token"), body: text, took: time.Since(start)}
}

// must sends a request whose answer is known.
func (a *api) must(status int, method, path, subject string, body any) answer {
	a.t.Helper()
	got := a.do(method, path, subject, body)
	if got.status != status {
		a.t.Errorf("%s %s: HTTP %d after %v, want %d: %.500s", method, path, got.status, got.took, status, got.body)
	}
	return got
}

// A form is JSON to send.
type form map[string]any

// credentials are what a token is asked for with. project is "" for a token of no scope.
func credentials(user, password, project string) form {
	identity := form{"methods": []string{"password"}, "password": form{"user": form{"name": user, "domain": form{"id": "default"}, "password": password}}}
	if project == "" {
		return form{"auth": form{"identity": identity}}
	}
	return form{"auth": form{"identity": identity, "scope": form{"project": form{"name": project, "domain": form{"id": "default"}}}}}
}

// issue asks for a token.
func (a *api) issue(user, password, project string) string {
	a.t.Helper()
	got := a.must(http.StatusCreated, "POST", "/auth/tokens", "", credentials(user, password, project))
	if got.status == http.StatusCreated && got.token == "" {
		a.t.Errorf("a token was issued, and is not in the answer")
	}
	return got.token
}

// validate asks what a token is worth.
func (a *api) validate(token string) answer { return a.do("GET", "/auth/tokens", token, nil) }

// make makes something of a kind, such as a user, and gives its id.
func (a *api) make(kind, name string, more form) string {
	a.t.Helper()
	what := form{"name": name}
	for k, v := range more {
		what[k] = v
	}
	got := a.must(http.StatusCreated, "POST", "/"+kind+"s", "", form{kind: what})
	var made map[string]struct{ ID string }
	if err := json.Unmarshal(got.body, &made); err != nil || made[kind].ID == "" {
		a.t.Fatalf("making %s %s: %v: %.500s", kind, name, err, got.body)
	}
	return made[kind].ID
}

// role is the id of a role that keystone-manage made.
func (a *api) role(name string) string {
	a.t.Helper()
	got := a.must(http.StatusOK, "GET", "/roles?name="+name, "", nil)
	var said struct{ Roles []struct{ ID string } }
	if err := json.Unmarshal(got.body, &said); err != nil || len(said.Roles) != 1 {
		a.t.Fatalf("the role %s: %v: %.500s", name, err, got.body)
	}
	return said.Roles[0].ID
}

func grantPath(project, user, role string) string {
	return fmt.Sprintf("/projects/%s/users/%s/roles/%s", project, user, role)
}

func (a *api) assign(project, user, role string) {
	a.t.Helper()
	a.must(http.StatusNoContent, "PUT", grantPath(project, user, role), "", nil)
}

func (a *api) unassign(project, user, role string) {
	a.t.Helper()
	a.must(http.StatusNoContent, "DELETE", grantPath(project, user, role), "", nil)
}

// roles are the names of the roles in the answer to a validation, sorted.
func (r answer) roles() []string {
	var said struct {
		Token struct{ Roles []struct{ Name string } }
	}
	_ = json.Unmarshal(r.body, &said)
	names := []string{}
	for _, role := range said.Token.Roles {
		names = append(names, role.Name)
	}
	slices.Sort(names)
	return names
}

// user is the id of the user in the answer to a validation.
func (r answer) user() string {
	var said struct {
		Token struct{ User struct{ ID string } }
	}
	_ = json.Unmarshal(r.body, &said)
	return said.Token.User.ID
}
