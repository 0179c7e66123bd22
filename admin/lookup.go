package admin

import (
	"context"
	"fmt"
	"net/http"

	"mcproxy/proxy"
)

// A KeyReport is what GET or POST /api/lookup answers, as JSON: all that is known of a key, but never its value.
type KeyReport struct {
	Key      string        `json:"key"`  // as proxy.EscapeKey writes it
	Hash     string        `json:"hash"` // as HotKey's
	Pool     string        `json:"pool"`
	Ring     string        `json:"ring"`      // the recipe's name
	RingHash uint64        `json:"ring_hash"` // by that recipe
	Backend  string        `json:"backend"`
	Address  string        `json:"address"`
	State    string        `json:"backend_state"`
	Hot      *HotKey       `json:"hot,omitempty"`       // what is known of it among the heaviest keys, hot or not
	Large    *OversizedKey `json:"oversized,omitempty"` // and among those with large values
	Item     *KeyItem      `json:"item,omitempty"`
	Failure  string        `json:"failure,omitempty"` // why there is no item: the backend's word, or why it has none
}

// A KeyItem is what the key's backend says.
type KeyItem struct {
	Found      bool     `json:"found"`
	ValueBytes *int64   `json:"value_bytes,omitempty"`
	Flags      *int64   `json:"flags,omitempty"`
	TTL        *float64 `json:"ttl_seconds,omitempty"`         // -1: it does not expire
	Idle       *float64 `json:"last_access_seconds,omitempty"` // ago
	Fetched    *bool    `json:"fetched,omitempty"`             // it was read since it was stored
}

// maxKeyText bounds a key's text: each of its bytes may take four characters.
const maxKeyText = 4 * 250

// lookup answers GET and POST /api/lookup. A POST's key stands in the body, so that it gets into nobody's history of addresses.
func (s *Server) lookup(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, 4*maxKeyText)
	if err := req.ParseForm(); err != nil {
		say(w, http.StatusBadRequest, "a form with key=KEY is to be sent")
		return
	}
	text := req.Form.Get("key")
	key, ok := proxy.UnescapeKey(text)
	switch {
	case text == "":
		say(w, http.StatusBadRequest, "which key? /api/lookup?key=KEY")
		return
	case len(text) > maxKeyText || !ok:
		say(w, http.StatusBadRequest, `a key has at most 250 bytes; \\ is a backslash, and \xHH any byte`)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), snapshotTimeout)
	defer cancel()
	found, err := s.source.Lookup(ctx, []byte(key))
	if err != nil {
		status := http.StatusBadRequest
		if ctx.Err() != nil {
			status = http.StatusServiceUnavailable
		}
		say(w, status, err.Error())
		return
	}
	now, _, err := s.recorder.moments(req.Context())
	if err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, keyReport(found, now.figures))
}

// keyReport adds what is known of the key's heat and size.
func keyReport(k *proxy.KeyReport, f *figures) KeyReport {
	out := KeyReport{
		Key: proxy.EscapeKey(k.Key), Hash: fmt.Sprintf("%016x", k.WatchHash), Pool: k.Pool, Ring: k.Ring, RingHash: k.Hash, Backend: k.Backend,
		Address: k.Address, State: k.State, Failure: k.Failure,
	}
	for _, p := range hotKeyReport(f).Pools {
		if p.Pool != k.Pool {
			continue
		}
		for i := range p.Keys {
			if p.Keys[i].Hash == out.Hash {
				out.Hot = &p.Keys[i]
			}
		}
		for i := range p.Oversized {
			if p.Oversized[i].Hash == out.Hash {
				out.Large = &p.Oversized[i]
			}
		}
	}
	if k.Item != nil {
		out.Item = itemOf(k.Item)
	}
	return out
}

func itemOf(i *proxy.Item) *KeyItem {
	out := &KeyItem{Found: i.Found}
	if !i.Found {
		return out
	}
	if i.ValueBytes >= 0 {
		out.ValueBytes = &i.ValueBytes
	}
	if i.Flags >= 0 {
		out.Flags = &i.Flags
	}
	if i.Idle >= 0 {
		idle := i.Idle.Seconds()
		out.Idle = &idle
		out.Fetched = &i.Fetched
	}
	ttl := -1.0
	if i.TTL >= 0 {
		ttl = i.TTL.Seconds()
	}
	out.TTL = &ttl
	return out
}
