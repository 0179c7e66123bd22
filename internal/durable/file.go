package durable

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
)

// A file begins with magic. A record is its length from here on (4 bytes), a checksum (CRC-32C, 4 bytes) of what follows, what is done
// (1 byte), and the member; little-endian.
const (
	magic  = "mcproxy journal 1\n"
	header = 8
	maxLen = 64 << 10

	opPut  = '+'
	opDrop = '-'
)

var errNotOurs = errors.New("is no journal of mcproxy's")

func recordBytes(member string) int64 { return int64(header + 1 + len(member)) }

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func appendRecord(dst []byte, op byte, member string) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, header)...)
	dst = append(append(dst, op), member...)
	body := dst[start+header:]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[start+4:], checksum(body))
	return dst
}

// replay does to live what a file's records say, and gives how many bytes of the file are whole records.
func replay(data []byte, live map[string]struct{}) (whole int, err error) {
	if len(data) < len(magic) && magic[:len(data)] == string(data) {
		return 0, nil // the first write of all was cut off
	}
	if len(data) < len(magic) || string(data[:len(magic)]) != magic {
		return 0, errNotOurs
	}
	at := len(magic)
	for len(data)-at > header {
		n := int(binary.LittleEndian.Uint32(data[at:]))
		if n < 1 || n > maxLen+1 || n > len(data)-at-header {
			break
		}
		body := data[at+header : at+header+n]
		if checksum(body) != binary.LittleEndian.Uint32(data[at+4:]) {
			break
		}
		switch body[0] {
		case opPut:
			live[string(body[1:])] = struct{}{}
		case opDrop:
			delete(live, string(body[1:]))
		}
		at += header + n
	}
	return at, nil
}

// rewriteLive is rewrite for the writer.
func (s *Set) rewriteLive() error {
	s.mu.Lock()
	data := appendLive(nil, s.live)
	s.mu.Unlock()
	return s.replace(data)
}

// rewrite writes the file anew, with the live members alone.
func (s *Set) rewrite() error { return s.replace(appendLive(nil, s.live)) }

func appendLive(dst []byte, live map[string]struct{}) []byte {
	dst = append(dst, magic...)
	for m := range live {
		dst = appendRecord(dst, opPut, m)
	}
	return dst
}

// replace puts another file in the place of the present one, in one step.
func (s *Set) replace(data []byte) error {
	f, err := os.OpenFile(s.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(s.path+".new", s.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(s.path))
	}
	if err != nil {
		f.Close()
		return err
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file = f
	s.bytes.Store(int64(len(data)))
	s.syncs.Add(1)
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
