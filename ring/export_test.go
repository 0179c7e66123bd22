package ring

// Points gives the circle of a ketama ring: each point with its node, sorted.
func Points(r Ring) (at []uint32, node []int) {
	for _, p := range r.(*ketama).sorted {
		at, node = append(at, p.at), append(node, int(p.node))
	}
	return at, node
}

// KetamaPoints gives the points of one twemproxy node among others of equal weight, in the order in which they are made.
func KetamaPoints(n Node) (at []uint32) {
	for _, p := range ketamaPoints([]Node{n}, []int{0}, twemproxyName) {
		at = append(at, p.at)
	}
	return at
}

// KetamaCount is the number of points of a node.
func KetamaCount(weight, total, n int) int { return ketamaCount(weight, total, n) }

// TwemproxyOrder gives the order in which twemproxy keeps its servers.
func TwemproxyOrder(nodes []Node) []int { return twemproxyOrder(nodes) }
