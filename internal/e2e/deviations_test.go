package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A deviation is a kind of line that the proxy answers by itself, as the newest memcached would, where the memcached
// beside it (Debian 12's 1.6.18) answers differently. Nothing else is forgiven.
//
// Such a line is not sent to memcached. Instead of it goes what direct makes of it; or a request whose answer is then
// replaced by answer, so that its place in the stream is checked too, and nothing if the line says noreply.
type deviation struct {
	rule     string // the number of the edge case in protocol.md, and what differs
	match    func(r request) bool
	answer   string
	bug      bool // of 1.6.18, such that it disagrees with itself
	several  bool // only of a pool of several backends
	splits   bool // only of a pool whose values may be split
	keepRest bool // what follows the line is not its data block, but more lines
	direct   func(r request) string
	restore  func(line string) (restored string, keep bool) // undoes what direct did to an answer's line
}

// request is a command's first line in words, and what follows it.
type request struct {
	line  string // without its line end
	words []string
	rest  string
}

func parseRequest(text []byte) request {
	before, after, ok := bytes.Cut(text, []byte{'\n'})
	if !ok {
		return request{line: string(text)}
	}
	line := strings.TrimSuffix(string(before), "\r")
	return request{line: line, words: strings.FieldsFunc(line, func(r rune) bool { return r == ' ' }), rest: string(after)}
}

func (r request) verb() string {
	if len(r.words) == 0 {
		return ""
	}
	return r.words[0]
}

func (r request) is(verbs ...string) bool { return slices.Contains(verbs, r.verb()) }

func (r request) noreply() bool { return len(r.words) > 1 && r.words[len(r.words)-1] == "noreply" }

// flags are a meta command's.
func (r request) flags() []string {
	if r.is("ms") {
		return r.words[3:]
	}
	return r.words[2:]
}

func oddFlag(flag string) bool {
	c := flag[0]
	return !('A' <= c && c <= 'z' || '0' <= c && c <= '9')
}

func repeats(flags []string) bool {
	var seen [256]bool
	for _, f := range flags {
		if seen[f[0]] {
			return true
		}
		seen[f[0]] = true
	}
	return false
}

// storageWords is the number of words that a classic storage command needs, its verb included; 0 for other commands.
func (r request) storageWords() int {
	switch r.verb() {
	case "set", "add", "replace", "append", "prepend":
		return 5
	case "cas":
		return 6
	}
	return 0
}

