package keystone

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// container works on the opcodes of lists, tuples, sets and dictionaries.
func (u *unpickler) container(op byte) (known bool, err error) {
	switch op {
	case ']':
		return true, u.push(&List{Kind: PlainList})
	case ')':
		return true, u.push(&List{Kind: Tuple})
	case 0x8f:
		return true, u.push(&List{Kind: Set})
	case '}':
		return true, u.push(&Dict{})
	case 'l', 't', 0x91: // all since the mark, as a list, tuple or frozenset
		items, err := u.popMark()
		if err != nil {
			return true, err
		}
		kind := map[byte]ListKind{'l': PlainList, 't': Tuple, 0x91: Set}[op]
		return true, errors.Join(u.spend(len(items)*itemCost), u.push(&List{Kind: kind, Items: slices.Clone(items)}))
	case 0x85, 0x86, 0x87: // tuples of 1, 2 and 3
		items, err := u.pop(int(op-0x85) + 1)
		if err != nil {
			return true, err
		}
		return true, errors.Join(u.spend(len(items)*itemCost), u.push(&List{Kind: Tuple, Items: slices.Clone(items)}))
	case 'd':
		items, err := u.popMark()
		if err != nil {
			return true, err
		}
		d := &Dict{}
		if err := u.set(d, items); err != nil {
			return true, err
		}
		return true, u.push(d)
	case 'a', 's':
		items, err := u.pop(map[byte]int{'a': 1, 's': 2}[op])
		if err != nil {
			return true, err
		}
		return true, u.fill(op == 's', items)
	case 'e', 'u', 0x90: // APPENDS, SETITEMS, ADDITEMS
		items, err := u.popMark()
		if err != nil {
			return true, err
		}
		return true, u.fill(op == 'u', items)
	}
	return false, nil
}

// fill puts items into the last value.
func (u *unpickler) fill(pairs bool, items []any) error {
	into, err := u.top()
	if err != nil {
		return err
	}
	if pairs {
		return u.set(into, items)
	}
	switch v := into.(type) {
	case *List:
		if v.Kind == Tuple {
			return errUnhinged
		}
		v.Items = append(v.Items, items...)
	case *Object:
		v.Items = append(v.Items, items...)
	default:
		return errUnhinged
	}
	return u.spend(len(items) * itemCost)
}

// set puts keys and values, in turns, into a dictionary.
func (u *unpickler) set(into any, items []any) error {
	var pairs *[]Pair
	switch v := into.(type) {
	case *Dict:
		pairs = &v.Pairs
	case *Object:
		pairs = &v.Pairs
	default:
		return errUnhinged
	}
	if len(items)%2 != 0 {
		return errors.New("sets a key without a value")
	}
	for i := 0; i < len(items); i += 2 {
		*pairs = append(*pairs, Pair{Key: items[i], Value: items[i+1]})
	}
	return u.spend(len(items) * itemCost)
}

// object works on the opcodes that would make objects. They give names and arguments.
func (u *unpickler) object(op byte) (known bool, err error) {
	switch op {
	case 'c', 'i': // GLOBAL, INST
		module, err := u.line()
		if err != nil {
			return true, err
		}
		name, err := u.line()
		if err != nil {
			return true, err
		}
		class := Class{Module: printable(module), Name: printable(name)}
		if err := u.spend(len(module) + len(name)); err != nil || op == 'c' {
			return true, errors.Join(err, u.push(class))
		}
		args, err := u.popMark()
		if err != nil {
			return true, err
		}
		return true, u.make(class, args)
	case 0x93: // STACK_GLOBAL
		names, err := u.pop(2)
		if err != nil {
			return true, err
		}
		module, ok1 := textOf(names[0])
		name, ok2 := textOf(names[1])
		if !ok1 || !ok2 {
			return true, errors.New("names a class by what is no text")
		}
		return true, u.push(Class{Module: printable(module), Name: printable(name)})
	case 'o': // OBJ: the class and its arguments since the mark
		all, err := u.popMark()
		if err != nil {
			return true, err
		}
		if len(all) == 0 {
			return true, errUnder
		}
		return true, u.make(all[0], all[1:])
	case 'R', 0x81, 0x92: // REDUCE, NEWOBJ, NEWOBJ_EX
		return true, u.call(op)
	case 'b': // BUILD
		state, err := u.pop(1)
		if err != nil {
			return true, err
		}
		into, err := u.top()
		if err != nil {
			return true, err
		}
		o, ok := into.(*Object)
		if !ok {
			if _, ok := into.(*CachedValue); ok {
				return true, nil // dogpile's has no state worth reading
			}
			return true, errors.New("gives a state to what is no object")
		}
		o.State = state[0]
		return true, nil
	case 'P', 'Q', 0x82, 0x83, 0x84, 0x97, 0x98:
		return true, errors.New("refers to what is not in it (a persistent id, an extension, or a buffer)")
	}
	return false, nil
}

