package workload

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"mcproxy/protocol"
)

// A commandReader reads a file of commands as they stand on the wire, classic and meta, a data block behind its line; lines
// may end in LF alone, data blocks too. A line that begins with # is a comment, unless it says when the following command
// came and of which client:
//
//	#@ 12.345678 3
//	set k 0 0 5
//	hello
//
// noreply and q are left out when commands are sent, so that each is answered. What a client cannot be replayed saying (quit,
// watch, a broken line) is skipped.
type commandReader struct {
	in     *bufio.Reader
	conns  int
	line   int
	at     time.Duration
	client int // -1: nobody has said

	request protocol.Request
}

// StampMark begins a line that says when the following command came, in seconds, a blank, and of which client, a number.
const StampMark = "#@ "

func (c *commandReader) read() (record, error) {
	for {
		line, err := c.readLine()
		if err != nil {
			return record{}, err
		}
		if stamp, ok := bytes.CutPrefix(line, []byte(StampMark)); ok {
			if err := c.stamp(string(bytes.TrimRight(stamp, "\r\n"))); err != nil {
				return record{}, c.skip(err.Error())
			}
			continue
		}
		if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' {
			continue
		}
		return c.command(line)
	}
}

// readLine gives a line with its end, which is added where the file ends without one.
func (c *commandReader) readLine() ([]byte, error) {
	line, err := c.in.ReadBytes('\n')
	c.line++
	if errors.Is(err, io.EOF) && len(line) > 0 {
		return append(line, '\n'), nil
	}
	return line, err
}

func (c *commandReader) stamp(text string) error {
	seconds, client, found := bytes.Cut([]byte(text), []byte(" "))
	at, err1 := strconv.ParseFloat(string(seconds), 64)
	n, err2 := strconv.Atoi(string(client))
	if !found || err1 != nil || err2 != nil || !(at >= 0 && at < maxStamp) || n < 0 {
		return fmt.Errorf("want %sSECONDS CLIENT, not %.40q", StampMark, text)
	}
	c.at, c.client = time.Duration(at*float64(time.Second)), n
	return nil
}

// maxStamp is the greatest number of seconds that a duration holds.
const maxStamp = 9e9

func (c *commandReader) skip(why string) error {
	return fmt.Errorf("line %d: %w: %s", c.line, errSkipped, why)
}

// command makes a record of a command's line and its data block.
func (c *commandReader) command(line []byte) (record, error) {
	req := &c.request
	n, err := protocol.ParseRequest(line, req)
	if err != nil {
		return record{}, c.skip(err.Error())
	}
	if n != len(line) {
		return record{}, c.skip("no command")
	}
	if req.Verb == protocol.Refused {
		why := c.skip(fmt.Sprintf("%.60q: %.60q", bytes.TrimSpace(line), bytes.TrimSpace([]byte(req.Refusal))))
		_, err := c.in.Discard(req.Swallow)
		return record{}, errors.Join(why, unlessEOF(err))
	}
	if req.ValueLen >= 0 {
		if err := c.block(req); err != nil {
			return record{}, err
		}
	}
	if req.Verb == protocol.Quit {
		return record{}, c.skip("quit")
	}
	r := record{at: c.at}
	switch {
	case c.client >= 0:
		r.conn = c.client % c.conns
	case req.Key != nil:
		r.conn = connOf(req.Key, c.conns)
	}
	r.op = Op{Kind: kindOf(req.Verb), Verb: req.Verb, Width: max(req.NumKeys, 1), raw: protocol.AppendRequest(nil, req)}
	return r, nil
}

func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// block reads the data block.
func (c *commandReader) block(req *protocol.Request) error {
	if req.ValueLen > maxValueSize {
		return fmt.Errorf("line %d: a value of %d bytes is over %d", c.line, req.ValueLen, maxValueSize)
	}
	block := make([]byte, req.ValueLen)
	if _, err := io.ReadFull(c.in, block); err != nil {
		return fmt.Errorf("line %d: the file ends in a value of %d bytes", c.line, req.ValueLen)
	}
	end, err := c.in.ReadString('\n')
	if (end != "\r\n" && end != "\n") && (err == nil || end != "") {
		return fmt.Errorf("line %d: %.20q follows the %d bytes of the value, where its line should end", c.line, end, req.ValueLen)
	}
	c.line += bytes.Count(block, []byte("\n")) + 1
	req.Value = block
	return nil
}
