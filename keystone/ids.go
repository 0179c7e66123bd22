package keystone

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of ReadIDs.
const (
	MaxIDs     = 1 << 20   // that are taken
	maxIDBytes = 256 << 20 // that are read
	maxIDLine  = 1 << 20
	maxListed  = 1 << 40 // bytes of a list
)

// ReadIDs reads ids, and calls each for them. They are lines ("ID", "ID NAME", "ID NAME BYTES", with blanks, tabs or commas between; # begins a
// comment), or what the openstack client prints with -f json or -f csv, or Keystone's own JSON. An error of each ends it.
func ReadIDs(in io.Reader, each func(ID) error) error {
	n := 0
	count := func(id ID) error {
		if n++; n > MaxIDs {
			return fmt.Errorf("more than %d ids", MaxIDs)
		}
		if id.Bytes < 0 || id.Bytes > maxListed {
			return fmt.Errorf("%d is no number of bytes of a list", id.Bytes)
		}
		return each(id)
	}
	r := bufio.NewReader(io.LimitReader(in, maxIDBytes))
	for {
		first, err := r.Peek(1)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch first[0] {
		case ' ', '\t', '\r', '\n':
			_, _ = r.Discard(1) // it is there
		case '[', '{':
			return readJSON(json.NewDecoder(r), count)
		default:
			return readLines(r, count)
		}
	}
}

func readLines(r io.Reader, each func(ID) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxIDLine)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		if text, _, ok := bytes.Cut(line, []byte("#")); ok {
			line = text
		}
		words := strings.FieldsFunc(string(line), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' })
		if len(words) == 0 {
			continue
		}
		for i := range words {
			words[i] = strings.Trim(words[i], `"`)
		}
		if n == 1 && strings.EqualFold(words[0], "id") {
			continue // the head of a CSV
		}
		id := ID{ID: words[0]}
		if last := len(words) - 1; last >= 2 {
			if size, err := strconv.ParseInt(words[last], 10, 64); err == nil && size >= 0 {
				id.Bytes, words = size, words[:last]
			}
		}
		id.Name = strings.Join(words[1:], " ")
		if err := each(id); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// A jsonID is an item of the openstack client's, or of Keystone's own JSON: names compare without regard to case.
type jsonID struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// readJSON reads a list of ids, or the first list within an object: {"users": […]}.
func readJSON(d *json.Decoder, each func(ID) error) error {
	begun, err := d.Token()
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	for begun == json.Delim('{') {
		name, err := d.Token()
		if err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
		if name == json.Delim('}') {
			return errors.New("JSON: there is no list of ids in it")
		}
		if name == "users" || name == "tokens" || name == "ids" {
			if begun, err = d.Token(); err != nil {
				return fmt.Errorf("JSON: %w", err)
			}
			if begun != json.Delim('[') {
				return fmt.Errorf("JSON: %q is no list", name)
			}
			break
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
	}
	for n := 1; d.More(); n++ {
		var text json.RawMessage
		if err := d.Decode(&text); err != nil {
			return fmt.Errorf("JSON, item %d: %w", n, err)
		}
		var one jsonID
		if json.Unmarshal(text, &one.ID) != nil { // no plain string
			if err := json.Unmarshal(text, &one); err != nil {
				return fmt.Errorf("JSON, item %d: %w", n, err)
			}
		}
		if one.ID == "" {
			return fmt.Errorf("JSON, item %d has no ID", n)
		}
		if err := each(ID(one)); err != nil {
			return fmt.Errorf("JSON, item %d: %w", n, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	return nil
}
