package hotkey

// A View is what all workers of a pool together saw in one window. With W the sum of all weights and m the entries of one
// summary, the promises of a Summary hold for it as well:
//
//	Count-Err <= true weight <= Count      of each key in Entries
//	true weight <= Floor <= W/m            of each key that is not
//	Err <= W/m
//
// It, and the keys in it, are valid until a window that it was made of is released, or its Merger merges again.
type View struct {
	Entries  []Entry // every key that any worker tracked, in no order
	Total    uint64  // W
	Floor    uint64  // the most that a key which is not in Entries can weigh
	From, To int64   // first and last moment of the windows; nanoseconds
	Nanos    float64 // what to divide figures by for rates; the windows' length when they are equally long

	at map[uint64]int32 // hash to place in Entries
}

// Lookup finds a key's entry, or gives nil.
func (v *View) Lookup(hash uint64) *Entry {
	if i, ok := v.at[hash]; ok {
		return &v.Entries[i]
	}
	return nil
}

// A Merger merges windows, and keeps its memory for the next time. It has one owner. The zero value is ready.
type Merger struct {
	view View
}

// Merge makes one view of the windows of a pool's workers; the Entries of their configurations must be equal. A key that a
// worker does not track counts there with as much as it may have weighed, all of it error (Agarwal et al., Mergeable
// Summaries, 2012, for Space-Saving). A worker's window that comes too late for one merge may take part in the next.
func (m *Merger) Merge(windows []*Window) *View {
	v := &m.view
	if v.at == nil {
		v.at = make(map[uint64]int32)
	}
	clear(v.at)
	*v = View{Entries: v.Entries[:0], at: v.at}
	perNano, longest := 0.0, 0.0
	for i, w := range windows {
		if i == 0 || w.From < v.From {
			v.From = w.From
		}
		if i == 0 || w.To > v.To {
			v.To = w.To
		}
		total, nanos := w.Summary.Total(), float64(max(1, w.To-w.From))
		v.Total += total
		v.Floor += w.Summary.Floor()
		perNano += float64(total) / nanos
		longest = max(longest, nanos)
	}
	v.Nanos = longest
	if v.Total > 0 {
		v.Nanos = float64(v.Total) / perNano // such that the pool's whole rate is the sum of its workers'
	}
	for _, w := range windows {
		v.add(w.Summary)
	}
	return v
}

// add brings in one summary. An entry starts as a key that no summary has; each one that has it then replaces its own part.
func (v *View) add(s *Summary) {
	floor := s.Floor()
	for e := range s.All() {
		i, ok := v.at[e.Hash]
		if !ok {
			i = int32(len(v.Entries))
			v.at[e.Hash] = i
			v.Entries = append(v.Entries, Entry{Hash: e.Hash, Count: v.Floor, Err: v.Floor})
		}
		sum := &v.Entries[i]
		sum.Count += e.Count - floor
		sum.Err -= floor - e.Err
		sum.Reads += e.Reads
		sum.Writes += e.Writes
		sum.ReadBytes += e.ReadBytes
		sum.WriteBytes += e.WriteBytes
		sum.Size = max(sum.Size, e.Size)
		if len(sum.Key) == 0 {
			sum.Key = e.Key
		}
	}
}

// top appends the k surest entries to dst, which is empty, in no order.
func (v *View) top(dst []*Entry, k int) []*Entry {
	for i := range v.Entries {
		e := &v.Entries[i]
		switch {
		case len(dst) < k:
			dst = append(dst, e)
			if len(dst) == k {
				for p := k/2 - 1; p >= 0; p-- {
					settle(dst, p)
				}
			}
		case e.Sure() > dst[0].Sure():
			dst[0] = e
			settle(dst, 0)
		}
	}
	return dst
}

// settle moves the entry at p of a heap, the least sure first, down to its place.
func settle(heap []*Entry, p int) {
	for {
		c := 2*p + 1
		if c >= len(heap) {
			return
		}
		if c+1 < len(heap) && heap[c+1].Sure() < heap[c].Sure() {
			c++
		}
		if heap[p].Sure() <= heap[c].Sure() {
			return
		}
		heap[p], heap[c] = heap[c], heap[p]
		p = c
	}
}
