package config

import (
	"strconv"

	"mcproxy/proxy/limits"
)

func limitsOptions(c *limits.Config, prefixes func(*reader, value)) []option {
	def := limits.Config{}.WithDefaults()
	return []option{
		{
			"bytes", size(&c.Bytes, 1<<20, 1<<40), strconv.Quote(sizeText(def.Bytes)),
			"Bytes held at once for values that are not split, from 16KiB on, until a backend has taken them, and for answers that clients have not read, " +
				"where those of one connection are more than 16KiB together. What is over it is refused: SERVER_ERROR overloaded. While it is reached, " +
				"connections that have much unread and read nothing for 15 s are closed.",
		},
		{
			"requests", integer(&c.Requests, 16, 100_000_000), strconv.Itoa(def.Requests),
			"Requests under way at once, of all clients. One more is refused: SERVER_ERROR overloaded. Each worker has an equal share.",
		},
		{
			"client_requests", integer(&c.ClientRequests, 16, 1_000_000), strconv.Itoa(def.ClientRequests),
			"Requests of one client connection under way. What it asks beyond waits. It is fewer while many connections have many.",
		},
		{
			"client_bytes", size(&c.ClientBytes, 16<<10, 1<<30), strconv.Quote(sizeText(int64(def.ClientBytes))),
			"Bytes of answers that a client connection has not read. With more than that its next requests wait.",
		},
		{
			"rate", integer(&c.Each.PerSecond, 1, maxRate), "",
			"Requests a second of each client address, all its connections together; clients by unix sockets are one address. A request of several keys counts as many. " +
				"One more is refused, and nothing is done: SERVER_ERROR overloaded. Without it there is no limit.",
		},
		{"burst", integer(&c.Each.Burst, 1, maxRate), "", "So many may come at once. It follows rate if left out."},
		{"prefixes", kind{"[[limits.prefixes]]", prefixes}, "", "The same for keys that begin in a certain way, of all clients together."},
	}
}

// maxRate is that of a request each nanosecond.
const maxRate = 1_000_000_000

func prefixRateOptions(p *limits.PrefixRate) []option {
	return []option{
		{
			"prefix", text(&p.Prefix, "1 to 250 bytes without blanks", prefixProblem), "",
			"Of the keys that begin with it; of several that fit, the longest counts.",
		},
		{"rate", integer(&p.PerSecond, 1, maxRate), "", "Requests a second. A request of several keys counts for each of them. One more is refused: SERVER_ERROR overloaded."},
		{"burst", integer(&p.Burst, 1, maxRate), "", "So many may come at once. It follows rate if left out."},
	}
}

func (d *draft) readLimits(r *reader, v value) {
	c := &d.file.Proxy.Limits
	if r.table(v, "[limits]", limitsOptions(c, d.readPrefixRates)) && v.has("burst") && !v.has("rate") {
		r.fail(v.key("burst"), "there is no rate; write rate = 1000 too, or take the key out")
	}
}

func (d *draft) readPrefixRates(r *reader, v value) {
	seen := make(map[string]value)
	r.tables(v, "[[limits.prefixes]]", func(item value) {
		var p limits.PrefixRate
		if !r.table(item, "[[limits.prefixes]]", prefixRateOptions(&p)) {
			return
		}
		for _, key := range []string{"prefix", "rate"} {
			if !item.has(key) {
				r.fail(item.key(key), "missing; an entry has prefix = \"tokens/\" and rate = 1000")
			}
		}
		if p.Prefix != "" {
			once(r, seen, p.Prefix, item.key("prefix"))
		}
		d.file.Proxy.Limits.Prefixes = append(d.file.Proxy.Limits.Prefixes, p)
	})
}