// call makes an object of a class and a tuple of arguments, and NEWOBJ_EX of named arguments too.
func (u *unpickler) call(op byte) error {
	n := 2
	if op == 0x92 {
		n = 3
	}
	values, err := u.pop(n)
	if err != nil {
		return err
	}
	args, ok := values[1].(*List)
	if !ok {
		return errors.New("calls with what is no tuple")
	}
	items := args.Items
	if op == 0x92 {
		items = append(slices.Clone(items), values[2])
	}
	return u.make(values[0], items)
}

// make pushes an object. A few that Python itself makes of plain data become that data.
func (u *unpickler) make(of any, args []any) error {
	class, ok := of.(Class)
	if !ok {
		return errors.New("makes an object of what is no class")
	}
	args = slices.Clone(args)
	if err := u.spend(len(args) * itemCost); err != nil {
		return err
	}
	switch class.Module {
	case "copy_reg", "copyreg": // _reconstructor(class, base, value of base)
		inner, ok := any(nil), class.Name == "_reconstructor" && len(args) == 3
		if ok {
			inner = args[0]
		}
		if of, ok := inner.(Class); ok && of.Module != class.Module {
			if base, ok := args[2].(*List); ok && base.Kind == Tuple {
				return u.make(of, base.Items)
			}
			return u.push(&Object{Class: of, Args: withoutNone(args[2])})
		}
	case "_codecs": // encode(text, "latin1"): bytes in protocols 0 to 2
		if text, ok := latin1(args); ok && class.Name == "encode" {
			return u.push(text)
		}
	case "builtins", "__builtin__":
		if list, ok := onlyList(args); ok && (class.Name == "set" || class.Name == "frozenset") {
			return u.push(&List{Kind: Set, Items: list.Items})
		}
		if class.Name == "bytes" && len(args) == 0 {
			return u.push(Bytes(""))
		}
	case "datetime":
		if text, ok := dateTime(class.Name, args); ok {
			return u.push(text)
		}
	case "dogpile.cache.api":
		if class.Name == "CachedValue" && len(args) == 2 {
			return u.push(&CachedValue{Payload: args[0], Metadata: args[1]})
		}
	}
	return u.push(&Object{Class: class, Args: args})
}

func withoutNone(v any) []any {
	if v == nil {
		return nil
	}
	return []any{v}
}

func onlyList(args []any) (*List, bool) {
	if len(args) != 1 {
		return nil, false
	}
	list, ok := args[0].(*List)
	return list, ok
}

// latin1 gives the bytes of a text each of whose characters is one.
func latin1(args []any) (Bytes, bool) {
	if len(args) != 2 || args[1] != any(Text("latin1")) && args[1] != any(Bytes("latin1")) {
		return "", false
	}
	text, ok := args[0].(Text)
	if !ok {
		return "", false
	}
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return "", false
		}
		out = append(out, byte(r))
	}
	return Bytes(out), true
}

// dateTime reads the ten bytes of a datetime.datetime. Its time zone is left out, as Keystone's are all UTC.
func dateTime(name string, args []any) (Text, bool) {
	if name != "datetime" || len(args) == 0 {
		return "", false
	}
	b, ok := args[0].(Bytes)
	if !ok || len(b) != 10 || b[2] < 1 || b[2] > 12 {
		return "", false
	}
	micro := int(b[7])<<16 | int(b[8])<<8 | int(b[9])
	t := time.Date(int(b[0])<<8|int(b[1]), time.Month(b[2]), int(b[3]), int(b[4]), int(b[5]), int(b[6]), 1000*micro, time.UTC)
	return Text(t.Format("2006-01-02T15:04:05.000000")), true
}

// textOf gives a text, or bytes that stand for one.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case Text:
		return string(v), true
	case Bytes:
		return string(v), true
	}
	return "", false
}

// printable gives the name of a class as one that can be shown.
func printable(name string) string {
	const most = 200
	if len(name) > most {
		name = name[:most]
	}
	return strings.Trim(fmt.Sprintf("%+q", name), `"`)
}
