package main

import (
	"fmt"
	"io"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"mcproxy/config"
)

// A logControl counts what is logged, and changes its level.
type logControl struct {
	level zap.AtomicLevel
	lines [zapcore.FatalLevel - zapcore.DebugLevel + 1]atomic.Uint64 // by level, from debug on
}

// Lines is admin.Log's.
func (c *logControl) Lines() map[string]uint64 {
	lines := make(map[string]uint64)
	for level := zapcore.DebugLevel; level <= zapcore.ErrorLevel; level++ {
		lines[level.String()] = c.lines[level-zapcore.DebugLevel].Load()
	}
	return lines
}

// Level is admin.Log's.
func (c *logControl) Level() string { return c.level.String() }

// SetLevel is admin.Log's.
func (c *logControl) SetLevel(text string) error {
	level, err := zapcore.ParseLevel(text)
	if err != nil || text == "" {
		return fmt.Errorf("log level %q: want debug, info, warn or error", text)
	}
	if level > zapcore.ErrorLevel {
		return fmt.Errorf("log level %q is not taken: errors are always logged", text)
	}
	c.level.SetLevel(level)
	return nil
}

// newLog writes to out as the configuration says, which is checked.
func newLog(cfg config.Log, out io.Writer) (*zap.Logger, *logControl, error) {
	control := &logControl{level: zap.NewAtomicLevel()}
	if err := control.SetLevel(cfg.Level); err != nil {
		return nil, nil, err
	}
	count := func(e zapcore.Entry) error {
		control.lines[e.Level-zapcore.DebugLevel].Add(1)
		return nil
	}
	e := zap.NewProductionEncoderConfig()
	e.TimeKey = "time"
	e.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	e.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(e)
	if cfg.Format == "console" {
		e.EncodeLevel = zapcore.CapitalLevelEncoder
		e.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02 15:04:05.000")
		e.ConsoleSeparator = " "
		encoder = zapcore.NewConsoleEncoder(e)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), control.level), zap.Hooks(count)), control, nil
}
