package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A record is one item of a dump. Its key is valid until the next record.
type record struct {
	key      []byte
	size     int64 // bytes: of the item with its header, or by cachedump of the value
	expires  int64 // unix seconds; 0: never
	accessed int64 // unix seconds; 0: not known
}

// A dumpSource says which command a dump comes from.
type dumpSource string

const (
	metadump  dumpSource = "metadump"
	cachedump dumpSource = "cachedump"
)

// metadumpAll is what every server with a metadump knows.
const metadumpAll = "lru_crawler metadump all"

// Retries while another crawl runs.
const (
	busyTries = 20
	busyWait  = 250 * time.Millisecond
)

// errNoCrawler says that a server has no metadump, or that it is turned off.
var errNoCrawler = errors.New("lru_crawler metadump is not to be had")

// metadump has the server's crawler list every item. each is called for one after the other. limit bounds their number. The crawler goes through
// the hash table, where no item is missed; servers before 1.6 go through the lists by age, where items move meanwhile.
func (c *conn) metadump(limit int64, each func(record)) error {
	command := "lru_crawler metadump hash"
	for try := 0; ; try++ {
		if err := c.send(command); err != nil {
			return err
		}
		line, err := c.line()
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(line, []byte("key=")) || string(line) == "END":
			return c.metadumpLines(line, limit, each)
		case bytes.HasPrefix(line, []byte("BUSY")) || string(line) == "ERROR locked try again later":
			if try == busyTries {
				return fmt.Errorf("its crawler is busy for %v: another dump or crawl runs; %.60q", busyTries*busyWait, line)
			}
			select {
			case <-time.After(busyWait):
			case <-c.ctx.Done():
				return c.broken(c.ctx.Err())
			}
		case bytes.HasPrefix(line, []byte("CLIENT_ERROR")) && command != metadumpAll:
			command = metadumpAll
		case bytes.HasPrefix(line, []byte("ERROR")), bytes.HasPrefix(line, []byte("CLIENT_ERROR")), bytes.HasPrefix(line, []byte("SERVER_ERROR")):
			return errNoCrawler
		default:
			return fmt.Errorf("answers %.60q to lru_crawler metadump, as no memcached does", line)
		}
	}
}

// metadumpLines reads a dump whose first line is there.
func (c *conn) metadumpLines(line []byte, limit int64, each func(record)) error {
	var key [maxLine]byte
	for n := int64(0); ; n++ {
		if string(line) == "END" {
			return nil
		}
		r, err := parseMetadump(line, key[:0])
		switch {
		case err != nil:
			return fmt.Errorf("after %d keys: %w", n, err)
		case n == limit:
			return fmt.Errorf("lists more than %d keys, and says that it has far fewer", n)
		}
		each(r)
		if line, err = c.line(); err != nil {
			return fmt.Errorf("the dump is cut off after %d keys: %w", n+1, err)
		}
	}
}

// parseMetadump reads "key=%2Fa exp=-1 la=1700000000 cas=1 fetch=no cls=1 size=64". Fields may be missing but for key and size,
// and others may be there. The key is put into buf.
func parseMetadump(line, buf []byte) (record, error) {
	nonsense := func() (record, error) {
		return record{}, fmt.Errorf("answers %.100q in a dump, as no memcached does", line)
	}
	rest, ok := bytes.CutPrefix(line, []byte("key="))
	if !ok {
		return nonsense()
	}
	text, rest, _ := bytes.Cut(rest, []byte(" "))
	r := record{size: -1}
	if r.key, ok = unescape(text, buf); !ok {
		return nonsense()
	}
	for len(rest) > 0 {
		var field []byte
		field, rest, _ = bytes.Cut(rest, []byte(" "))
		name, value, _ := bytes.Cut(field, []byte("="))
		var to *int64
		switch string(name) {
		case "exp":
			to = &r.expires
		case "la":
			to = &r.accessed
		case "size":
			to = &r.size
		default:
			continue
		}
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return nonsense()
		}
		*to = n
	}
	if r.size < 0 || r.size > maxItem {
		return nonsense()
	}
	switch { // a server says -1 for never; what is below comes from an item that expired long ago
	case r.expires == -1:
		r.expires = 0
	case r.expires <= 0:
		r.expires = 1
	}
	return r, nil
}

// maxItem is the largest item that any memcached can be told to take, in bytes.
const maxItem = 2 << 30

// unescape undoes %HH, and appends to buf. A key has 1 to 250 bytes.
func unescape(text, buf []byte) ([]byte, bool) {
	for i := 0; i < len(text); i++ {
		b := text[i]
		if b == '%' {
			if i+2 >= len(text) {
				return nil, false
			}
			n, err := strconv.ParseUint(string(text[i+1:i+3]), 16, 8)
			if err != nil {
				return nil, false
			}
			b = byte(n)
			i += 2
		}
		buf = append(buf, b)
	}
	return buf, len(buf) >= 1 && len(buf) <= MaxKey
}

// MaxKey is the longest key that memcached takes, in bytes.
const MaxKey = 250

// cachedump lists what "stats cachedump" shows of each class of items: at most 2 MiB of lines a class, and of servers that divide
// a class by age the oldest part alone. started is when the server began, in unix seconds.
func (c *conn) cachedump(started, limit int64, each func(record)) error {
	items, err := c.stats("items")
	if err != nil {
		return err
	}
	classes := map[int]bool{}
	for name := range items {
		field, _, _ := strings.Cut(strings.TrimPrefix(name, "items:"), ":")
		if n, err := strconv.Atoi(field); err == nil && n > 0 && n < 256 {
			classes[n] = true
		}
	}
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		command := fmt.Sprintf("stats cachedump %d 0", class)
		if err := c.send(command); err != nil {
			return err
		}
		for {
			line, err := c.line()
			if err != nil {
				return fmt.Errorf("the dump of class %d is cut off: %w", class, err)
			}
			if string(line) == "END" {
				break
			}
			r, err := parseCachedump(line)
			if err != nil {
				return fmt.Errorf("%s: %w", command, err)
			}
			if limit--; limit < 0 {
				return errors.New("lists far more keys than it says it has")
			}
			if r.expires <= started { // servers before 1.5 say so of what never expires
				r.expires = 0
			}
			each(r)
		}
	}
	return nil
}

// parseCachedump reads "ITEM key [5 b; 1700000000 s]". A key may hold anything but a blank.
func parseCachedump(line []byte) (record, error) {
	nonsense := fmt.Errorf("answers %.100q, as no memcached does", line)
	rest, ok := bytes.CutPrefix(line, []byte("ITEM "))
	if !ok {
		return record{}, nonsense
	}
	key, rest, _ := bytes.Cut(rest, []byte(" ["))
	size, rest, _ := bytes.Cut(rest, []byte(" b; "))
	expires, ok := bytes.CutSuffix(rest, []byte(" s]"))
	if !ok || len(key) == 0 || len(key) > MaxKey {
		return record{}, nonsense
	}
	r := record{key: key}
	var err error
	if r.size, err = strconv.ParseInt(string(size), 10, 64); err != nil || r.size < 0 || r.size > maxItem {
		return record{}, nonsense
	}
	if r.expires, err = strconv.ParseInt(string(expires), 10, 64); err != nil || r.expires < 0 {
		return record{}, nonsense
	}
	return r, nil
}
