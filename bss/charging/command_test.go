package charging_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/fact"
	"tandem/kit/store"
)

func (w *world) commands(state, product string) int64 {
	return w.count("mno", "SELECT count(*) FROM charging_command WHERE tenant = $1 AND state = $2 AND product = $3", state, product)
}

// A number goes from one customer to another: the order of the one may come before the
// end of the other, and then waits for it, but not for ever.
func TestALineWaitsForItsNumber(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		w.order("mno", "p2", "prepaid", "491510001")
		w.sell("mno", "p3", "prepaid", "491510003") // was ordered later, so p2 was tried
		if n := w.commands("pending", "p2"); n != 1 {
			t.Fatalf("the line did not wait for its number: %d pending, %d refused", n, w.commands("refused", "p2"))
		}
		end := func(product string) {
			err := w.db.Write(t.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
				return w.room.End(tx, fact.ProductTerminated{Product: product, At: tx.Now()})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		end("p1")
		w.await("the line p2", func() bool { return w.commands("done", "p2") == 1 })
		w.eats("491510001", "a", mib)
		w.order("mno", "p4", "prepaid", "491510001")
		w.change("UPDATE charging_command SET at = at - $2 WHERE tenant = $1 AND product = 'p4'", (16 * time.Minute).Microseconds())
		w.await("the line p4 to be refused", func() bool { return w.commands("refused", "p4") == 1 })
	})
}

// A node carries out commands, and another writes their outcome down: the first does
// not remember them for ever.
func TestCarriedOutCommandsAreForgotten(t *testing.T) {
	defer charging.FlightTime(50 * time.Millisecond)()
	each(t, func(w *world) {
		if err := w.room.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		decides, projects := w.onlooker(), w.onlooker()
		if err := decides.StartWithoutProjector(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := projects.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Cleanup(func() {
			for _, r := range []*charging.Room{decides, projects} {
				if err := r.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
		w.room = decides
		w.sell("mno", "p1", "prepaid", "491510001")
		w.sell("mno", "p2", "prepaid", "491510002")
		w.await("the commands to be forgotten", func() bool { return decides.Flights() == 0 })
	})
}

// Commands that were carried out are read by their numbers, however many the tenant has
// given: the plan is the proof, as a few dozen rows are read fast either way.
func TestCommandsAreReadByTheirNumbers(t *testing.T) {
	explain := map[store.Dialect][2]string{store.SQLite: {"EXPLAIN QUERY PLAN ", "INTEGER PRIMARY KEY"}, store.Postgres: {"EXPLAIN ", "charging_command_pkey"}}
	each(t, func(w *world) {
		how := explain[w.db.Dialect()]
		numbers := make([]any, 64)
		for i := range numbers {
			numbers[i] = int64(i + 1)
		}
		var plan []string
		err := w.db.Read(t.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
			rows, err := tx.Query(how[0]+charging.CommandsByNumber+store.In(2, len(numbers))+")", numbers...)
			plan, err = store.Collect(rows, err, func(r store.Rows) (line string, err error) {
				if tx.Dialect() == store.Postgres {
					return line, r.Scan(&line)
				}
				var id, parent, unused int64
				err = r.Scan(&id, &parent, &unused, &line)
				return line, err
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(plan, "\n"), how[1]) {
			t.Errorf("they are read by\n%s", strings.Join(plan, "\n"))
		}
	})
}