// deviations between the proxy and memcached 1.6.18.
var deviations = []deviation{
	{
		rule: "ms with I and an append mode: refused where values may be split",
		match: func(r request) bool {
			return r.is("ms") && len(r.words) > 2 && slices.Contains(r.flags(), "I") &&
				slices.ContainsFunc(r.flags(), func(f string) bool { return len(f) > 1 && f[0] == 'M' && strings.ContainsAny(f[1:2], "AaPp") })
		},
		answer: "CLIENT_ERROR flag I with an append mode is not taken where values may be split\r\n",
		splits: true,
	},
	{
		rule:   "5: a key over 250 bytes in a retrieval: one CLIENT_ERROR; 1.6.18 also drops earlier answers that it has not sent yet",
		match:  func(r request) bool { return r.is("get", "gets", "gat", "gats") && hasLongKey(r) },
		answer: "CLIENT_ERROR bad command line format\r\n",
		bug:    true,
	},
	{
		rule:   "NUL in a line: refused, and its data block swallowed; 1.6.18 takes the line to end there",
		match:  func(r request) bool { return len(r.words) > 1 && strings.Contains(r.line, "\x00") },
		answer: "CLIENT_ERROR bad command line format\r\n",
	},
	{
		rule:     "7: blanks before a command: ERROR; 1.6.18 skips them",
		match:    func(r request) bool { return strings.HasPrefix(r.line, " ") },
		answer:   "ERROR\r\n",
		keepRest: true,
	},
	{
		rule:     "4: missing arguments, or less than 4 bytes: CLIENT_ERROR; 1.6.18 says ERROR",
		match:    lacksArguments,
		answer:   "CLIENT_ERROR bad command line format\r\n",
		keepRest: true,
	},
	{
		rule:   "3: bad numbers or a key over 250 bytes in a storage command: its data block is swallowed; 1.6.18 takes it for commands",
		match:  badStorage,
		answer: "CLIENT_ERROR bad command line format\r\n",
	},
	{
		rule:   "9, 12: words after the last argument are ignored; 1.6.18 refuses them",
		match:  hasExtraWords,
		direct: dropExtraWords,
	},
	{
		rule:   "a meta flag that is no letter or digit: bad format; 1.6.18 calls it invalid or duplicate",
		match:  func(r request) bool { return r.is("mg", "ms", "md", "ma") && slices.ContainsFunc(r.flags(), oddFlag) },
		answer: "CLIENT_ERROR bad command line format\r\n",
	},
	{
		rule:   "too many flags of ms: its data block is swallowed; 1.6.18 takes it for commands, and leaves a word out",
		match:  func(r request) bool { return r.is("ms") && len(r.flags()) > 16 },
		answer: "CLIENT_ERROR options flags are too long\r\n",
	},
	{
		rule:   "a repeated flag of md has the text of mg and ms; 1.6.18 has another for md and ma",
		match:  func(r request) bool { return r.is("md") && repeats(r.flags()) },
		answer: "CLIENT_ERROR duplicate flag\r\n",
	},
	{
		rule:   "a base64 key of md that is none has the text of mg and ms; 1.6.18 has another for md and ma",
		match:  func(r request) bool { return r.is("md") && r.words[1] == "a!" },
		answer: "CLIENT_ERROR error decoding key\r\n",
	},
	{
		rule:   "a key of ma over 250 bytes has the text of its flags; 1.6.18 has that of other commands",
		match:  func(r request) bool { return r.is("ma") && len(r.words[1]) > 250 },
		answer: "CLIENT_ERROR invalid or duplicate flag\r\n",
	},
	{
		rule:    "statistics of one server have no answer that is a pool's",
		match:   func(r request) bool { return r.is("stats") && len(r.words) > 1 },
		answer:  "CLIENT_ERROR stats with an argument needs a pool of one backend\r\n",
		several: true,
	},
	{
		rule: "ma with q is silent when it makes the item (N); 1.6.18 answers then, and only then",
		match: func(r request) bool {
			return r.is("ma") && slices.Contains(r.words, "q") && slices.ContainsFunc(r.flags(), func(f string) bool { return f[0] == 'N' })
		},
		direct:  markOpaque,
		restore: unmarkOpaque,
	},
	{
		rule: "commands that no client may use through a proxy",
		match: func(r request) bool {
			return r.is("shutdown", "cache_memlimit", "slabs", "lru", "lru_crawler", "watch", "refresh_certs", "extstore", "debugtime")
		},
		answer:   "CLIENT_ERROR command not allowed through a proxy\r\n",
		bug:      true, // watch: what it says depends on the answers not yet sent
		keepRest: true,
	},
}

// deviationsOf are those of a proxy over one backend or several.
func deviationsOf(several, splits bool) []deviation {
	return slices.DeleteFunc(slices.Clone(deviations), func(d deviation) bool { return d.several && !several || d.splits && !splits })
}

// bugs are the deviations that are left when the suites go through memcached itself.
func bugs() []deviation {
	return slices.DeleteFunc(slices.Clone(deviations), func(d deviation) bool { return !d.bug })
}

func hasLongKey(r request) bool {
	return slices.ContainsFunc(r.words, func(w string) bool { return len(w) > 250 })
}

func lacksArguments(r request) bool {
	needs := map[string]int{
		"get": 2, "gets": 2, "gat": 3, "gats": 3, "delete": 2, "incr": 3, "decr": 3, "touch": 3, "mg": 2, "ms": 3, "md": 2, "ma": 2,
		"set": 5, "add": 5, "replace": 5, "append": 5, "prepend": 5, "cas": 5, "verbosity": 2,
	}
	return len(r.line)+2 < 4 && !r.is("mn") || len(r.words) < needs[r.verb()]
}

