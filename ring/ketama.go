package ring

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// defaultPort is the one that ketama's node strings leave out.
const defaultPort = 11211

// ketama is twemproxy's (ketama_update and ketama_dispatch in nc_ketama.c, conf_add_server in nc_conf.c).
//
// A dead node's keys go to the next point of a live node. twemproxy with auto_eject_hosts builds the circle anew from the
// live nodes, so that counts of points change and keys of live nodes move, unless all weights are equal; a Ring promises
// that they stay.
type ketama struct {
	points
	hash   keyHash
	tagged bool    // of a key with a tag, the tag alone is hashed
	tag    [2]byte // first and last byte of a tag
}

func newKetama(nodes []Node, opts Options) (Ring, error) {
	if err := needHosts(nodes, func(n Node) bool { return !n.Named }); err != nil {
		return nil, err
	}
	hash, err := findHash(twemproxyHashes, opts.Hash)
	if err != nil {
		return nil, err
	}
	r := &ketama{hash: hash}
	if opts.HashTag != "" {
		if len(opts.HashTag) != 2 {
			return nil, &Error{
				Node: -1, Field: "HashTag",
				Reason: fmt.Sprintf("%q has %d bytes; two are needed, the tag's first and last, such as \"{}\"", opts.HashTag, len(opts.HashTag)),
			}
		}
		r.tag, r.tagged = [2]byte{opts.HashTag[0], opts.HashTag[1]}, true
	}
	r.points = newPoints(ketamaPoints(nodes, twemproxyOrder(nodes), twemproxyName), len(nodes))
	return r, nil
}

// twemproxyName is what twemproxy calls a node and hashes: never with the weight. Of a unix socket's "path:weight" it takes
// the colon along.
func twemproxyName(n Node) string {
	switch {
	case n.Named:
		return n.Name
	case n.Port == defaultPort:
		return n.Host
	case n.Port == 0:
		return n.Host + ":"
	}
	return n.Host + ":" + strconv.Itoa(n.Port)
}

// twemproxyOrder sorts nodes as twemproxy does on reading its configuration: by the length of the name, then by its bytes
// (string_compare in nc_string.c). It settles which of two equal points comes first.
func twemproxyOrder(nodes []Node) []int {
	order := make([]int, len(nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := twemproxyName(nodes[a]), twemproxyName(nodes[b])
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
	})
	return order
}

// ketamaPoints gives the weighted circle of twemproxy and of libmemcached, unsorted: four points from each MD5, and for
// each node as many as ketamaCount says. Points come in the given order of the nodes.
func ketamaPoints(nodes []Node, order []int, name func(Node) string) []point {
	total := 0
	for _, n := range nodes {
		total += n.Weight
	}
	all := make([]point, 0, 160*len(nodes))
	for _, i := range order {
		text := append([]byte(name(nodes[i])), '-')
		for k := range ketamaCount(nodes[i].Weight, total, len(nodes)) / 4 {
			sum := md5.Sum(strconv.AppendInt(text, int64(k), 10))
			for x := 0; x < len(sum); x += 4 {
				all = append(all, point{at: binary.LittleEndian.Uint32(sum[x:]), node: uint16(i)})
			}
		}
	}
	return all
}

// ketamaCount gives the points of a node of the given weight among n: 160 if all weights are equal, but for rounding, and
// none if the weight is a small part of the total. Each step is rounded to float32 as the C code's is; an explicit
// conversion also keeps the compiler from fusing a product with the sum after it.
func ketamaCount(weight, total, n int) int {
	share := float32(weight) / float32(total)
	count := float32(share * 160)
	count = float32(count / 4)
	count = float32(count * float32(n))
	count = float32(float64(count) + 0.0000000001)
	return int(math.Floor(float64(count))) * 4
}

func (r *ketama) Lookup(key []byte) int { return r.lookup(r.hash(r.hashed(key))) }

func (r *ketama) Hash(key []byte) uint64 { return uint64(r.hash(r.hashed(key))) }

func (r *ketama) LookupAlive(key []byte, dead func(node int) bool) int {
	return r.alive(r.hash(r.hashed(key)), dead)
}

// hashed gives the part of key that decides: what stands between the tag's first byte and the next of its second, if there
// is anything, else all of it.
func (r *ketama) hashed(key []byte) []byte {
	if !r.tagged {
		return key
	}
	open := bytes.IndexByte(key, r.tag[0])
	if open < 0 {
		return key
	}
	inner := key[open+1:]
	if end := bytes.IndexByte(inner, r.tag[1]); end > 0 {
		return inner[:end]
	}
	return key
}
