package quarantine

import "slices"

// Next gives what is to be stored now. epoch is new and random, and used if the state changes.
func (m *Member) Next(epoch uint64, l Local, now int64) Step {
	if m.spent || !m.known || now >= m.sent+m.rules.Lease() {
		return Step{}
	}
	begin := Item{State: Quarantine, Epoch: epoch}
	if m.dirty {
		begin.Holders = []Holder{{ID: m.id, Ready: l.Ready}}
	}
	switch {
	case m.kind == Missing: // invariant 6
		if m.rules.Mutant == IgnoresLoss {
			begin.State = Settled
		}
		m.spent = true
		return Step{Value: begin.Append(nil), Add: true}
	case m.kind != Found:
		return Step{}
	case m.broken:
		return m.store(begin)
	}
	switch m.item.State {
	case Quarantine:
		return m.quarantine(epoch, l, now)
	case Handover:
		return m.handover(epoch, l, now)
	}
	if m.dirty {
		return m.store(begin)
	}
	return Step{}
}

func (m *Member) store(it Item) Step {
	m.spent = true
	return Step{Value: it.Append(nil), CAS: m.cas, Conn: m.conn}
}

// quarantine is the step while the item says so.
func (m *Member) quarantine(epoch uint64, l Local, now int64) Step {
	next := Item{State: Quarantine, Epoch: m.item.Epoch, Holders: m.holders(l, now)}
	ready := !slices.ContainsFunc(next.Holders, func(h Holder) bool { return !h.Ready })
	if ready && (now-max(m.since, m.chain) >= m.rules.Notice() || m.rules.Mutant == SkipsNotice) { // invariant 4
		next.State, next.Epoch = Handover, epoch
		if m.rules.Mutant == SkipsHandover {
			next.State, next.Holders = Settled, nil
			m.leaving = true
		}
	}
	return m.change(next)
}

// handover is the step while the item says so. Invariant 5.
func (m *Member) handover(epoch uint64, l Local, now int64) Step {
	next := Item{State: Handover, Epoch: m.item.Epoch, Holders: m.holders(l, now)}
	at := slices.IndexFunc(next.Holders, func(h Holder) bool { return h.ID == m.id })
	switch {
	case at < 0:
	case !l.Ready:
		next.State, next.Epoch = Quarantine, epoch
		return m.store(next)
	case l.Clean || m.rules.Mutant == ForgetsDebts:
		next.Holders = slices.Delete(next.Holders, at, at+1)
		m.leaving = true
	}
	if len(next.Holders) == 0 && m.waited(m.since, now) {
		next.State, next.Epoch = Settled, epoch
	}
	return m.change(next)
}

// change stores next if it is not what is there.
func (m *Member) change(next Item) Step {
	if next.Epoch == m.item.Epoch && slices.Equal(next.Holders, m.item.Holders) {
		return Step{}
	}
	return m.store(next)
}

// holders gives the list as it should be: with the member, if it was away, and without who is gone.
func (m *Member) holders(l Local, now int64) []Holder {
	var all []Holder
	for _, b := range m.beats {
		h := b.Holder
		switch {
		case h.ID == m.id && !m.dirty:
			continue
		case h.ID == m.id:
			if h.Ready != l.Ready || now-b.since >= beat {
				h.Beat++
			}
			h.Ready = l.Ready
		case now-max(b.since, m.chain) >= Gone:
			continue
		}
		all = append(all, h)
	}
	if m.dirty && m.find() < 0 && len(all) < MaxHolders {
		all = append(all, Holder{ID: m.id, Ready: l.Ready})
	}
	return all
}
