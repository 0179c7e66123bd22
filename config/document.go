package config

import (
	"cmp"
	"slices"
	"strings"

	"mcproxy/pool"
	"mcproxy/proxy"
)

// A draft is a file in the making: what has been read, and where it stood.
type draft struct {
	file        File
	defaultPool string
	whole       value

	listeners map[string]value // by address
	pools     []poolDraft
	prefixes  map[string]value
	routes    []value // the places of file.Proxy.Routes
}

// A poolDraft is a pool and what its checks need to know.
type poolDraft struct {
	config  pool.Config
	orOne   bool
	onError string
	// onDown and onReturn are as written.
	onDown, onReturn string
	// replicas is replicas.mode.
	// coalesce is coalesce.mode, hotKeys is hotkeys.enabled.
	coalesce string
	replicas string
	hotKeys  bool
	at       value
	// The places of the backends' addresses and names, by their text.
	addresses, names map[string]value
}

// document reads the whole file. What it gives is of use if nothing was reported.
func (r *reader) document(v value) *File {
	d := &draft{
		file:      File{Log: Log{Level: "info", Format: "console"}},
		whole:     v,
		listeners: make(map[string]value),
		prefixes:  make(map[string]value),
	}
	r.table(v, "", topOptions(d))
	if !v.has("listeners") {
		r.fail(v.key("listeners"), "missing; write [[listeners]] and address = \"127.0.0.1:11210\"")
	}
	if !v.has("pools") {
		r.fail(v.key("pools"), "missing; write [pools.main] and backends = [\"127.0.0.1:11211\"]")
	}
	d.checkPools(r)
	d.checkGutters(r)
	d.checkLoops(r)
	for _, p := range d.pools {
		p.config.Backend.Keepalive = d.file.Proxy.Keepalive
		d.file.Proxy.Pools = append(d.file.Proxy.Pools, p.config)
	}
	d.file.Proxy.DefaultPool = d.defaultPool
	return &d.file
}

// once reports a second use of what should be there once, such as an address. seen has the first uses.
func once(r *reader, seen map[string]value, id string, v value) (first bool) {
	if before, ok := seen[id]; ok {
		r.fail(v, "%s is already on line %d (%s); write it once", quote(v.data.(string)), before.at.line, before.at.path())
		return false
	}
	seen[id] = v
	return true
}

func (d *draft) readListeners(r *reader, v value) {
	r.tables(v, "[[listeners]]", func(item value) {
		l := proxy.Listener{}
		if !r.table(item, "[[listeners]]", listenerOptions(&l)) {
			return
		}
		address := item.key("address")
		if !item.has("address") {
			r.fail(address, "missing; write address = \"127.0.0.1:11210\"")
		}
		if l.Address == "" {
			return
		}
		if l.Network == "unix" || !strings.HasSuffix(l.Address, ":0") {
			once(r, d.listeners, sameAddress(l.Network, l.Address), address)
		}
		if l.Mode != 0 && l.Network != "unix" {
			r.fail(item.key("mode"), "%s is no unix socket and has no permissions; take the key out", quote(l.Address))
		}
		checkDoor(r, item, &l)
		d.file.Proxy.Listeners = append(d.file.Proxy.Listeners, l)
	})
	if items, ok := v.items(); ok && len(items) == 0 {
		r.fail(v, "the list is empty; write [[listeners]] and address = \"127.0.0.1:11210\"")
	}
}

func (d *draft) readProxy(r *reader, v value) {
	var j journalDraft
	r.table(v, "[proxy]", proxyOptions(&d.file.Proxy, &j))
	if j.kind == "disk" {
		d.file.Proxy.JournalDir = cmp.Or(j.dir, journalDir)
	}
}

func (d *draft) readLog(r *reader, v value) {
	r.table(v, "[log]", logOptions(&d.file.Log, &d.file.Proxy))
}

func (d *draft) readAdmin(r *reader, v value) {
	a := &d.file.Admin
	r.table(v, "[admin]", adminOptions(a))
	if address := v.key("address"); a.Address != "" && !isLoopback(a.Address) {
		const open = "%s can be reached from other machines, and asks nobody for a password"
		if a.Remote {
			r.warn(address, open+": see to it that only those can who may read keys and figures", quote(a.Address))
		} else {
			r.fail(address, open+": listen on 127.0.0.1 or [::1], or write remote = true", quote(a.Address))
		}
	}
	if len(a.Hosts) > 0 && !a.Remote {
		r.fail(v.key("hosts"), "requests come from this machine alone; write remote = true too, or take the key out")
	}
}

func (d *draft) readPools(r *reader, v value) {
	if _, ok := v.data.(map[string]any); !ok {
		r.wrongType(v, "[pools.NAME]")
		return
	}
	for _, name := range v.keys() {
		at := v.key(name)
		if wrong := nameProblem(name, maxPoolName); wrong != "" {
			r.fail(at, "the name %s; write 1 to %d letters, digits or signs without blanks", wrong, maxPoolName)
		}
		p := poolDraft{
			config:    pool.Config{Name: name},
			orOne:     true,
			hotKeys:   true,
			replicas:  "safe",
			at:        at,
			addresses: make(map[string]value),
			names:     make(map[string]value),
		}
		p.config.Ring.Kind = ringNames()[0]
		if !r.table(at, "[pools."+name+"] and its keys", poolOptions(&p)) {
			continue
		}
		if !at.has("backends") {
			r.fail(at.key("backends"), "missing; write backends = [\"127.0.0.1:11211\"]")
		}
		p.finish(r)
		d.pools = append(d.pools, p)
	}
	if len(v.keys()) == 0 {
		r.fail(v, "the table is empty; write [pools.main] and backends = [\"127.0.0.1:11211\"]")
	}
}

