package bench

import (
	"io"
	"testing"
)

// The benchmark draws what it says it draws.
func TestRender(t *testing.T) {
	r, err := Render(t.Context(), Options{Out: io.Discard, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	short, long := r.Own["pdf_7_lines_octets"].(int), r.Own["pdf_2000_records_octets"].(int)
	if r.PerSecond <= 0 || r.FloorPerSecond <= 0 || short < 10_000 || long < 5*short {
		t.Errorf("%+v", r)
	}
}
