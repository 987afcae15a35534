package verify_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tandem/app/mobile"
	"tandem/bss/revenue"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// assure runs controls of the brand on the running node, and says what they find by class
// and key.
func (o *operator) assure(controls ...string) (out []string) {
	o.t.Helper()
	r := &revenue.ControlRun{}
	for _, c := range controls {
		r.Control = append(r.Control, tmf.Ref{ID: c})
	}
	o.write(brand, func(tx *store.Tx) error { return revenue.ControlRuns.OnPost(tx, r) })
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	if err := o.Runner.Idle(ctx); err != nil {
		o.t.Fatal(err)
	}
	var all []*revenue.Finding
	o.read(func(tx *store.Tx) (err error) {
		if r, err = revenue.ControlRuns.Get(tx, r.ID); err == nil {
			all, err = revenue.Findings.Select(tx, tmf.Where{"state": revenue.Open}, tmf.Page{})
		}
		return err
	})
	for _, c := range r.Result {
		if c.State != revenue.Done || c.Young != 0 {
			o.t.Fatalf("%+v", c)
		}
	}
	for _, f := range all {
		money := ""
		if f.Monthly != nil {
			money = " " + f.Monthly.Decimal()
		}
		out = append(out, fmt.Sprintf("%s %s %s%s", f.Control.ID, f.Class, f.Key, money))
	}
	slices.Sort(out)
	return out
}

// Controls on a node with a real register: what orders have done is clean, and what
// is changed on the element or behind the program's back is found.
func TestControlsOfARunningNode(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		l := o.stories()
		all := []string{"R1", "R2", "R4", "R5", "R14", "R16", "R27"}
		for _, c := range all {
			o.write(brand, func(tx *store.Tx) error {
				old, err := revenue.Controls.Get(tx, c)
				if err != nil {
					return err
				}
				own := *old
				own.Patience = "PT0S"
				return revenue.Controls.OnPatch(tx, old, &own)
			})
		}
		if found := o.assure(all...); len(found) != 0 {
			t.Fatalf("in a clean node controls find\n%s", strings.Join(found, "\n"))
		}
		c := o.element()
		o.ok(c.Delete(t.Context(), l.renumbered.imsi))
		o.ok(c.SetCS(t.Context(), l.barred.imsi, true))
		o.sql("DELETE FROM subscription_product WHERE tenant = $1 AND id = $2", l.swapped.product)
		o.sql("UPDATE charging_entry SET amount = amount + 1000000000 WHERE tenant = $1 AND number = (SELECT min(number) FROM charging_entry WHERE tenant = $1)")
		found := o.assure(all...)
		for _, want := range []string{"R1 notOnElement " + mobile.Element + "/" + l.renumbered.imsi + " 19.99", "R1 otherOnElement " + mobile.Element + "/" + l.barred.imsi + " 29.99",
			"R2 noProduct " + l.swapped.service + "/noProduct", "R2 orphan " + l.swapped.product + "/orphan 29.99", "R16 walletDiffers"} {
			if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, want) }) {
				t.Errorf("not found: %s", want)
			}
		}
		if len(found) != 5 {
			t.Errorf("controls find\n%s", strings.Join(found, "\n"))
		}
		var listed int64
		listed, _, _, err := o.Assurance().Network.Drifts(t.Context(), host, func(d revenue.Drift) error {
			t.Errorf("the host finds %+v", d)
			return nil
		})
		if err != nil || listed == 0 {
			t.Errorf("the host's element lists %d: %v", listed, err)
		}
		_, err = c.Create(t.Context(), "240990000000001")
		o.ok(err)
		var strangers []string
		if _, _, _, err := o.Assurance().Network.Drifts(t.Context(), host, func(d revenue.Drift) error {
			strangers = append(strangers, d.Class+" "+d.Key)
			return nil
		}); err != nil || !slices.Equal(strangers, []string{"stranger 240990000000001"}) {
			t.Errorf("the host finds %v: %v", strangers, err)
		}
	})
}
