// Package route says which pool a key goes to, and what it means for the keys when that changes.
package route
