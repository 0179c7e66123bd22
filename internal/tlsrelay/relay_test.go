package tlsrelay_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"mcproxy/internal/secrets"
	"mcproxy/internal/tlsrelay"
	"mcproxy/internal/tlstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// A stage is an authority, a server's identity, and a group.
type stage struct {
	t     *testing.T
	ca    *tlstest.Authority
	id    *secrets.Identity
	group *tlsrelay.Group
}

func newStage(t *testing.T, mutual bool) *stage {
	s := &stage{t: t, ca: tlstest.NewAuthority(t), group: tlsrelay.NewGroup()}
	pair := s.ca.Issue("localhost")
	pem := secrets.PEM{Cert: pair.Cert, Key: pair.Key}
	if mutual {
		pem.CA = s.ca.File
	}
	var err error
	if s.id, err = secrets.LoadServer(pem); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.group.Close) // and with it every relay: goleak says if not
	return s
}

// tcp gives two ends of a TCP conn; fd is one of them, non-blocking.
func tcp(t *testing.T) (far *net.TCPConn, fd int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	n, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	f, err := n.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fd, err = unix.Dup(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), fd
}

// An outcome is what a Done was told, with the loop's end as a file.
type outcome struct {
	plain *os.File
	relay *tlsrelay.Relay
	err   error
}

func collect() (tlsrelay.Done, chan outcome) {
	ch := make(chan outcome, 2)
	return func(fd int, r *tlsrelay.Relay, err error) {
		o := outcome{relay: r, err: err}
		if err == nil {
			o.plain = os.NewFile(uintptr(fd), "plain")
		}
		ch <- o
	}, ch
}

// accept has a relay accept a client that handshakes as c says.
func (s *stage) accept(c *tls.Config) (*tls.Conn, outcome, error) {
	s.t.Helper()
	far, fd := tcp(s.t)
	done, ch := collect()
	s.group.Accept(fd, s.id.Config(), patience, done)
	client := tls.Client(far, c)
	err := client.Handshake()
	if err == nil { // TLS 1.3 tells a client of a refusal only when it reads
		_ = client.SetReadDeadline(time.Now().Add(patience))
	}
	o := <-ch
	if o.plain != nil {
		s.t.Cleanup(func() { o.plain.Close() })
	}
	return client, o, err
}

func TestRelayCarries(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newStage(t, false)
		c := s.ca.Client("localhost")
		c.MaxVersion = version
		client, o, err := s.accept(c)
		if err != nil || o.err != nil {
			t.Fatalf("handshake: %v, %v", err, o.err)
		}
		for _, size := range []int{1, 1023, 1024, 1025, 16 << 10, 16<<10 + 1, 100_000, 5 << 20} {
			want := make([]byte, size)
			rand.Read(want)
			for _, way := range []struct {
				name string
				w    io.Writer
				r    io.Reader
			}{{"in", client, o.plain}, {"out", o.plain, client}} {
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, err := way.w.Write(want); err != nil {
						t.Errorf("write %s: %v", way.name, err)
					}
				})
				got := make([]byte, size)
				if _, err := io.ReadFull(way.r, got); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes %s: %v", size, way.name, err)
				}
				wg.Wait()
			}
		}
		// The client's end, and then ours.
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(o.plain); err != nil || len(rest) > 0 {
			t.Errorf("after the client's end: %q, %v", rest, err)
		}
		if _, err := o.plain.WriteString("the last answer"); err != nil {
			t.Fatal(err)
		}
		o.plain.Close()
		o.relay.HangUp()
		if rest, err := io.ReadAll(client); err != nil || string(rest) != "the last answer" {
			t.Errorf("after our end: %q, %v", rest, err)
		}
	}
}

