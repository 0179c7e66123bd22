package protocol

import (
	"bytes"
	"errors"
)

// A Status is what an answer says.
type Status uint8

// The statuses. The classic commands and the meta commands share them.
const (
	StatusInvalid Status = iota // no answer was parsed

	StatusHit  // a VALUE (retrieval), or VA (mg, ma, with v)
	StatusMiss // END as the answer to one key; EN of mg, me

	StatusStored    // STORED
	StatusNotStored // NOT_STORED, NS
	StatusExists    // EXISTS, EX
	StatusNotFound  // NOT_FOUND, NF
	StatusDeleted   // DELETED
	StatusTouched   // TOUCHED
	StatusNumber    // incr, decr: the new number
	StatusOK        // OK, RESET, HD, ME …, MN
	StatusVersion   // VERSION …
	StatusStat      // one STAT (ITEM, PREFIX …) line of several
	StatusEnd       // the END that closes several VALUEs or STATs

	StatusError       // ERROR
	StatusClientError // CLIENT_ERROR …
	StatusServerError // SERVER_ERROR …
)

// IsError says whether the status is one of StatusError, StatusClientError, StatusServerError.
func (s Status) IsError() bool { return s >= StatusError }

// A Shape says how an answer is framed; the verb of the request decides it (Verb.Shape), and whether a retrieval names
// one key or several.
type Shape uint8

// The shapes.
const (
	ShapeLine   Shape = iota // one line
	ShapeValue               // one unit: "VALUE …\r\n<data>\r\nEND\r\n", or "END\r\n", or an error line
	ShapeValues              // units: any number of VALUEs, then END; or an error line
	ShapeMeta                // one unit: a line, followed by a data block when it begins with VA
	ShapeStats               // units: any number of lines, then END; or one line OK, RESET, or an error
)

// A Response is one parsed unit of an answer. Its slices point into the buffer that was parsed.
type Response struct {
	Status Status
	// Last: the answer is whole with this unit.
	Last bool
	// Key, ClientFlags, Value and (HasUnique) Unique are of a VALUE. Value also is VA's data block.
	Key         []byte
	ClientFlags uint32
	Unique      uint64
	HasUnique   bool
	Value       []byte
	// Line is the unit's first line without its line end.
	Line []byte
	// Need is set on an incomplete unit (n == 0): at least so many bytes from the unit's start are needed before it is worth
	// another try; 0 if unknown.
	Need int
}

// ErrBadResponse says that the bytes fit no answer of the expected shape: the stream is out of step and the conn must be
// closed.
var ErrBadResponse = errors.New("answer fits no command's")

const (
	maxAnswerLine = 4096    // bytes of an answer's line, its end included; memcached's longest are far below
	maxValue      = 1 << 30 // bytes of a data block; memcached's own limit of -I is 1 GiB
)

// ParseResponse parses the next unit of an answer of that shape at the start of buf, and gives the unit's length.
//
// n == 0, err == nil: the unit is incomplete, and resp.Need says how many bytes to wait for, where that is known.
// err != nil (ErrBadResponse): the text fits no answer of this shape, and the conn must be closed.
func ParseResponse(buf []byte, shape Shape, resp *Response) (n int, err error) {
	*resp = Response{}
	i := bytes.IndexByte(buf, '\n')
	if i < 0 {
		if len(buf) >= maxAnswerLine {
			return 0, ErrBadResponse
		}
		return 0, nil
	}
	if i == 0 || i >= maxAnswerLine || buf[i-1] != '\r' {
		return 0, ErrBadResponse
	}
	line := buf[:i-1]
	resp.Line = line
	switch shape {
	case ShapeValue, ShapeValues:
		if len(line) > 6 && string(line[:6]) == "VALUE " {
			return parseValue(buf, i+1, shape == ShapeValue, resp)
		}
		if string(line) == "END" {
			resp.Status = StatusEnd
			if shape == ShapeValue {
				resp.Status = StatusMiss
			}
			resp.Last = true
			return i + 1, nil
		}
	case ShapeMeta:
		if len(line) > 3 && string(line[:3]) == "VA " {
			return parseMetaValue(buf, i+1, resp)
		}
		resp.Status = metaStatus(line)
	case ShapeStats:
		resp.Status = statsStatus(line)
	default:
		resp.Status = lineStatus(line)
	}
	resp.Last = resp.Status != StatusStat
	if resp.Status == StatusInvalid {
		resp.Status = errorStatus(line)
	}
	if resp.Status == StatusInvalid || ownText(resp.Status, line) && bytes.IndexByte(line, '\r') >= 0 {
		return 0, ErrBadResponse
	}
	return i + 1, nil
}

