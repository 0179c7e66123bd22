package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Item is what a server has under a key.
type Item struct {
	Found bool
	Flags uint32
	Size  int    // bytes of the value
	Value []byte // nil if it was not asked for
	TTL   int64  // seconds left; Forever, or Unknown
}

// Item.TTL's other values.
const (
	Forever = -1
	Unknown = -2 // the server has no meta commands
)

// A Fetch reads single items.
type Fetch struct {
	Timeout   time.Duration // for each answer
	MaxValue  int           // a longer value is an error, before it is read
	WithValue bool          // else sizes alone, where the server has meta commands
}

// DefaultFetch gives what a command starts with.
func DefaultFetch() Fetch { return Fetch{Timeout: 5 * time.Second, MaxValue: 8 << 20, WithValue: true} }

// A TooLarge says that a value is longer than Fetch.MaxValue.
type TooLarge struct {
	Size, Most int
}

func (e *TooLarge) Error() string {
	return fmt.Sprintf("the value has %d bytes, more than the %d that are read", e.Size, e.Most)
}

// Get asks a server, or a proxy, for a key of 1..MaxKey bytes.
func (f *Fetch) Get(ctx context.Context, s *Server, key string) (Item, error) {
	items, err := f.GetAll(ctx, s, []string{key})
	if err != nil {
		return Item{}, err
	}
	return items[0], nil
}

// GetAll asks for several keys, one after the other, on one conn.
func (f *Fetch) GetAll(ctx context.Context, s *Server, keys []string) ([]Item, error) {
	items, err := f.all(ctx, s, keys, f.meta)
	if errors.Is(err, errNoMeta) {
		items, err = f.all(ctx, s, keys, f.classic)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.label(), err)
	}
	return items, nil
}

func (f *Fetch) all(ctx context.Context, s *Server, keys []string, get func(*conn, string) (Item, error)) ([]Item, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.Timeout*time.Duration(2+len(keys)), errors.New("does not come to an end"))
	defer cancel()
	c, err := dial(ctx, s, f.Timeout)
	if err != nil {
		return nil, err
	}
	defer c.close()
	items := make([]Item, 0, len(keys))
	for _, key := range keys {
		if err := CheckKey(key); err != nil {
			return nil, err
		}
		item, err := get(c, key)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// CheckKey says why memcached would not take a key.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("a key has at least one byte")
	case len(key) > MaxKey:
		return fmt.Errorf("a key has at most %d bytes, this one has %d", MaxKey, len(key))
	case strings.ContainsAny(key, " \r\n\x00"):
		return fmt.Errorf("%q has a blank, a line end or a NUL, which no key has", key)
	}
	return nil
}

// errNoMeta says that the peer does not know meta commands.
var errNoMeta = errors.New("no meta commands")

// meta asks with mg.
func (f *Fetch) meta(c *conn, key string) (Item, error) {
	command := "mg " + key + " s f t"
	if f.WithValue {
		command += " v"
	}
	if err := c.send(command); err != nil {
		return Item{}, err
	}
	line, err := c.line()
	if errors.Is(err, errClosed) {
		return Item{}, errNoMeta // what a peer that knows no mg may do instead of saying so
	}
	if err != nil {
		return Item{}, err
	}
	words := bytes.Fields(line)
	if len(words) == 0 {
		return Item{}, fmt.Errorf("answers %.60q to mg", line)
	}
	switch string(words[0]) {
	case "EN":
		return Item{}, nil
	case "HD":
		return f.metaFlags(c, Item{Found: true, TTL: Unknown}, words[1:], -1)
	case "VA":
		if len(words) < 2 {
			break
		}
		size, err := strconv.Atoi(string(words[1]))
		if err != nil || size < 0 {
			break
		}
		return f.metaFlags(c, Item{Found: true, TTL: Unknown, Size: size}, words[2:], size)
	case "ERROR", "CLIENT_ERROR":
		return Item{}, errNoMeta
	}
	return Item{}, fmt.Errorf("answers %.60q to mg", line)
}

// metaFlags reads the flags of an answer to mg, and the value of size bytes behind it, if it is not negative.
func (f *Fetch) metaFlags(c *conn, item Item, words [][]byte, size int) (Item, error) {
	for _, word := range words {
		n, err := strconv.ParseInt(string(word[1:]), 10, 64)
		if err != nil {
			continue
		}
		switch word[0] {
		case 's':
			if size < 0 && n >= 0 && n <= maxItem {
				item.Size = int(n)
			}
		case 'f':
			item.Flags = uint32(n)
		case 't':
			item.TTL = n
		}
	}
	if size < 0 {
		return item, nil
	}
	var err error
	item.Value, err = f.value(c, size)
	return item, err
}

// classic asks with get.
func (f *Fetch) classic(c *conn, key string) (Item, error) {
	if err := c.send("get " + key); err != nil {
		return Item{}, err
	}
	line, err := c.line()
	if err != nil {
		return Item{}, err
	}
	if string(line) == "END" {
		return Item{}, nil
	}
	words := bytes.Fields(line)
	item := Item{Found: true, TTL: Unknown}
	if len(words) != 4 || string(words[0]) != "VALUE" || string(words[1]) != key {
		return Item{}, fmt.Errorf("answers %.60q to get", line)
	}
	flags, err1 := strconv.ParseUint(string(words[2]), 10, 32)
	size, err2 := strconv.Atoi(string(words[3]))
	if err1 != nil || err2 != nil || size < 0 {
		return Item{}, fmt.Errorf("answers %.60q to get", line)
	}
	item.Flags, item.Size = uint32(flags), size
	if item.Value, err = f.value(c, size); err != nil {
		return Item{}, err
	}
	if line, err = c.line(); err != nil {
		return Item{}, err
	}
	if string(line) != "END" {
		return Item{}, fmt.Errorf("answers %.60q behind a value", line)
	}
	if !f.WithValue {
		item.Value = nil
	}
	return item, nil
}

// value reads size bytes and the line end behind them. Memory grows with what comes, not with what was announced.
func (f *Fetch) value(c *conn, size int) ([]byte, error) {
	if size > f.MaxValue {
		return nil, &TooLarge{Size: size, Most: f.MaxValue}
	}
	const step = 1 << 20
	value := make([]byte, 0, min(size+2, step))
	for len(value) < size+2 {
		n := min(size+2-len(value), step)
		value = slices.Grow(value, n)
		if _, err := io.ReadFull(c.in, value[len(value):len(value)+n]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return nil, fmt.Errorf("a value of %d bytes: %w", size, c.broken(err))
		}
		value = value[:len(value)+n]
	}
	if !bytes.HasSuffix(value, []byte("\r\n")) {
		return nil, fmt.Errorf("a value of %d bytes does not end where it should", size)
	}
	return value[:size], nil
}
