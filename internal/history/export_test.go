package history

// Kept is how many values of a key the stream holds.
func (s *Stream) Kept(key string) int {
	r := s.keys[key]
	return len(r.live) + len(r.late) + len(r.over)
}
