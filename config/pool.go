package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcproxy/backend"
	"mcproxy/placement"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/ring"
)

// finish checks what the keys of a pool say together.
func (p *poolDraft) finish(r *reader) {
	c := &p.config
	if p.onError == "error" {
		c.OnError = pool.OnErrorError
	}
	switch p.onDown {
	case "eject":
		c.OnDown = placement.OnDownEject
	case "gutter":
		c.OnDown = placement.OnDownGutter
	}
	switch p.onReturn {
	case "flush":
		c.Backend.OnReturn = backend.OnReturnFlush
	case "hold":
		c.Backend.OnReturn = backend.OnReturnHold
	}
	p.checkDown(r)
	c.Ring.NoOrOne = !p.orOne
	c.HotKeysOff = !p.hotKeys
	switch p.coalesce {
	case "all":
		c.Coalesce = pool.CoalesceAll
	case "off":
		c.Coalesce = pool.CoalesceOff
	}
	p.checkReplicas(r)
	p.checkRing(r)
	p.checkTLS(r)
	b, def := c.Backend, c.Backend.WithDefaults()
	p.atLeast(r, limit{"stall_timeout", b.StallTimeout, def.StallTimeout}, limit{"timeout", b.Timeout, def.Timeout})
	p.atLeast(r, limit{"probe_max", b.ProbeMax, def.ProbeMax}, limit{"probe_interval", b.ProbeInterval, def.ProbeInterval})
	if b.Timeout > time.Second {
		r.warn(p.at.key("timeout"), "%s is more than 1s, after which python-memcached takes the proxy for dead and leaves it alone "+
			"for 300 s", durationText(b.Timeout))
	}
}

// checkDown checks what on_down needs.
func (p *poolDraft) checkDown(r *reader) {
	c := &p.config
	if c.OnDown != placement.OnDownFail && !p.at.has("damping") {
		c.Backend.Damping = defaultDamping
	}
	for _, key := range []string{"gutter", "gutter_ttl"} {
		if p.at.has(key) && c.OnDown != placement.OnDownGutter {
			r.fail(p.at.key(key), "is for on_down = \"gutter\"; write that too, or take the key out")
		}
	}
	for _, key := range []string{"max_down", "damping"} {
		if p.at.has(key) && c.OnDown == placement.OnDownFail {
			r.fail(p.at.key(key), "is for on_down = \"eject\" and \"gutter\"; write one of them too, or take the key out")
		}
	}
	if c.OnDown == placement.OnDownGutter && !p.at.has("gutter") {
		r.fail(p.at.key("gutter"), "missing; name the pool that stands in")
	}
}

// checkGutters checks the pools that stand in for others.
func (d *draft) checkGutters(r *reader) {
	for _, p := range d.pools {
		if p.config.Gutter == "" || p.config.OnDown != placement.OnDownGutter {
			continue
		}
		at := p.at.key("gutter")
		i := slices.IndexFunc(d.pools, func(o poolDraft) bool { return o.config.Name == p.config.Gutter })
		switch {
		case i < 0 || d.pools[i].config.Name == p.config.Name:
			r.fail(at, "%s is no other pool of this file", quote(p.config.Gutter))
		case d.pools[i].config.Split.Enabled != p.config.Split.Enabled:
			r.fail(at, "split.enabled is not the same in pool %s; what one keeps in chunks, the other could not read", quote(p.config.Gutter))
		}
		if i < 0 || d.pools[i].config.Name == p.config.Name {
			continue
		}
		d.pools[i].withoutCopies(r, "standing in for pool "+quote(p.config.Name)+", whose keys come and go")
		for _, b := range p.config.Backends {
			if again, ok := d.pools[i].addresses[sameAddress(b.Network, b.Address)]; ok {
				r.fail(again, "is a backend of pool %s too, for which this pool stands in", quote(p.config.Name))
			}
		}
	}
}

// checkReplicas says whether keys get copies.
func (p *poolDraft) checkReplicas(r *reader) {
	c := &p.config
	switch p.replicas {
	case "safe":
		c.Copies.Mode = copies.Safe
	case "strict":
		c.Copies.Mode = copies.Strict
	}
	if len(c.Backends) < copies.MinBackends {
		c.Copies.Mode = copies.Off
	}
	if c.OnDown != placement.OnDownFail { // proxies do not know of each other where they look for keys meanwhile, so they cannot agree on copies
		p.withoutCopies(r, "on_down = "+quote(p.onDown)+", by which keys come and go")
	}
}