// ownText says whether a line is the backend's own words, and not known to its last byte. Then it has no carriage return in it: if the line
// end between two answers is damaged, the second must not pass for the end of the first, or each that follows would be taken for the one
// before it. Lines that echo a client's words can have one (Response.Torn).
func ownText(s Status, line []byte) bool {
	return s.IsError() || s == StatusVersion || s == StatusStat && string(line[:4]) == "STAT"
}

// Torn says whether the line of a meta answer has a carriage return in it. It is the request's, or two answers are taken for one.
func (r *Response) Torn() bool { return bytes.IndexByte(r.Line, '\r') >= 0 }

// parseValue parses a VALUE whose header line is buf[:head].
func parseValue(buf []byte, head int, withEnd bool, resp *Response) (int, error) {
	rest := resp.Line[6:]
	i := bytes.IndexByte(rest, ' ')
	if i < 1 || i > MaxKeyLen {
		return 0, ErrBadResponse
	}
	resp.Key, rest = rest[:i], rest[i+1:]
	flags, rest, ok := cutNumber(rest)
	if !ok || flags > 1<<32-1 {
		return 0, ErrBadResponse
	}
	resp.ClientFlags = uint32(flags)
	size, rest, ok := cutNumber(rest)
	if !ok || size > maxValue {
		return 0, ErrBadResponse
	}
	if len(rest) > 0 {
		resp.HasUnique = true
		resp.Unique, rest, ok = cutNumber(rest)
		if !ok || len(rest) > 0 {
			return 0, ErrBadResponse
		}
	}
	end := head + int(size)
	need := end + 2
	if withEnd {
		need += len(End)
	}
	if len(buf) < need {
		*resp = Response{Need: need}
		return 0, nil
	}
	if string(buf[end:end+2]) != "\r\n" || withEnd && string(buf[end+2:need]) != End {
		return 0, ErrBadResponse
	}
	resp.Status = StatusHit
	resp.Last = withEnd
	resp.Value = buf[head:end:end]
	return need, nil
}

// parseMetaValue parses a VA whose header line is buf[:head].
func parseMetaValue(buf []byte, head int, resp *Response) (int, error) {
	size, _, ok := cutNumber(resp.Line[3:])
	if !ok || size > maxValue {
		return 0, ErrBadResponse
	}
	end := head + int(size)
	if len(buf) < end+2 {
		*resp = Response{Need: end + 2}
		return 0, nil
	}
	if string(buf[end:end+2]) != "\r\n" {
		return 0, ErrBadResponse
	}
	resp.Status = StatusHit
	resp.Last = true
	resp.Value = buf[head:end:end]
	return end + 2, nil
}

// lineStatus is the status of a classic one-line answer, or StatusInvalid.
func lineStatus(line []byte) Status {
	switch string(line) {
	case "STORED":
		return StatusStored
	case "NOT_STORED":
		return StatusNotStored
	case "EXISTS":
		return StatusExists
	case "NOT_FOUND":
		return StatusNotFound
	case "DELETED":
		return StatusDeleted
	case "TOUCHED":
		return StatusTouched
	case "OK", "RESET":
		return StatusOK
	}
	if bytes.HasPrefix(line, []byte("VERSION ")) {
		return StatusVersion
	}
	if _, rest, ok := cutNumber(line); ok && len(rest) == 0 {
		return StatusNumber
	}
	return StatusInvalid
}

// metaStatus is the status of a meta answer without a data block, or StatusInvalid.
func metaStatus(line []byte) Status {
	if len(line) < 2 || len(line) > 2 && line[2] != ' ' {
		return StatusInvalid
	}
	switch string(line[:2]) {
	case "HD", "ME", "MN", "OK":
		return StatusOK
	case "EN":
		return StatusMiss
	case "NF":
		return StatusNotFound
	case "NS":
		return StatusNotStored
	case "EX":
		return StatusExists
	}
	return StatusInvalid
}

// statsStatus is the status of one line of an answer to stats, or StatusInvalid.
func statsStatus(line []byte) Status {
	switch string(line) {
	case "END":
		return StatusEnd
	case "OK", "RESET":
		return StatusOK
	}
	for _, word := range [...]string{"STAT ", "ITEM ", "PREFIX "} {
		if len(line) >= len(word) && string(line[:len(word)]) == word {
			return StatusStat
		}
	}
	return StatusInvalid
}

// errorStatus is the status of an error line, or StatusInvalid.
func errorStatus(line []byte) Status {
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		i = len(line)
	}
	switch string(line[:i]) {
	case "ERROR":
		return StatusError
	case "CLIENT_ERROR":
		return StatusClientError
	case "SERVER_ERROR":
		return StatusServerError
	}
	return StatusInvalid
}
