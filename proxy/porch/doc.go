// Package porch is where clients come in: sockets that listen, opened anew or taken over from another process, and the way from there
// into the house, through a TLS handshake if the listener's door asks for one.
package porch