// TestRelayLastAnswer closes the loop's end while the client is still sending: what was written before arrives.
func TestRelayLastAnswer(t *testing.T) {
	s := newStage(t, false)
	client, o, err := s.accept(s.ca.Client("localhost"))
	if err != nil || o.err != nil {
		t.Fatalf("handshake: %v, %v", err, o.err)
	}
	sent := make(chan struct{})
	go func() { // ends when the relay does
		defer close(sent)
		for err := error(nil); err == nil; {
			_, err = client.Write(make([]byte, 64<<10))
		}
	}()
	if _, err := io.ReadFull(o.plain, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 100<<10)
	rand.Read(want)
	got := make([]byte, len(want))
	read := make(chan error, 1)
	go func() { // ends when all is there, or the conn is gone
		_, err := io.ReadFull(client, got)
		read <- err
	}()
	if _, err := o.plain.Write(want); err != nil {
		t.Fatal(err)
	}
	o.plain.Close()
	o.relay.HangUp()
	// The kernel may take answers back that the client has not read, when there are bytes that we have not read, as on any conn. What
	// came is right, and the relay ends.
	if err := <-read; err == nil && !bytes.Equal(got, want) {
		t.Error("the last answer arrived changed")
	}
	<-sent
}

// TestRelayDeafClient has a client that reads nothing: the loop's writes stop, and HangUp ends the relay all the same.
func TestRelayDeafClient(t *testing.T) {
	s := newStage(t, false)
	s.group.SetGrace(10 * time.Millisecond)
	_, o, err := s.accept(s.ca.Client("localhost"))
	if err != nil || o.err != nil {
		t.Fatalf("handshake: %v, %v", err, o.err)
	}
	if err := o.plain.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := o.plain.Write(make([]byte, 256<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n > 64<<20 {
		t.Errorf("a client that does not read took %d bytes, %v", n, err)
	}
	o.plain.Close()
	o.relay.HangUp()
	s.group.Close() // returns
}

func TestRelayAbort(t *testing.T) {
	s := newStage(t, false)
	client, o, err := s.accept(s.ca.Client("localhost"))
	if err != nil || o.err != nil {
		t.Fatalf("handshake: %v, %v", err, o.err)
	}
	o.plain.Close()
	o.relay.Abort()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the client hears something after Abort")
	}
	s.group.Close()
}

func TestHandshakeMutual(t *testing.T) {
	s := newStage(t, true)
	stranger := tlstest.NewAuthority(t)
	show := func(p tlstest.Pair) *tls.Config { return s.ca.Client("localhost", p) }
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		known := show(s.ca.Issue("client"))
		known.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for range 2 { // the second one resumes the first
			known.MaxVersion = version
			client, o, err := s.accept(known)
			if err != nil || o.err != nil {
				t.Fatalf("a client with a certificate: %v, %v", err, o.err)
			}
			o.plain.WriteString("hello")
			if _, err := io.ReadFull(client, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			client.Close()
		}
		none := s.ca.Client("localhost")
		none.MaxVersion = version
		if _, o, _ := s.accept(none); !errors.Is(o.err, secrets.ErrNoCertificate) {
			t.Errorf("a client without a certificate: %v", o.err)
		}
		other := show(stranger.Issue("client"))
		other.MaxVersion = version
		// It is offered all the same, whatever the server says it wants.
		other.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &other.Certificates[0], nil }
		var verification *tls.CertificateVerificationError
		if _, o, _ := s.accept(other); !errors.As(o.err, &verification) {
			t.Errorf("a client with a stranger's certificate: %v", o.err)
		}
	}
}