// withoutCopies has no key get copies. It is a mistake if the file says that some should.
func (p *poolDraft) withoutCopies(r *reader, why string) {
	mode := p.at.key("replicas").key("mode")
	if p.at.has("replicas") && p.at.key("replicas").has("mode") && p.replicas != "off" {
		r.fail(mode, "goes not with %s; write mode = \"off\"", why)
	}
	p.config.Copies.Mode = copies.Off
}

// checkTLS finds backends of which nobody knows what their certificates are for.
func (p *poolDraft) checkTLS(r *reader) {
	c := &p.config
	if !c.TLS.Enabled || c.TLS.ServerName != "" {
		return
	}
	for _, b := range c.Backends {
		if b.Network == "unix" {
			r.fail(p.addresses[sameAddress(b.Network, b.Address)], "a unix socket has no host that its certificate could be for; write server_name in [pools.%s.tls]", c.Name)
		}
	}
}

// A limit is a duration as written, 0 if it was not, and as it will be.
type limit struct {
	name    string
	written time.Duration
	value   time.Duration
}

// atLeast checks that a is at least b. The key that was written gets the blame.
func (p *poolDraft) atLeast(r *reader, a, b limit) {
	if a.value >= b.value {
		return
	}
	if a.written != 0 {
		r.fail(p.at.key(a.name), "%s is less than %s, which is %s; write %s or more",
			textOf(a.value), b.name, textOf(b.value), textOf(b.value))
		return
	}
	r.fail(p.at.key(b.name), "%s is more than %s, which is %s by default; write %s = %s or more too",
		textOf(b.value), a.name, textOf(a.value), a.name, textOf(b.value))
}

// checkRing asks package ring about the ring and its keys.
func (p *poolDraft) checkRing(r *reader) {
	kind := p.config.Ring.Kind
	if p.at.has("ring") && p.at.key("ring").data != kind {
		return // reported
	}
	wrong := false
	for _, k := range ringKeys() {
		if !p.at.has(k.name) || k.takenBy(kind) {
			continue
		}
		wrong = true
		var takers []string
		for _, other := range ringNames() {
			if k.takenBy(other) {
				takers = append(takers, "ring = "+strconv.Quote(other))
			}
		}
		r.fail(p.at.key(k.name), "the %s ring does not have this key; take it out, or write %s", kind, strings.Join(takers, " or "))
	}
	if wrong || len(p.config.Backends) == 0 {
		return
	}
	var problem *ring.Error
	if _, err := pool.NewRing(p.config); errors.As(err, &problem) {
		p.ringProblem(r, problem)
	}
}

// ringProblem reports what package ring does not take.
func (p *poolDraft) ringProblem(r *reader, problem *ring.Error) {
	if problem.Node >= 0 {
		b := p.config.Backends[problem.Node]
		r.fail(p.addresses[sameAddress(b.Network, b.Address)], "%s", problem.Reason)
		return
	}
	key := "backends"
	for _, k := range ringKeys() {
		if k.field == problem.Field {
			key = k.name
		}
	}
	r.fail(p.at.key(key), "%s", problem.Reason)
}

// A ringKey is a key that only some rings know.
type ringKey struct {
	name  string
	field string       // of ring.Options
	try   ring.Options // the field with a value that every ring takes that has the field
}

func ringKeys() []ringKey {
	return []ringKey{
		{"hash", "Hash", ring.Options{Hash: "md5"}},
		{"hash_tag", "HashTag", ring.Options{HashTag: "{}"}},
		{"distribution", "Distribution", ring.Options{Distribution: "modula"}},
		{"or_one", "NoOrOne", ring.Options{NoOrOne: true}},
	}
}

// takenBy says whether a ring has the key.
func (k ringKey) takenBy(kind string) bool {
	k.try.Kind = kind
	_, err := ring.New([]ring.Node{{Name: "a", Host: "a", Port: 1, Weight: 1}}, k.try)
	return err == nil
}

// hashTagProblem completes "%q …".
func hashTagProblem(s string) string {
	if len(s) != 2 || nameProblem(s, 2) != "" {
		return "is not two characters"
	}
	return ""
}

// maxKey is the longest key of memcached's text protocol, in bytes.
const maxKey = 250

// prefixProblem completes "%q …".
func prefixProblem(s string) string {
	switch {
	case s == "":
		return "is what every key begins with, and is default_pool's business"
	case len(s) > maxKey:
		return "is longer than a key can be"
	case strings.ContainsAny(s, " \r\n\x00"):
		return "has a blank, a line end or a NUL, which no key has"
	}
	return ""
}
