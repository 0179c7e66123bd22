// Package keystone knows what OpenStack's Keystone keeps in memcached: its keys, its cached values, and the token lists of releases
// up to Kilo.
//
// Values come from a cache, which others may have written to. They are read as data: Decode makes texts, numbers, lists and
// dictionaries of a pickle, and of a class no more than its name. What is too long, too deep or too much is an error.
package keystone
