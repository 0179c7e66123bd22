package hotkey_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"mcproxy/hotkey"
)

// FuzzSummary reads a stream of any keys, names and weights from the input, deals it to three summaries of the least size,
// and holds each of them and their merge against the truth.
func FuzzSummary(f *testing.F) {
	f.Add([]byte("seed of a few keys"))
	f.Add(bytes.Repeat([]byte{0, 1, 2, 3, 255, 254}, 60))
	var rotating []byte
	for i := range 150 {
		rotating = append(rotating, byte(i%(3*hotkey.MinEntries+1)), byte(i), 0, 250, 1)
	}
	f.Add(rotating)
	f.Fuzz(func(t *testing.T, input []byte) {
		const m = hotkey.MinEntries
		if len(input) > 2000 {
			return // 400 observations of up to 255<<31 bytes stay below MaxTotal
		}
		var windows []*hotkey.Window
		var truths []exact
		all := exact{}
		for worker := range uint64(3) {
			windows = append(windows, &hotkey.Window{Summary: hotkey.NewSummary(m, worker+uint64(len(input))), To: 1})
			truths = append(truths, exact{})
		}
		for ; len(input) >= 5; input = input[5:] {
			key := uint64(input[0])
			shift := input[1] & 31
			o := observe(int(input[1]>>5), int(input[2])<<shift, input[2]&1 == 1)
			worker := int(input[4]) % 3
			var name []byte
			if length := int(input[3]); length >= 4 {
				name = append(binary.LittleEndian.AppendUint32(nil, uint32(key)), bytes.Repeat([]byte{'.'}, length-4)...)
			}
			windows[worker].Summary.Add(key, name, o)
			truths[worker].add(key, o)
			all.add(key, o)
		}
		for i, w := range windows {
			if err := w.Summary.Check(); err != nil {
				t.Fatalf("summary %d: %v", i, err)
			}
			if err := truths[i].check(ofSummary(w.Summary), m); err != nil {
				t.Fatalf("summary %d: %v", i, err)
			}
			for e := range w.Summary.All() {
				if err := fits(e); err != nil {
					t.Fatalf("summary %d: %v", i, err)
				}
			}
		}
		var merger hotkey.Merger
		v := merger.Merge(windows)
		if err := all.check(ofView(v), m); err != nil {
			t.Fatalf("merged: %v", err)
		}
		for i := range v.Entries {
			if err := fits(&v.Entries[i]); err != nil {
				t.Fatalf("merged: %v", err)
			}
		}
		tracker := hotkey.NewTracker(hotkey.Config{MinRate: 1, MaxHot: 5, Top: 7})
		for _, e := range tracker.Update(v, 3) {
			if e.Change != hotkey.Promoted || e.Status.Key == "" || !e.Status.Hot {
				t.Fatalf("event %+v", e)
			}
		}
		if tracker.Hot() > 5 || len(tracker.AppendTop(nil)) > 7 {
			t.Fatalf("%d hot keys, %d in the list", tracker.Hot(), len(tracker.AppendTop(nil)))
		}
	})
}

// fits reports a name that is another key's.
func fits(e *hotkey.Entry) error {
	if len(e.Key) > 0 && (len(e.Key) > hotkey.MaxKey || uint64(binary.LittleEndian.Uint32(e.Key)) != e.Hash) {
		return fmt.Errorf("entry %x has the name %q", e.Hash, e.Key)
	}
	return nil
}
