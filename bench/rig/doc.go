// Package rig is what measurements of whole proxies are made with: processes on loopback and on cores of their own, what they
// use, and the page that tells what was found.
//
//	Machine     this machine's cores and programs; runs "mcproxy bench"
//	  Fleet     memcacheds, and proxies before them
//	    Child   one process, which ends with this one
//	  Watch     what a process uses, from /proc
//	Spread      a figure that was taken several times
//	Findings    verdicts, which hold spreads against limits, tables and notes
//
// It knows mcproxy by its command line, its configuration file and its JSON alone. It is Linux's, and not safe for use by
// several goroutines.
package rig