func TestHandshakeFails(t *testing.T) {
	s := newStage(t, false)
	t.Run("old TLS", func(t *testing.T) {
		c := s.ca.Client("localhost")
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		if _, o, err := s.accept(c); err == nil || o.err == nil {
			t.Errorf("TLS 1.1: %v, %v", err, o.err)
		}
	})
	t.Run("plain text", func(t *testing.T) {
		far, fd := tcp(t)
		done, ch := collect()
		s.group.Accept(fd, s.id.Config(), patience, done)
		io.WriteString(far, "get a\r\n")
		answer, _ := io.ReadAll(far)
		if o := <-ch; !tlsrelay.IsPlain(o.err) || string(answer) != "CLIENT_ERROR this listener speaks TLS\r\n" {
			t.Errorf("plain text: %v, answer %q", o.err, answer)
		}
	})
	t.Run("slow", func(t *testing.T) {
		far, fd := tcp(t)
		done, ch := collect()
		s.group.Accept(fd, s.id.Config(), 10*time.Millisecond, done)
		far.Write([]byte{0x16, 3, 1})
		if o := <-ch; !errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("a client that says nothing: %v", o.err)
		}
		if _, err := io.ReadAll(far); err != nil {
			t.Errorf("its conn is not closed: %v", err)
		}
	})
	t.Run("close of the group", func(t *testing.T) {
		group := tlsrelay.NewGroup()
		_, fd := tcp(t)
		done, ch := collect()
		group.Accept(fd, s.id.Config(), patience, done)
		group.Close()
		if o := <-ch; !errors.Is(o.err, context.Canceled) {
			t.Errorf("a handshake under way: %v", o.err)
		}
	})
}

func TestConnect(t *testing.T) {
	s := newStage(t, true)
	show := s.ca.Issue("proxy")
	id, err := secrets.LoadClient(secrets.PEM{Cert: show.Cert, Key: show.Key, CA: s.ca.File})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		ok   bool
	}{{"localhost", true}, {"elsewhere", false}} {
		far, fd := tcp(t)
		done, ch := collect()
		s.group.Connect(fd, id.Config(), tt.name, patience, done)
		server := tls.Server(far, s.id.Config())
		serverErr := server.Handshake()
		o := <-ch
		if (o.err == nil) != tt.ok {
			t.Errorf("connect to %s: %v; the server: %v", tt.name, o.err, serverErr)
		}
		if o.err != nil {
			continue
		}
		io.WriteString(o.plain, "ping")
		got := make([]byte, 4)
		if _, err := io.ReadFull(server, got); err != nil || string(got) != "ping" {
			t.Errorf("the server got %q, %v", got, err)
		}
		o.plain.Close()
		o.relay.Abort()
	}
	_, fd := tcp(t)
	done, ch := collect()
	s.group.Connect(fd, id.Config(), "localhost", patience, done)()
	if o := <-ch; !errors.Is(o.err, context.Canceled) {
		t.Errorf("a handshake that was given up: %v", o.err)
	}
}

// TestOutlast has the loops' ends closed by others, who do not say so: relays end, of clients that read nothing too, and at last all do.
func TestOutlast(t *testing.T) {
	s := newStage(t, false)
	s.group.SetGrace(10 * time.Millisecond)
	var clients []*tls.Conn
	var ends []outcome
	for range 3 {
		client, o, err := s.accept(s.ca.Client("localhost"))
		if err != nil || o.err != nil {
			t.Fatalf("handshake: %v, %v", err, o.err)
		}
		clients, ends = append(clients, client), append(ends, o)
	}
	if n, left := s.group.Handshaking(), s.group.Relays(); n != 0 || left != 3 {
		t.Errorf("%d handshakes and %d relays, want 0 and 3", n, left)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := make(chan struct{})
	go func() { // ends with the relays
		defer close(over)
		s.group.Outlast(ctx)
	}()
	relays := func(want int) {
		t.Helper()
		for end := time.Now().Add(patience); s.group.Relays() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d relays, want %d", s.group.Relays(), want)
			}
		}
	}
	if _, err := ends[0].plain.WriteString("last words"); err != nil {
		t.Fatal(err)
	}
	ends[0].plain.Close()
	if said, err := io.ReadAll(clients[0]); string(said) != "last words" || err != nil {
		t.Errorf("the client reads %q, %v", said, err)
	}
	relays(2)
	if err := ends[1].plain.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = ends[1].plain.Write(make([]byte, 64<<20)) // as much as fits
	ends[1].plain.Close()
	relays(1)
	if _, err := clients[2].Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ends[2].plain, make([]byte, 5)); err != nil {
		t.Fatalf("the last one: %v", err)
	}
	cancel()
	<-over
}
