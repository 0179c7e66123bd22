package pool

// SetRandom makes the generations of split values repeatable.
func (s *Shared) SetRandom(fill func([]byte)) { s.random = fill }
