//go:build !linux

package bench

func newPoller() (poller, error) { return newPortablePoller(), nil }

// precise does nothing: timers are as exact as the system makes them.
func precise() {}

// cpuTime is not known here.
func cpuTime() (user, system float64) { return 0, 0 }
