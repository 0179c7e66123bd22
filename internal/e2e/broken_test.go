package e2e

import "strings"

// brokenLines are classic commands that are wrong in some way, or odd. %K stands for a key, %N for one for numbers, %L for
// one of 251 bytes.
var brokenLines = []string{
	"\r\n", "get\r\n", "gets\r\n", "get \r\n", "gat\r\n", "gat 10\r\n", "gat x %K\r\n", "gats 1.5 %K\r\n", "gat 99999999999 %K\r\n",
	"GET %K\r\n", "Get %K\r\n", "foo\r\n", "foo bar baz\r\n", "g\r\n", "getx %K\r\n", "get\t%K\r\n", " get %K\r\n", "  mn\r\n",
	"get %L\r\n", "get %K %L %K\r\n", "gets %L\r\n", "gat 0 %L\r\n", "gat 0 %K %L\r\n",
	"get %K\r\r\n", "get %K noreply\r\n", "gat 0 %K noreply\r\n",
	"set\r\n", "set %K\r\n", "set %K 0\r\n", "set %K 0 0\r\n", "add %K 0 0\r\n",
	"set %K 0 0 x\r\nabc\r\n", "set %K 0 0 -1\r\nabc\r\n", "set %K 0 0 3x\r\nabc\r\n", "set %K 0 0 1.5\r\nabc\r\n",
	"set %K 0 0 2147483647\r\nabc\r\n", "set %K 0 0 +3\r\nabc\r\n", "set %K 0 0 003\r\nabc\r\n",
	"set %K x 0 3\r\nabc\r\n", "set %K 0 x 3\r\nabc\r\n", "set %K -1 0 3\r\nabc\r\n", "set %K 1.5 0 3\r\nabc\r\n", "set %K 0x1 0 3\r\nabc\r\n",
	"set %K 0 1e9 3\r\nabc\r\n", "set %K x 0 3 noreply\r\nabc\r\n", "add %K x 0 5\r\nabcde\r\n", "append %K 0 x 0\r\n\r\n",
	"set %L 0 0 3\r\nabc\r\n", "set %L 0 0 3 noreply\r\nabc\r\n", "prepend %L 0 0 3\r\nabc\r\n", "cas %L 0 0 3 1\r\nabc\r\n",
	"set %K 0 0 3 junk junk\r\nabc\r\n", "set %K 0 0 3 junk noreply\r\nabc\r\n", "set %K 0 0 3 noreply junk\r\nabc\r\n",
	"cas %K 0 0 3\r\nabc\r\n", "cas %K 0 0 3 x\r\nabc\r\n", "cas %K 0 0 3 -1\r\nabc\r\n", "cas %K 0 0 3 18446744073709551616\r\nabc\r\n",
	"cas %K 0 0 3 noreply\r\nabc\r\n", "cas %K x 0 3 1\r\nabc\r\n", "cas %K 0 0 3 18446744073709551614 junk\r\nabc\r\n",
	"delete\r\n", "delete %K junk\r\n", "delete %K 5\r\n", "delete %K 00\r\n", "delete %K 0 junk\r\n", "delete %K junk noreply\r\n",
	"delete %K noreply 0\r\n", "delete %K 0 0 noreply\r\n", "delete %L\r\n", "delete %L noreply\r\n", "delete %K NOREPLY\r\n",
	"incr\r\n", "incr %N\r\n", "incr %N x\r\n", "incr %N -1\r\n", "incr %N 1.5\r\n", "incr %N 18446744073709551616\r\n", "decr %N x noreply\r\n",
	"incr %N 1 junk\r\n", "incr %N 1 junk junk\r\n", "incr %N 1 junk noreply\r\n", "incr %L 1\r\n", "decr %L 1 noreply\r\n", "incr %N noreply\r\n",
	"touch\r\n", "touch %K\r\n", "touch %K x\r\n", "touch %K x noreply\r\n", "touch %K 0 junk\r\n", "touch %K 0 junk junk\r\n", "touch %L 0\r\n",
	"touch %K noreply\r\n",
	"verbosity\r\n", "verbosity x\r\n", "verbosity noreply\r\n", "flush_all x\r\n", "flush_all x noreply\r\n", "version noreply\r\n",
	"stats junk junk\r\n",
	"shutdown now\r\n", "cache_memlimit x\r\n", "slabs\r\n", "lru\r\n", "lru_crawler\r\n", "watch x\r\n", "refresh_certs\r\n", "extstore\r\n",
	"debugtime\r\n",
	"get %K\x00x\r\n", "get \x00\r\n", "\x00\r\n", "delete a\x00b\r\n", "set a\x00b 0 0 3\r\nabc\r\n", "mg a\x00b v\r\n",
	"\xff\xfe\r\n", "get %K\x0b\x0c\r\n", "PUT /x\r\n", "HEAD\r\n", "OPTIONS *\r\n", "GET %K HTTP\r\n", "get / HTTP/1.0\r\n",
	strings.Repeat("x", 1000) + "\r\n",
}