// badStorage says whether a storage command announces a data block, and is wrong in something else.
func badStorage(r request) bool {
	if r.is("ms") {
		size, err := strconv.ParseInt(r.words[2], 10, 32)
		return err == nil && size >= 0 && size < 1<<31-2 && len(r.words[1]) > 250
	}
	if r.storageWords() == 0 {
		return false
	}
	if size, err := strconv.ParseInt(r.words[4], 10, 32); err != nil || size < 0 || size >= 1<<31-2 {
		return false
	}
	_, flagsErr := strconv.ParseUint(strings.TrimPrefix(r.words[2], "+"), 10, 64)
	_, exptimeErr := strconv.ParseInt(r.words[3], 10, 64)
	var uniqueErr error
	if r.is("cas") {
		uniqueErr = strconv.ErrSyntax
		if len(r.words) > 5 {
			_, uniqueErr = strconv.ParseUint(r.words[5], 10, 64)
		}
	}
	return len(r.words[1]) > 250 || flagsErr != nil || exptimeErr != nil || uniqueErr != nil
}

// usefulWords is the number of words that mean something, noreply not among them; 0 where more are always right.
func usefulWords(r request) int {
	switch r.verb() {
	case "delete":
		return 2
	case "incr", "decr", "touch":
		return 3
	}
	return r.storageWords()
}

func hasExtraWords(r request) bool {
	useful := usefulWords(r)
	if r.is("delete") && !r.noreply() {
		return false // the backend judges them
	}
	return useful > 0 && len(r.words) > useful+1
}

func dropExtraWords(r request) string {
	words := slices.Clone(r.words[:usefulWords(r)])
	if r.noreply() {
		words = append(words, "noreply")
	}
	return strings.Join(words, " ") + "\r\n" + r.rest
}

// opaqueMark begins an opaque token that only this file sends to memcached.
const opaqueMark = "~"

// markOpaque marks the command's opaque token, or gives it one: so the answer shows what it belongs to.
func markOpaque(r request) string {
	words, found := slices.Clone(r.words), false
	for i, w := range words {
		if i > 1 && w[0] == 'O' {
			words[i], found = "O"+opaqueMark+w[1:], true
		}
	}
	if !found {
		words = append(words, "O"+opaqueMark)
	}
	return strings.Join(words, " ") + "\r\n" + r.rest
}

// unmarkOpaque undoes markOpaque in an answer, and drops the nominal one.
func unmarkOpaque(line string) (string, bool) {
	words := strings.Split(line, " ")
	words = slices.DeleteFunc(words, func(w string) bool { return w == "O"+opaqueMark })
	for i, w := range words {
		if rest, ok := strings.CutPrefix(w, "O"+opaqueMark); ok {
			words[i] = "O" + rest
		}
	}
	return strings.Join(words, " "), words[0] != "HD" && words[0] != "VA"
}

// rewrite is what memcached is sent instead of text.
func rewrite(deviations []deviation, text []byte) []byte {
	if len(deviations) == 0 {
		return text
	}
	r := parseRequest(text)
	for i, d := range deviations {
		if !d.match(r) {
			continue
		}
		if d.direct != nil {
			return []byte(d.direct(r))
		}
		var instead []byte
		if !r.noreply() {
			instead = fmt.Appendf(nil, "mg deviation O%s%d\r\n", opaqueMark, i)
		}
		if d.keepRest {
			instead = append(instead, r.rest...)
		}
		return instead
	}
	return text
}

// restore turns memcached's answers to rewritten requests into those that the proxy must give.
func restore(deviations []deviation, answer []byte) ([]byte, error) {
	if len(deviations) == 0 || !bytes.Contains(answer, []byte(" O"+opaqueMark)) {
		return answer, nil
	}
	list, err := units(answer)
	if err != nil {
		return nil, err
	}
	var restored []byte
	for _, u := range list {
		restored = append(restored, restoreUnit(deviations, u)...)
	}
	return restored, nil
}

func restoreUnit(deviations []deviation, u unit) []byte {
	line := string(u.line())
	if rest, ok := strings.CutPrefix(line, "EN O"+opaqueMark); ok {
		if i, err := strconv.Atoi(rest); err == nil {
			return []byte(deviations[i].answer)
		}
	}
	if !strings.Contains(line, " O"+opaqueMark) {
		return u
	}
	for _, d := range deviations {
		if d.restore != nil {
			restored, keep := d.restore(line)
			if !keep {
				return nil
			}
			return append([]byte(restored+"\r\n"), u.data()...)
		}
	}
	return u
}
