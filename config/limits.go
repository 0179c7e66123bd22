package config

import (
	"strconv"

	"mcproxy/proxy/limits"
)

func limitsOptions(c *limits.Config) []option {
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
	}
}

func (d *draft) readLimits(r *reader, v value) {
	r.table(v, "[limits]", limitsOptions(&d.file.Proxy.Limits))
}