// brokenMetaLines are meta commands that are wrong in some way, or odd. (The one with an opaque token too long is for a key
// without an item: 1.6.18 counts it as fetched before it looks at the token.)
var brokenMetaLines = []string{
	"mg\r\n", "ms\r\n", "md\r\n", "ma\r\n", "mx %K\r\n", "m\r\n", "mgk\r\n", "MG %K v\r\n", "mg\t%K v\r\n", " mg %K v\r\n", "mn junk\r\n", "mn q\r\n",
	"mg %K v v\r\n", "mg %K z\r\n", "mg %K 1\r\n", "mg %K ~\r\n", "mg %K S\r\n", "mg %K Tx\r\n", "mg %K T\r\n", "mg %K N\r\n", "mg %K R\r\n",
	"mg %K O\r\n", "mg %K O" + strings.Repeat("o", 31) + "\r\n", "mg none O" + strings.Repeat("o", 32) + "\r\n", "mg %L v\r\n", "mg %L v q\r\n",
	"mg a! b v\r\n", "mg a b v\r\n", "mg ==== b\r\n", "mg %K c f h k l q s t u v O1 P1 L1 N0 R0 T0 b x y z A\r\n", "mg %K E1 v\r\n", "mg %K \xff\r\n",
	"mg %K Pa Pb\r\n", "mg %K k k\r\n", "mg %K q q\r\n", "mg " + strings.Repeat("QUFB", 60) + " b k\r\n",
	"ms %K\r\n", "ms %K x\r\nabc\r\n", "ms %K -1\r\nabc\r\n", "ms %K S3\r\nabc\r\n", "ms %K 3x\r\nabc\r\n", "ms %K 2147483647\r\nabc\r\n",
	"ms %K +3\r\nabc\r\n", "ms %L 3\r\nabc\r\n", "ms %L 3 q\r\nabc\r\n", "ms %K 3 z\r\nabc\r\n", "ms %K 3 z q\r\nabc\r\n", "ms %K 3 k k\r\nabc\r\n",
	"ms %K 3 Mx\r\nabc\r\n", "ms %K 3 Ma\r\nabc\r\n", "ms %K 3 M\r\nabc\r\n", "ms %K 3 MSS\r\nabc\r\n", "ms %K 3 Fx\r\nabc\r\n", "ms %K 3 F-1\r\nabc\r\n",
	"ms %K 3 Tx\r\nabc\r\n", "ms %K 3 Cx\r\nabc\r\n", "ms a! 3 b\r\nabc\r\n", "ms %K 3 E5\r\nabc\r\n",
	"ms %K 3 O" + strings.Repeat("o", 40) + "\r\nabc\r\n", "ms %K 3 a c d e f g h i j k l m n o p q r s t u v\r\nabc\r\n",
	"md %L\r\n", "md %K z\r\n", "md %K k k\r\n", "md %K Cx\r\n", "md %K Tx\r\n", "md a! b\r\n", "md %K E1\r\n", "md %K x\r\n",
	"md %K O" + strings.Repeat("o", 33) + "\r\n",
	"ma %L\r\n", "ma %N z\r\n", "ma %N Dx\r\n", "ma %N D-1\r\n", "ma %N Jx N0\r\n", "ma %N N\r\n", "ma %N MX\r\n", "ma %N M\r\n", "ma %N Cx\r\n", "ma %N Tx\r\n",
	"ma %N v v\r\n", "ma a! b\r\n", "ma %N E1\r\n",
	"me\r\n", "me %L\r\n", "me nope== b\r\n",
}
