package inspect

// ParseDumpLines reads a line as metadump and as cachedump would have it, for fuzzing. It gives the keys' lengths, 0 for none.
func ParseDumpLines(line []byte) (meta, cached int) {
	if r, err := parseMetadump(line, nil); err == nil {
		meta = len(r.key)
	}
	if r, err := parseCachedump(line); err == nil {
		cached = len(r.key)
	}
	return meta, cached
}
