package verify

import (
	"fmt"
	"testing"
)

func TestPackedFindsWhatWasAddedAndNothingElse(t *testing.T) {
	var p packed[int]
	const n = 5000
	for i := range n {
		p.add(digest("key", fmt.Sprint(i)), i)
	}
	p.add(digest("key", "7"), -7)
	p.sort()
	for i := range n {
		want := 1
		if i == 7 {
			want = 2
		}
		if found := p.find(digest("key", fmt.Sprint(i))); len(found) != want || i != 7 && found[0].val != i {
			t.Fatalf("%d: %v", i, found)
		}
		if found := p.find(digest("ke", "y"+fmt.Sprint(i))); len(found) != 0 {
			t.Fatalf("parts run together: %v", found)
		}
	}
	p.find(digest("key", "9"))[0].val = 99
	if p.find(digest("key", "9"))[0].val != 99 {
		t.Error("a value found cannot be changed")
	}
}
