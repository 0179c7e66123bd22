// Package bench generates load for memcached text endpoints of any kind, and measures what they answer.
package bench
