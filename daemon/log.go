package daemon

import (
	"fmt"
	"io"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"mcproxy/config"
)

// A Log is where the process writes what happens. It counts the lines, and its level may change.
type Log struct {
	*zap.Logger
	control *logControl
}

// A logControl is admin.Log. A Logger has methods of the same names.
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
	level, err := parseLevel(text)
	if err != nil {
		return err
	}
	c.level.SetLevel(level)
	return nil
}

func parseLevel(text string) (zapcore.Level, error) {
	level, err := zapcore.ParseLevel(text)
	if err != nil || text == "" {
		return 0, fmt.Errorf("log level %q: want debug, info, warn or error", text)
	}
	if level > zapcore.ErrorLevel {
		return 0, fmt.Errorf("log level %q is not taken: errors are always logged", text)
	}
	return level, nil
}

// NewLog writes to out as the configuration says, which is checked.
func NewLog(cfg config.Log, out io.Writer) (*Log, error) {
	control := &logControl{level: zap.NewAtomicLevel()}
	if err := control.SetLevel(cfg.Level); err != nil {
		return nil, err
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
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), control.level)
	return &Log{zap.New(core, zap.Hooks(count)), control}, nil
}

// follow changes the level to that of another configuration, if it differs from the former one's: an operator may have changed it by
// hand. What tell logs of it is seen if either level would have it.
func (l *Log) follow(before, after string, tell func()) {
	now := l.control.level.Level()
	level, err := parseLevel(after)
	if err != nil || before == after {
		tell()
		return
	}
	l.control.level.SetLevel(min(level, now))
	tell()
	l.control.level.SetLevel(level)
}
