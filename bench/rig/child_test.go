package rig

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestChild(t *testing.T) {
	t.Run("ends by itself", func(t *testing.T) {
		got, err := Output(t.Context(), "sh", "-c", "echo out; echo err >&2")
		if err != nil || got != "out" {
			t.Errorf("output = %q, %v, want out", got, err)
		}
	})
	t.Run("fails", func(t *testing.T) {
		_, err := Output(t.Context(), "sh", "-c", "echo why >&2; exit 3")
		if err == nil || !strings.Contains(err.Error(), "exit status 3: why") {
			t.Errorf("output = %v, want the status and what it said", err)
		}
	})
	t.Run("is not there", func(t *testing.T) {
		if _, err := Output(t.Context(), "/nowhere/program"); err == nil {
			t.Error("no error")
		}
	})
	t.Run("is interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c, err := Start("sleep", nil, "sleep", "1000")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Gone(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := c.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("wait = %v, want canceled", err)
		}
		if err := c.Gone(); err == nil {
			t.Error("it is still there")
		}
	})
	t.Run("does not listen to SIGTERM", func(t *testing.T) {
		var out bytes.Buffer
		c, err := Start("sh", &out, "sh", "-c", "trap '' TERM; echo trapped >&2; while :; do sleep 0.05; done")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.WaitSaid(t.Context(), "trapped"); err != nil {
			t.Error(err)
		}
		begun := time.Now()
		c.End(syscall.SIGTERM)
		if took := time.Since(begun); took < endTimeout || c.Gone() == nil {
			t.Errorf("ended after %v, want after %v by force", took, endTimeout)
		}
	})
}

func TestTail(t *testing.T) {
	var last Tail
	for range 1000 {
		_, _ = last.Write([]byte("a line of some bytes\n"))
	}
	_, _ = last.Write([]byte("the end"))
	if got := last.String(); len(got) > maxTail || !strings.HasSuffix(got, "bytes\nthe end") {
		t.Errorf("the tail has %d bytes and ends with %q", len(got), got[max(0, len(got)-40):])
	}
}
