package compute_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"tandem/bss/billing/compute"
)

// What a credit note has settled is not given back once more when the period is corrected;
// what it gave for its own sake comes on top, but never more than was charged.
func TestACorrectionAfterACreditNote(t *testing.T) {
	for _, c := range []struct {
		name              string
		corrected, waived int64
		end               string // of a plan of 30.00 for the whole of June, charged in advance
		want              int64
	}{
		{"no credit", 0, 0, "2026-06-16", -1500},
		{"all credited as wrong", 3000, 0, "2026-06-16", 0},
		{"all credited as wrong, and all to be corrected", 3000, 0, "2026-06-01", 0},
		{"less credited than corrected", 500, 0, "2026-06-16", -1000},
		{"more credited than corrected", 2000, 0, "2026-06-16", 0},
		{"goodwill stays", 0, 500, "2026-06-16", -1500},
		{"goodwill and correction are no more than all", 0, 2000, "2026-06-16", -1000},
		{"both", 500, 2000, "2026-06-16", -500},
		{"both, of all", 500, 300, "2026-06-01", -2200},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := account(4, plan("a", "30.00", "2026-06-01", "")) // dated 1 June
			b := mustMake(t, in)
			if len(b.Lines) != 1 || b.Lines[0].Amount != 3000 {
				t.Fatalf("%+v", b.Lines)
			}
			l := b.Lines[0]
			in.Billed = kept(in, b, "bill-0")
			in.Credited = []compute.Credited{{Item: "a", Index: l.Index, Corrected: c.corrected, Waived: c.waived, TaxCategory: l.TaxCategory, TaxRate: l.TaxPercent}}
			in.Items[0].Span.To, in.Items[0].Revision = noon(c.end), 2
			b = mustMake(t, in)
			if sumOf(b.Lines) != c.want {
				t.Errorf("%d, want %d", sumOf(b.Lines), c.want)
			}
			for _, l := range b.Lines {
				if l.Amount != l.Wanted-l.Before+l.Credited {
					t.Errorf("%+v", l)
				}
			}
			in.Billed = append(in.Billed, kept(in, b, "bill-1")...)
			if again := mustMake(t, in); len(again.Lines) > 0 {
				t.Errorf("a second time: %+v", again.Lines)
			}
		})
	}
}

// Whatever is corrected and credited in whatever order: of no period more is given back than
// was charged, a bill leaves nothing for the next one to do, and a discount is no exception.
func TestNoMoreIsGivenBackThanWasCharged(t *testing.T) {
	many(t, 400, func(r *rand.Rand) error {
		in := account(4, plan("a", "30.00", "2026-06-01", ""), plan("d", "-7.00", "2026-06-01", ""))
		in.Items[1].Sort = compute.Discount
		if r.IntN(2) == 0 {
			in.Items[0].TaxIncluded = true
		}
		type period struct {
			item  string
			index int
		}
		charged, credited, tax := map[period]int64{}, map[period]int64{}, map[period]compute.Line{}
		for step := range 12 {
			for again := range 2 {
				b, err := compute.Make(in)
				if err != nil {
					return err
				}
				if again == 1 && len(b.Lines) > 0 {
					return fmt.Errorf("step %d: a second bill has %+v", step, b.Lines)
				}
				for _, l := range b.Lines {
					p := period{l.Item, l.Index}
					charged[p] += l.Amount
					tax[p] = l
				}
				in.Billed = append(in.Billed, kept(in, b, fmt.Sprint("bill", step))...)
			}
			for p, n := range charged {
				if left := n - credited[p]; p.item == "a" && left < 0 || p.item == "d" && left > 0 {
					return fmt.Errorf("step %d: of %v %d were charged and %d given back by credit notes", step, p, n, credited[p])
				}
			}
			periods := slices.SortedFunc(maps.Keys(charged), func(x, y period) int { return cmp.Or(cmp.Compare(x.item, y.item), cmp.Compare(x.index, y.index)) })
			for _, p := range periods { // a credit note gives back no more than is left
				if left := charged[p] - credited[p]; r.IntN(3) == 0 && left != 0 {
					c := compute.Credited{Item: p.item, Index: p.index, TaxCategory: tax[p].TaxCategory, TaxRate: tax[p].TaxPercent, TaxIncluded: tax[p].TaxIncluded}
					some := (1 + r.Int64N(abs(left))) * (left / abs(left))
					if credited[p] += some; r.IntN(2) == 0 {
						c.Waived = some
					} else {
						c.Corrected = some
					}
					in.Credited = append(in.Credited, c)
				}
			}
			for i := range in.Items {
				if r.IntN(2) == 0 {
					it := &in.Items[i]
					it.Revision++
					it.Span.To = mustDate("2026-06-01").AddDays(r.IntN(40)).Start(berlin)
				}
			}
			if r.IntN(4) == 0 {
				in.Index++
			}
		}
		return nil
	})
}

func abs(n int64) int64 { return max(n, -n) }
