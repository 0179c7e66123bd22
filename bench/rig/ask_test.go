package rig

import "testing"

func TestParseMetric(t *testing.T) {
	const text = "# HELP a_total x\na_total{pool=\"main\",way=\"copy\"} 3\na_total{pool=\"main\",way=\"home\"} 4\n"
	for label, want := range map[string]float64{`way="copy"`: 3, `pool="main"`: 7} {
		if v, err := parseMetric(text, "a_total", []string{label}); err != nil || v != want {
			t.Errorf("parseMetric(%s) = %v, %v, want %v", label, v, err, want)
		}
	}
	if v, err := parseMetric(text, "a", nil); err == nil {
		t.Errorf("a metric that is not there is %v", v)
	}
}
