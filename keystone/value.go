package keystone

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxValue is the longest value that Decode reads, before and after it is inflated, in bytes.
const MaxValue = 8 << 20

// What the Python clients mean by a value's flags.
const (
	flagPickle  = 1
	flagInteger = 2
	flagLong    = 4
	flagZlib    = 8
	flagText    = 16
)

// A Value is what a cached value holds.
type Value struct {
	Form string // how it is written, such as "pickle" or "zlib, JSON"
	Data any    // nil, bool, int64, float64, or this package's types
}

// Decode reads a cached value, given the flags that it is stored with: a pickle, JSON, a text or a number, compressed or not, and with
// dogpile.cache's header or not. It runs nothing that the value names. Its memory is bounded: a value that is too long, holds too much or is
// cut off is an error.
func Decode(value []byte, flags uint32) (Value, error) {
	if len(value) > MaxValue {
		return Value{}, fmt.Errorf("the value has %d bytes; at most %d are read", len(value), MaxValue)
	}
	form := ""
	if flags&flagZlib != 0 || isZlib(value) {
		inflated, err := inflate(value)
		if err != nil {
			return Value{}, fmt.Errorf("the value's zlib data: %w", err)
		}
		value, form = inflated, "zlib, "
	}
	data, name, err := decode(value, flags)
	if err != nil {
		return Value{}, err
	}
	if metadata, rest, ok := dogpileHeader(value); ok {
		if payload, inner, err := decode(rest, flags); err == nil {
			data, name = &CachedValue{Payload: payload, Metadata: metadata}, "dogpile header, "+inner
		}
	}
	return Value{Form: form + name, Data: data}, nil
}

// decode reads a value that is not compressed.
func decode(value []byte, flags uint32) (data any, name string, err error) {
	begins := len(value) > 0 && value[0] == 0x80 // protocol 2 and later
	ends := len(value) > 0 && value[len(value)-1] == '.'
	if flags&flagPickle != 0 || begins || flags == 0 && ends {
		data, n, err := unpickle(value)
		switch {
		case err == nil && n == len(value):
			return data, "pickle", nil
		case flags&flagPickle == 0 && !begins: // a text may end in a dot
		case err == nil:
			return nil, "", fmt.Errorf("the pickle ends at byte %d of %d", n, len(value))
		default:
			return nil, "", fmt.Errorf("the pickle %w", err)
		}
	}
	if flags&(flagInteger|flagLong) != 0 && flags < flagText {
		data, err := decimal(strings.TrimSpace(string(value)), false)
		if err != nil {
			return nil, "", fmt.Errorf("the value %w", err)
		}
		return data, "integer", nil
	}
	if data, ok := parseJSON(value); ok {
		return data, "JSON", nil
	}
	if utf8.Valid(value) {
		return Text(value), "text", nil
	}
	return Bytes(value), "bytes", nil
}

// isZlib reports whether a value begins as zlib's do at the usual settings, as no pickle, JSON or number does.
func isZlib(value []byte) bool {
	return len(value) >= 6 && value[0] == 0x78 && (int(value[0])<<8|int(value[1]))%31 == 0
}

// inflate undoes zlib, up to MaxValue bytes.
func inflate(value []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(value))
	var out []byte
	if err == nil {
		defer r.Close()
		out, err = io.ReadAll(io.LimitReader(r, MaxValue+1))
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errCut
	case err != nil:
		return nil, err
	case len(out) > MaxValue:
		return nil, fmt.Errorf("is more than %d bytes when inflated, which is the most that is read", MaxValue)
	}
	return out, nil
}

// dogpileHeader divides {"ct": 1.5, "v": 1}|REST, as dogpile.cache writes it before what it serializes itself.
func dogpileHeader(value []byte) (metadata any, rest []byte, ok bool) {
	const most = 1 << 10
	at := bytes.Index(value[:min(len(value), most)], []byte("}|"))
	if at < 0 || value[0] != '{' {
		return nil, nil, false
	}
	metadata, ok = parseJSON(value[:at+1])
	return metadata, value[at+2:], ok
}

// maxJSON is how much JSON is taken apart, in bytes: what is longer is shown as a text.
const maxJSON = 1 << 20

// parseJSON reads a JSON list or object.
func parseJSON(value []byte) (any, bool) {
	text := bytes.TrimSpace(value)
	if len(text) == 0 || len(text) > maxJSON || text[0] != '[' && text[0] != '{' || !json.Valid(text) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	out, err := jsonValue(d, 0)
	return out, err == nil
}

// jsonValue reads the next value. Objects keep their order.
func jsonValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if depth > maxDepth {
			return nil, errDeep
		}
		return jsonContainer(d, token, depth)
	case string:
		return Text(token), nil
	case json.Number:
		if n, err := token.Int64(); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseFloat(token.String(), 64); err == nil {
			return n, nil
		}
		return Number(token), nil
	default: // nil, bool
		return token, nil
	}
}

func jsonContainer(d *json.Decoder, begin json.Delim, depth int) (any, error) {
	list, dict := &List{}, &Dict{}
	for d.More() {
		item, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		if begin == '[' {
			list.Items = append(list.Items, item)
			continue
		}
		value, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		dict.Pairs = append(dict.Pairs, Pair{Key: item, Value: value})
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if begin == '[' {
		return list, nil
	}
	return dict, nil
}
