package workload

import (
	"fmt"
	"os"
	"strings"
)

// readKeys reads the lines of KeyFile, sets Keys to how many there are, and checks what depends on that. Without a file it does nothing.
func (o *Options) readKeys() ([]string, error) {
	if o.KeyFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o.KeyFile)
	if err != nil {
		return nil, err
	}
	var keys []string
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		key := strings.TrimRight(line, "\r\n")
		if key == "" || len(key) > maxKeyLen || strings.ContainsFunc(key, unprintable) {
			return nil, fmt.Errorf("%s:%d: %.60q: want a key of 1 to %d bytes without blanks and control characters", o.KeyFile, number, key, maxKeyLen)
		}
		if seen[key] {
			return nil, fmt.Errorf("%s:%d: %.60q stands there twice", o.KeyFile, number, key)
		}
		seen[key] = true
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: no keys", o.KeyFile)
	}
	o.Keys = len(keys)
	return keys, o.Check()
}
