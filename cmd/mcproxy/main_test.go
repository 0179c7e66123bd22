package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mcproxy/internal/memcachedtest"
)

// TestMain makes programs of this binary, for the scripts: mcproxy itself, and
//
//	ask ADDRESS LINE…   sends lines to a memcached or proxy, and prints the first line of each answer
//	hold ADDRESS TEXT   sends text, says so, and waits until the other side closes
//	silent PATH         takes connections on a socket, prints what comes, and answers nothing
//	fetch URL           prints the status code and the body
//	alive PID           says whether the process lives
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"mcproxy": main,
		"ask":     func() { exit(ask(os.Args[1], os.Args[2:])) },
		"hold":    func() { exit(hold(os.Args[1], os.Args[2])) },
		"silent":  func() { exit(silent(os.Args[1])) },
		"fetch":   func() { exit(fetch(os.Args[1])) },
		"alive":   func() { exit(checkAlive(os.Args[1])) },
	})
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// dial connects to a "host:port" or a socket's path.
func dial(address string) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, address, ioTimeout)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(ioTimeout))
}

func ask(address string, lines []string) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for _, line := range lines {
		if _, err := io.WriteString(conn, strings.ReplaceAll(line, `\n`, "\r\n")+"\r\n"); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		fmt.Print(strings.TrimRight(answer, "\r\n") + "\n")
	}
	return nil
}

func hold(address, text string) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.ReplaceAll(text, `\n`, "\r\n")); err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(os.Stdout, conn)
	return err
}

func silent(path string) error {
	ln, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	fmt.Println("silent")
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(os.Stdout, conn) }() // ends with the program, which is killed
	}
}

func fetch(url string) error {
	client := http.Client{Timeout: ioTimeout}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode)
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

// alive says whether a process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

func checkAlive(pid string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	if !alive(n) {
		return fmt.Errorf("process %d is gone", n)
	}
	return nil
}

// ioTimeout is how long anything that takes milliseconds may take on a busy machine.
const ioTimeout = 20 * time.Second

func TestScripts(t *testing.T) {
	server, alone := memcachedtest.Start(t), memcachedtest.Start(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("MEMCACHED", server.Addr())
			env.Setenv("ALONE", alone.Addr()) // for the one script that looks at all there is
			env.Values[programsKey{}] = make(programs)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"launch": launch,
			"until":  until,
			"signal": sendSignal,
			"await":  await,
			"insist": insist,
			"dead":   dead,
			"usage":  usage,
			"expand": expand,
		},
	})
}
