package e2e

import (
	"testing"
	"time"
)

// TestNoticesDifferential shows that the differential suite sees each fault within a fraction of its commands. The last
// case is its own control: the relay without a fault.
func TestNoticesDifferential(t *testing.T) {
	for name := range faults {
		t.Run(name, func(t *testing.T) {
			d := &differential{seed: seed(t), service: brokenService(t, 500, name), direct: startMemcached(t), timeout: 2 * time.Second}
			if failures := d.compare(2, 10_000); len(failures) == 0 {
				t.Error("nothing noticed")
			} else {
				t.Logf("noticed: %.300v", failures[0].miss)
			}
		})
	}
	t.Run("no fault", func(t *testing.T) {
		mc := startMemcached(t)
		relay := startRelay(t, endpointOf(mc), func(_ int64, answer unit, _ *unit) []byte { return answer })
		d := &differential{seed: seed(t), service: &service{endpoint: relay, memcached: true}, direct: startMemcached(t)}
		for _, f := range d.compare(2, 10_000) {
			t.Error(f.miss)
		}
	})
}
