package fulfilment_test

import (
	"strings"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// Keys that this node cannot open, because it has another sealing key, do not
// leave the order alone in the dark.
func TestKeysThatDoNotOpenFallOut(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		seal := func(sealed []byte) {
			w.write(func(tx *store.Tx) error {
				n, err := tx.Exec("UPDATE inventory_sim SET sealed = $3 WHERE tenant = $1 AND iccid = $2", iccid(0), sealed)
				if n != 1 {
					w.Errorf("%d cards", n)
				}
				return err
			})
		}
		var own []byte
		w.read(func(tx *store.Tx) error {
			sim, err := inventory.SIMOf(tx, iccid(0))
			own = sim.Sealed
			return err
		})
		seal([]byte("sealed elsewhere"))
		o := w.place(add("1", "line", tmf.Text("iccid", iccid(0))))
		f := w.fallen(1)
		if f[0].Class != "unknown" || !strings.Contains(f[0].Cause, "keys of SIM "+iccid(0)) {
			w.Errorf("fallout %+v", f[0])
		}
		seal(own)
		w.decide("retry", "the node has the right key now", f)
		w.ends(o.ID, fulfilment.Completed)
	})
}

// The element agrees, and our own books cannot be written: a person sees that too.
func TestAnOutcomeThatCannotBeWrittenFallsOut(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		b := w.hold(imsi(0))
		o := w.place(add("1", "line", tmf.Text("iccid", iccid(0))), w.after(add("2", "line"), "1"))
		b.Wait(w)
		broken := func(sql string) {
			w.write(func(tx *store.Tx) error {
				_, err := tx.Exec(sql, o.ID)
				return err
			})
		}
		broken(`INSERT INTO fulfilment_arrow (tenant, before, after) SELECT tenant, id, 'nowhere' FROM fulfilment_task WHERE tenant = $1 AND service_order = $2 AND item = '1'`)
		b.Release()
		f := w.fallen(1)
		if f[0].Class != "unknown" || f[0].Item != "1" {
			w.Errorf("fallout %+v", f[0])
		}
		w.wantService(serviceOf(o, 0), inventory.Reserved)
		broken(`DELETE FROM fulfilment_arrow WHERE tenant = $1 AND after = 'nowhere' AND $2 <> ''`)
		w.decide("retry", "mended", f)
		w.ends(o.ID, fulfilment.Completed)
	})
}

// An element that its owner has taken out of service is not tried: however long
// that lasts, it uses up no attempt, and the order goes on when it is back.
func TestMaintenanceUsesUpNoAttempts(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.configure(outOfService)
		o := w.place(add("1", "line"))
		for range 3 {
			w.idle()
			w.pass(2 * time.Minute)
		}
		w.fallen(0)
		if n := w.count("SELECT sum(attempt) FROM fulfilment_task WHERE tenant = $1"); n != 0 {
			w.Errorf("%d attempts at an element that was asked nothing", n)
		}
		if n := w.count("SELECT attempt FROM work_job WHERE tenant = $1 AND kind = 'fulfilment.task'"); n < 2 {
			w.Errorf("the job ran %d times", n)
		}
		w.configure(asItWas)
		w.pass(2 * time.Minute)
		w.ends(o.ID, fulfilment.Completed)
	})
}
