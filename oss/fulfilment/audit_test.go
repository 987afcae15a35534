package fulfilment_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/oss/fulfilment"
)

// standing are the services that stand, by Built; each must be what BuiltOf says.
func (w *wing) standing() (out []fulfilment.Standing) {
	w.Helper()
	scope := store.Scope{Tenant: tenant, Actor: "test"}
	w.ok(fulfilment.Built(w.Context(), w.db, scope, func(s fulfilment.Standing) error {
		out = append(out, s)
		return nil
	}))
	w.read(func(tx *store.Tx) error {
		for _, s := range out {
			one, err := fulfilment.BuiltOf(tx, s.Service)
			if err != nil {
				return err
			}
			if one == nil || one.Suspended != s.Suspended || !slices.Equal(one.Pooled, s.Pooled) || !one.Since.Equal(s.Since) {
				w.Errorf("by itself %+v, among all %+v", one, s)
			}
		}
		return nil
	})
	return out
}

func TestWhatStandsIsTheNewestThatWasConfirmed(t *testing.T) {
	each(t, func(w *wing) {
		a, b := serviceOf(w.through(add("1", "line")), 0), serviceOf(w.through(add("1", "line")), 0)
		w.through(modify("1", a, fulfilment.ServiceInactive))
		held := w.hold(imsi(1))
		under := w.place(remove("1", b))
		all := w.standing()
		if len(all) != 2 || all[0].Service != a || !all[0].Suspended || all[1].Service != b || all[1].Suspended {
			w.Fatalf("standing %+v", all)
		}
		if got := all[0].Pooled; !slices.Contains(got, fulfilment.Pooled{Kind: "sim", Value: iccid(0)}) || !slices.Contains(got, fulfilment.Pooled{Kind: "msisdn", Value: number(0)}) || len(got) != 2 {
			w.Errorf("it has %v from pools", got)
		}
		if in := all[0].Intents; len(in) != 1 || in[0].Key != imsi(0) || in[0].Attributes["cs"] != "false" {
			w.Errorf("its elements hold %+v", in)
		}
		if len(all[0].Services) != 2 || all[0].Services[0] != a {
			w.Errorf("its services are %v", all[0].Services)
		}
		held.Wait(w)
		var keys, open []string
		scope := store.Scope{Tenant: tenant, Actor: "test"}
		w.ok(fulfilment.UnderWay(w.Context(), w.db, scope, func(in fulfilment.Intent) error { keys = append(keys, in.Key); return nil }))
		w.ok(fulfilment.EachOpen(w.Context(), w.db, scope, func(id string) error { open = append(open, id); return nil }))
		if !slices.Equal(keys, []string{imsi(1), imsi(1)}) || !slices.Equal(open, []string{under.ID}) {
			w.Errorf("under way %v in %v", keys, open)
		}
		held.Release()
		w.ends(under.ID, fulfilment.Completed)
		if all := w.standing(); len(all) != 1 || all[0].Service != a {
			w.Errorf("standing %+v", all)
		}
	})
}

// The clock of the node that confirms an order may be behind that of the node that
// confirmed the one before.
func TestWhatStandsIsTheNewestByWhateverClock(t *testing.T) {
	each(t, func(w *wing) {
		line := serviceOf(w.through(add("1", "line")), 0)
		w.through(modify("1", line, "", truth("data", false)))
		for range 2 {
			w.pass(-10 * time.Second)
			w.through(modify("1", line, "", truth("voice", false)))
		}
		w.through(modify("1", line, "", truth("data", true)))
		w.has(imsi(0) + " " + number(0) + " cs=false ps=true")
		if all := w.standing(); len(all) != 1 || all[0].Intents[0].Attributes["cs"] != "false" || all[0].Intents[0].Attributes["ps"] != "true" {
			w.Errorf("standing %+v", all)
		}
		w.pass(-time.Hour)
		w.through(remove("1", line))
		if all := w.standing(); len(all) != 0 {
			w.Errorf("standing %+v", all)
		}
	})
}

// Whatever keeps an order going is taken away behind everybody's back, and Stuck
// says what is missing.
func TestAnOrderThatStandsStillSaysWhy(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.reg.SetFaults(refuse(imsi(0)))
		fallen := w.place(add("1", "line"))
		f := w.fallen(1)[0]
		w.wantStuck(fallen.ID, "")
		w.write(func(tx *store.Tx) error {
			_, err := fulfilment.Fallouts.Edit(tx, f.ID, func(f *fulfilment.Fallout) error { f.State = "resolved"; return nil })
			return err
		})
		w.wantStuck(fallen.ID, "nobody is told")

		tomorrow := func(items ...item) *order {
			return do[order](w, http.MethodPost, orders, &order{RequestedStartDate: w.db.Now().Add(24 * time.Hour), ServiceOrderItem: items})
		}
		exec := func(sql, id string) {
			w.write(func(tx *store.Tx) error {
				_, err := tx.Exec(sql, id)
				return err
			})
		}
		later := tomorrow(add("1", "line"), add("2", "plain-number"), w.after(add("3", "line"), "2"))
		w.wantStuck(later.ID, "")
		exec("DELETE FROM work_job WHERE tenant = $1 AND kind = 'fulfilment.task' AND key IN (SELECT id FROM fulfilment_task WHERE tenant = $1 AND service_order = $2)", later.ID)
		w.wantStuck(later.ID, "no job will do it")
		exec("DELETE FROM work_job WHERE tenant = $1 AND key = $2", later.ID)
		w.wantStuck(later.ID, "no timer waits for it")

		idle := w.place(add("1", "line"), w.after(add("2", "line"), "1"))
		w.ends(idle.ID, fulfilment.Completed)
		w.wantStuck(idle.ID, "")
		w.wantStuck("nobody", "")
	})
}
