package split

// ReservedFlags are the client flags of every item that is not a client's value as it stands: manifests, and wrapped items.
//
// The number is the first four bytes of SHA-256 of "mcproxy split manifest", and fits no scheme in use: Python's clients
// use bits 0 to 4 (0, 1, 2, 4, 16 and 24 were seen), Perl's, Ruby's and Node's the low four bits, Java's the low 16 with
// nothing above bit 11, PHP's a type below 8 in the low four bits, Couchbase's a format of 0 to 4 in bits 24 to 28; the top bit
// keeps it from clients that count in signed numbers. A client that uses it nevertheless loses nothing: its items are
// stored wrapped.
const ReservedFlags uint32 = 0xd914c88f

// ReservedPrefix begins the names of all items that are not under a client's own key: the proxies' own. A client's key with it
// is to be refused (see IsReserved). Hashed keys are hex digits, and those that applications write begin with a letter, a
// digit, an underscore or a slash; one that began with a tilde and this program's name would be meant for it.
const ReservedPrefix = "~mcproxy."

// Refusal is the answer to a request with a reserved key.
const Refusal = "CLIENT_ERROR key is reserved for the proxy\r\n"

// IsReserved says whether a client must not use the key (decoded, if it came as base64).
func IsReserved(key []byte) bool {
	return len(key) >= len(ReservedPrefix) && string(key[:len(ReservedPrefix)]) == ReservedPrefix
}
