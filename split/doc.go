// Package split keeps a value that is too large, or read too much, for one backend in pieces on all of them: it is the codec
// and the pure steps; the calls, retries and clocks are package pool's.
//
// A split value is its chunks, under names that nobody can guess, and a small manifest under the client's own key on its
// home server. The manifest alone says what the value is: a chunk that no manifest names does not exist.
//
//	write   value ─► Plan ─► Geometry ─► NewManifest(fresh generation) ─► Manifest
//	            each index and copy:  AppendChunkKey, Mark, Bounds of the value ─► set on backend Manifest.Server
//	            when all stand:       Manifest.Append, flags ReservedFlags      ─► the client's own verb and key, on its home
//	            then, if the manifest that was replaced is known: delete its chunks
//
//	read    item on the home server ─► Open ─┬─► Plain, Wrapped: the client's flags and value
//	                                         └─► Split: Manifest ─► Assembler.Start(buffer of Manifest.Length bytes)
//	            each index: a copy from Manifest.Server  ─► Assembler.Add(index, the chunk's client flags, its value)
//	            Assembler.Missing ─► other copies; none left: read the manifest again
//	            Assembler.Value   ─► Item ─► AppendHead or AppendMetaHead, the value, CRLF ─► client
//
// # What must hold outside
//
// The generation is new for every write, of 128 bits from a cryptographic source. The chunks stand before the manifest that
// names them is sent. A manifest that was remembered is used only if the one that is read now equals it (Manifest can be
// compared with ==); the cas number is always the read one's. Chunks are sent with the client's exptime; touch does the
// chunks before the manifest.
//
// Open is called for every item that a client is to see, with the item's client flags, so a read must ask for them: a mg
// whose answer speaks of value, size or flags is sent with f and v added (AppendMetaFlags), and AppendMetaHead takes them out of the
// answer again. A storage command's own flags are looked at before it is sent (ClientFlags, StoredAs): flags that equal
// ReservedFlags are stored wrapped, so what carries them on a server was written by a proxy, and no client can forge a manifest. What is
// no manifest, though it carries the flags, is an error of Open: a miss, and a count.
//
// Servers are numbered as in the pool's list of backends. The manifest holds how many there were, so a backend that is
// added at the list's end leaves every value where readers find it. A number past the end of the reader's own list is a chunk
// that is missing.
//
// # Costs and lives
//
// Nothing here allocates. A Manifest is a plain value. Slices that are returned point into the argument that they came from:
// Stored.Value into the item that was opened, what Assembler gives into the caller's buffer.
package split
