package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// sessionTimeout bounds the sample session, which takes milliseconds.
const sessionTimeout = 5 * time.Second

// sampleSession speaks to the proxy and writes what both sides said, line by line.
func sampleSession(proxy net.Addr, out io.Writer) error {
	conn, err := net.DialTimeout(proxy.Network(), proxy.String(), sessionTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(sessionTimeout)); err != nil {
		return err
	}
	answers := bufio.NewReader(conn)
	for _, request := range sampleRequests() {
		for line := range strings.Lines(request) {
			fmt.Fprintf(out, "  > %s", line)
		}
		if _, err := io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
			return err
		}
		if err := copyAnswer(answers, out); err != nil {
			return fmt.Errorf("answer to %q: %w", request, err)
		}
	}
	return nil
}

// sampleRequests gives requests with one answer each: a line, or VALUE lines, data and END.
func sampleRequests() []string {
	return []string{
		"set greeting 0 300 12\nHello, world\n",
		"set visits 0 300 1\n9\n",
		"incr visits 1\n",
		"get greeting visits nobody\n",
		"delete greeting\n",
		"get greeting\n",
	}
}

// copyAnswer copies one answer. The values of the sample have one line each.
func copyAnswer(answers *bufio.Reader, out io.Writer) error {
	inList := false
	for {
		line, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		fmt.Fprintf(out, "  < %s\n", line)
		if strings.HasPrefix(line, "VALUE ") {
			inList = true
			data, err := answers.ReadString('\n')
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "  < %s\n", strings.TrimRight(data, "\r\n"))
			continue
		}
		if !inList || line == "END" {
			return nil
		}
	}
}
