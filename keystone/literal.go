package keystone

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// number works on the opcodes of None, truth and numbers.
func (u *unpickler) number(op byte) (known bool, err error) {
	var v any
	switch op {
	case 'N':
	case 0x88:
		v = true
	case 0x89:
		v = false
	case 'K', 'M', 'J':
		n, err := u.uint(map[byte]int{'K': 1, 'M': 2, 'J': 4}[op])
		if err != nil {
			return true, err
		}
		v = int64(n)
		if op == 'J' {
			v = int64(int32(n))
		}
	case 0x8a, 0x8b: // LONG1, LONG4
		digits, err := u.counted(map[byte]int{0x8a: 1, 0x8b: 4}[op])
		if err != nil {
			return true, err
		}
		if v, err = signed(digits); err != nil {
			return true, err
		}
	case 'I', 'L':
		text, err := u.line()
		if err != nil {
			return true, err
		}
		if v, err = decimal(text, op == 'I'); err != nil {
			return true, err
		}
	case 'F':
		text, err := u.line()
		if err != nil {
			return true, err
		}
		if v, err = strconv.ParseFloat(text, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
			return true, fmt.Errorf("has the number %.40q", text)
		}
	case 'G':
		b, err := u.take(8)
		if err != nil {
			return true, err
		}
		v = math.Float64frombits(binary.BigEndian.Uint64(b))
	default:
		return false, nil
	}
	if digits, ok := v.(Number); ok {
		err = u.spend(len(digits))
	}
	return true, errors.Join(err, u.push(v))
}

// signed reads a two's complement number, the lowest byte first.
func signed(b []byte) (any, error) {
	if len(b) == 0 {
		return int64(0), nil
	}
	if len(b) > maxDigits/3 {
		return nil, errInteger
	}
	high := slices.Clone(b)
	slices.Reverse(high)
	n := new(big.Int).SetBytes(high)
	if high[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return integer(n), nil
}

// decimal reads "5", "5L", and of INT "00" and "01", which are False and True.
func decimal(text string, truth bool) (any, error) {
	if truth && (text == "00" || text == "01") {
		return text == "01", nil
	}
	text = strings.TrimSuffix(text, "L")
	if text == "" || len(text) > maxDigits {
		return nil, errInteger
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, fmt.Errorf("has the integer %.40q", text)
	}
	return integer(n), nil
}

func integer(n *big.Int) any {
	if n.IsInt64() {
		return n.Int64()
	}
	return Number(n.String())
}

func parseUint(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("has the place %.40q in its memo", text)
	}
	return n, nil
}

// text works on the opcodes of texts and bytes.
func (u *unpickler) text(op byte) (known bool, err error) {
	// How many bytes of a length stand before the text.
	lengths := [...]struct {
		op     byte
		length int
		bytes  bool
	}{
		{'X', 4, false}, {0x8c, 1, false}, {0x8d, 8, false}, // unicode
		{'T', 4, true}, {'U', 1, true}, {'B', 4, true}, {'C', 1, true}, {0x8e, 8, true}, {0x96, 8, true},
	}
	for _, l := range lengths {
		if l.op != op {
			continue
		}
		b, err := u.counted(l.length)
		if err != nil {
			return true, err
		}
		if err := u.spend(len(b)); err != nil {
			return true, err
		}
		if l.bytes {
			return true, u.push(Bytes(b))
		}
		return true, u.push(Text(strings.ToValidUTF8(string(b), "\ufffd"))) // lone surrogates, which Python allows
	}
	switch op {
	case 'S':
		line, err := u.line()
		if err != nil {
			return true, err
		}
		text, err := unquote(strings.TrimSpace(line))
		if err != nil {
			return true, err
		}
		return true, errors.Join(u.spend(len(text)), u.push(Bytes(text)))
	case 'V':
		line, err := u.line()
		if err != nil {
			return true, err
		}
		return true, errors.Join(u.spend(2*len(line)), u.push(Text(rawUnicode(line))))
	}
	return false, nil
}

// unquote reads what Python 2's repr of a str wrote.
func unquote(text string) (string, error) {
	wrong := fmt.Errorf("has the string %.40q", text)
	if len(text) < 2 || text[0] != text[len(text)-1] || text[0] != '\'' && text[0] != '"' {
		return "", wrong
	}
	text = text[1 : len(text)-1]
	if !strings.Contains(text, `\`) {
		return text, nil
	}
	escapes := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', '\\': '\\', '\'': '\'', '"': '"', 'a': 7, 'b': 8, 'f': 12, 'v': 11, '0': 0}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		if i++; i == len(text) {
			return "", wrong
		}
		if b, ok := escapes[text[i]]; ok {
			out = append(out, b)
			continue
		}
		if text[i] != 'x' || i+2 >= len(text) {
			return "", wrong
		}
		b, err := hex.DecodeString(text[i+1 : i+3])
		if err != nil {
			return "", wrong
		}
		out = append(out, b...)
		i += 2
	}
	return string(out), nil
}

// rawUnicode reads Python's raw-unicode-escape: Latin-1 with \uHHHH and \UHHHHHHHH. What is no such escape stays as it is.
func rawUnicode(line string) string {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' && i+1 < len(line) {
			digits := map[byte]int{'u': 4, 'U': 8}[line[i+1]]
			if end := i + 2 + digits; digits > 0 && end <= len(line) {
				if n, err := strconv.ParseUint(line[i+2:end], 16, 32); err == nil && n <= utf8.MaxRune {
					b.WriteRune(rune(n))
					i = end - 1
					continue
				}
			}
		}
		b.WriteRune(rune(line[i]))
	}
	return b.String()
}
