package ring

import "strconv"

// Points of a node on the circle of libmemcached's unweighted ketama (MEMCACHED_POINTS_PER_SERVER).
const libmemcachedPoints = 100

// newLibmemcached copies libmemcached (dispatch_host in hash.cc, update_continuum in hosts.cc) as pylibmc sets it up:
//
//	modula           the key's hash modulo the number of nodes; weights are ignored (the library's default)
//	ketama           100 points a node, one from each string, made with the key hash; weights are ignored
//	ketama_weighted  twemproxy's circle, always made with MD5; the key hash is MD5 unless another is asked for
//
// The library never moves a modula key off a dead node. LookupAlive, which must, takes the next live one of the list.
func newLibmemcached(nodes []Node, opts Options) (Ring, error) {
	name := opts.Hash
	if name == "" && opts.Distribution == "ketama_weighted" {
		name = "md5"
	}
	hash, err := findHash(libmemcachedHashes, name)
	if err != nil {
		return nil, err
	}
	switch opts.Distribution {
	case "", "modula":
		return &modula{nodes: len(nodes), hash: hash}, nil
	case "ketama", "ketama_weighted":
	default:
		return nil, unknown("Distribution", opts.Distribution, []string{"modula", "ketama", "ketama_weighted"})
	}
	if err := needHosts(nodes, func(Node) bool { return true }); err != nil {
		return nil, err
	}
	order := make([]int, len(nodes))
	for i := range order {
		order[i] = i
	}
	var all []point
	if opts.Distribution == "ketama_weighted" {
		all = ketamaPoints(nodes, order, libmemcachedName)
	} else {
		all = libmemcachedKetama(nodes, hash)
	}
	return &ketama{points: newPoints(all, len(nodes)), hash: hash}, nil
}

// libmemcachedName has no name to offer but the address; of a unix socket it is the path with port 0.
func libmemcachedName(n Node) string {
	if n.Port == defaultPort {
		return n.Host
	}
	return n.Host + ":" + strconv.Itoa(n.Port)
}

func libmemcachedKetama(nodes []Node, hash keyHash) []point {
	all := make([]point, 0, libmemcachedPoints*len(nodes))
	for i, n := range nodes {
		text := append([]byte(libmemcachedName(n)), '-')
		for k := range libmemcachedPoints {
			all = append(all, point{at: hash(strconv.AppendInt(text, int64(k), 10)), node: uint16(i)})
		}
	}
	return all
}

// modula is the oldest way: the hash modulo the number of nodes.
type modula struct {
	nodes int
	hash  keyHash
}

func (r *modula) Lookup(key []byte) int { return int(r.hash(key) % uint32(r.nodes)) }

func (r *modula) Hash(key []byte) uint64 { return uint64(r.hash(key)) }

func (r *modula) LookupAlive(key []byte, dead func(node int) bool) int {
	return firstLive(r.Lookup(key), r.nodes, dead)
}