func (p *poolDraft) readCoalesce(r *reader, v value) {
	r.table(v, "["+v.at.path()+"]", coalesceOptions(p))
}

func (p *poolDraft) readHotKeys(r *reader, v value) {
	r.table(v, "["+v.at.path()+"]", hotkeyOptions(p))
}

func (p *poolDraft) readTLS(r *reader, v value) {
	c := &p.config.TLS
	if !r.table(v, "["+v.at.path()+"]", tlsOptions(p)) {
		return
	}
	pairOfFiles(r, v, c.Cert, c.Key)
	for _, name := range []string{"ca", "cert", "key", "server_name"} {
		if v.has(name) && !c.Enabled && !v.has("enabled") {
			r.fail(v.key(name), "the pool does not use TLS; write enabled = true too")
			return
		}
	}
}

func (p *poolDraft) readSplit(r *reader, v value) {
	r.table(v, "["+v.at.path()+"]", splitOptions(p))
}

func (p *poolDraft) readReplicas(r *reader, v value) {
	r.table(v, "["+v.at.path()+"]", replicaOptions(p))
}

// readBackends reads strings and tables.
func (p *poolDraft) readBackends(r *reader, v value) {
	const allowed = `a list such as ["127.0.0.1:11211", { name = "b", address = "127.0.0.1:11212", weight = 2 }]`
	items, ok := v.items()
	if !ok {
		r.wrongType(v, allowed)
		return
	}
	if len(items) == 0 {
		r.fail(v, "the list is empty; write backends = [\"127.0.0.1:11211\"]")
	}
	for _, item := range items {
		b := pool.BackendConfig{Weight: 1}
		address := item
		switch item.data.(type) {
		case string:
			backendAddress(&b.Network, &b.Address).read(r, item)
		case map[string]any:
			address = item.key("address")
			r.table(item, allowed, backendOptions(&b))
			if !item.has("address") {
				r.fail(address, "missing; write address = \"127.0.0.1:11211\"")
			}
		default:
			r.wrongType(item, `"host:port" or { name = "b", address = "127.0.0.1:11212", weight = 2 }`)
		}
		p.add(r, b, item, address)
	}
}

// add takes a backend, if it has an address and differs from the others.
func (p *poolDraft) add(r *reader, c pool.BackendConfig, item, address value) {
	if c.Address == "" {
		return
	}
	unique := once(r, p.addresses, sameAddress(c.Network, c.Address), address)
	// A backend without a name is named by its address, so a name may be in the way of an address too.
	if c.Name != "" {
		unique = once(r, p.names, c.Name, item.key("name")) && unique
	} else if before, ok := p.names[c.Address]; ok && unique {
		r.fail(address, "%s is already the name of a backend on line %d (%s); give this one a name",
			quote(c.Address), before.at.line, before.at.path())
		unique = false
	} else {
		p.names[c.Address] = address
	}
	if unique {
		p.config.Backends = append(p.config.Backends, c)
	}
}

func (d *draft) readRoutes(r *reader, v value) {
	r.tables(v, "[[routes]]", func(item value) {
		var route proxy.Route
		if !r.table(item, "[[routes]]", routeOptions(&route)) {
			return
		}
		for _, key := range []string{"prefix", "pool"} {
			if !item.has(key) {
				r.fail(item.key(key), "missing; a route has prefix = \"tokens/\" and pool = \"main\"")
			}
		}
		if route.Prefix != "" {
			once(r, d.prefixes, route.Prefix, item.key("prefix"))
		}
		d.file.Proxy.Routes = append(d.file.Proxy.Routes, route)
		d.routes = append(d.routes, item)
	})
}

// checkPools checks that the pools that are named exist, and finds the default one.
func (d *draft) checkPools(r *reader) {
	var names []string
	for _, p := range d.pools {
		names = append(names, p.config.Name)
	}
	// Without pools there is another problem, and every route would follow it.
	if len(names) == 0 {
		return
	}
	known := "this file has " + strings.Join(names, ", ")
	for i, route := range d.file.Proxy.Routes {
		if route.Pool != "" && !slices.Contains(names, route.Pool) {
			r.fail(d.routes[i].key("pool"), "there is no pool %s; %s", quote(route.Pool), known)
		}
	}
	at := d.whole.key("default_pool")
	switch {
	case d.defaultPool != "":
		if !slices.Contains(names, d.defaultPool) {
			r.fail(at, "there is no pool %s; %s", quote(d.defaultPool), known)
		}
	case d.whole.has("default_pool"): // reported
	case len(names) == 1:
		d.defaultPool = names[0]
	case slices.Contains(names, "default"):
		d.defaultPool = "default"
	default:
		r.fail(at, "missing, and %s; write default_pool = %q above the first [table], or name a pool \"default\"", known, names[0])
	}
}

// checkLoops finds addresses that serve two ends.
func (d *draft) checkLoops(r *reader) {
	if a := d.file.Admin.Address; a != "" && !strings.HasSuffix(a, ":0") {
		if first, ok := d.listeners[sameAddress("tcp", a)]; ok {
			at := d.whole.key("admin").key("address")
			r.fail(at, "%s is also on line %d (%s); write another port", quote(a), first.at.line, first.at.path())
		}
	}
	for _, p := range d.pools {
		for _, b := range p.config.Backends {
			id := sameAddress(b.Network, b.Address)
			at := p.addresses[id]
			if first, ok := d.listeners[id]; ok {
				r.fail(at, "%s is the proxy's own address on line %d (%s); write the address of a memcached",
					quote(at.data.(string)), first.at.line, first.at.path())
			}
		}
	}
}
