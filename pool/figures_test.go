package pool_test

import (
	"reflect"
	"testing"

	"mcproxy/pool"
)

// TestSplitFiguresAdd adds figures that have another number in each field.
func TestSplitFiguresAdd(t *testing.T) {
	var sum, other pool.SplitFigures
	for v, i := reflect.ValueOf(&other).Elem(), 0; i < v.NumField(); i++ {
		v.Field(i).SetUint(uint64(i + 1))
	}
	sum.Add(&other)
	sum.Add(&other)
	for v, i := reflect.ValueOf(sum), 0; i < v.NumField(); i++ {
		if got := v.Field(i).Uint(); got != 2*uint64(i+1) {
			t.Errorf("%s: %d and %d are %d", v.Type().Field(i).Name, i+1, i+1, got)
		}
	}
}
