package work_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/work"
)

var schemas = []store.Schema{work.Schema(), {Room: "test", Files: fstest.MapFS{"0001.sql": {Data: []byte(`
CREATE TABLE outcome (
	n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL
) STRICT;
`)}}}}

var mno = store.Scope{Tenant: "mno", Actor: "user:ann"}

const patience = 20 * time.Second

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func write(t testing.TB, db *store.DB, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), mno, fn); err != nil {
		t.Fatal(err)
	}
}

func enqueue(t testing.TB, db *store.DB, kind, key string, payload any, at time.Time) {
	t.Helper()
	write(t, db, func(tx *store.Tx) error { return work.Enqueue(tx, kind, key, payload, at) })
}

func start(t testing.TB, r *work.Runner) {
	t.Helper()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
}

func idle(t testing.TB, r *work.Runner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Idle(ctx); err != nil {
		t.Fatal(err)
	}
}

// await receives from c or fails.
func await[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
	}
	return v
}

func finish(db *store.DB, ctx context.Context, j *work.Job, value string) error {
	return db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		tx.Queue("INSERT INTO outcome (tenant, key, value) VALUES ($1, $2, $3)", j.Key, value)
		return j.Finish(tx)
	})
}

func outcomes(t testing.TB, db *store.DB) (all []string) {
	t.Helper()
	err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT key || '=' || value FROM outcome WHERE tenant = $1 ORDER BY n")
		all, err = store.Collect(rows, err, store.Text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantOutcomes(t testing.TB, db *store.DB, want ...string) {
	t.Helper()
	if got := outcomes(t, db); !reflect.DeepEqual(got, want) {
		t.Errorf("outcomes %q, want %q", got, want)
	}
}

func parked(t testing.TB, db *store.DB) (all []work.Parked) {
	t.Helper()
	err := db.Read(t.Context(), mno, func(tx *store.Tx) (err error) {
		all, err = work.ListParked(tx, "", 0, 100)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func jobs(t testing.TB, db *store.DB) (n int64) {
	t.Helper()
	err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
		return tx.Row("SELECT count(*) FROM work_job WHERE tenant = $1").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAJobRunsOnceWithItsOutcome(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		r := work.New(db, quiet(), work.Config{Node: "n1"})
		r.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
			var payload struct{ Value string }
			if err := j.Decode(&payload); err != nil {
				return err
			}
			return finish(db, ctx, j, fmt.Sprintf("%s/%d/%s", payload.Value, j.Attempt, j.Tenant))
		})
		start(t, r)
		enqueue(t, db, "ensure", "a", map[string]string{"Value": "on"}, time.Time{})
		idle(t, r)
		wantOutcomes(t, db, "a=on/1/mno")
		if n := jobs(t, db); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
	})
}

func TestAJobOfARolledBackTransactionNeverRuns(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		r := work.New(db, quiet(), work.Config{})
		r.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error { return finish(db, ctx, j, "done") })
		start(t, r)
		no := errors.New("no")
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			return errors.Join(work.Enqueue(tx, "ensure", "a", nil, time.Time{}), no)
		})
		if !errors.Is(err, no) {
			t.Fatal(err)
		}
		enqueue(t, db, "ensure", "b", nil, time.Time{})
		idle(t, r)
		wantOutcomes(t, db, "b=done")
	})
}

// The runner finishes for a handler that returns nil and wrote no outcome.
func TestAHandlerThatJustReturnsHasFinished(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var runs atomic.Int64
		r := work.New(db, quiet(), work.Config{})
		r.Handle("ensure", work.Options{}, func(context.Context, *work.Job) error { runs.Add(1); return nil })
		start(t, r)
		enqueue(t, db, "ensure", "a", nil, time.Time{})
		idle(t, r)
		if runs.Load() != 1 || jobs(t, db) != 0 {
			t.Errorf("%d runs, %d jobs left", runs.Load(), jobs(t, db))
		}
	})
}

func TestTimersRunInTheOrderOfTheirTimesAndNotBefore(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		r := work.New(db, quiet(), work.Config{})
		early := make(chan string, 10)
		r.Handle("timer", work.Options{Concurrency: 1}, func(ctx context.Context, j *work.Job) error {
			if db.Now().Before(j.RunAt) {
				early <- j.Key
			}
			return finish(db, ctx, j, "rang")
		})
		now := db.Now()
		for i, ms := range []int{300, 100, 400, 0, 200} {
			enqueue(t, db, "timer", fmt.Sprint(i), nil, now.Add(time.Duration(ms)*time.Millisecond))
		}
		enqueue(t, db, "timer", "far", nil, now.Add(time.Hour))
		start(t, r)
		for len(outcomes(t, db)) < 5 {
			if db.Now().After(now.Add(patience)) {
				t.Fatalf("rang only %v", outcomes(t, db))
			}
		}
		wantOutcomes(t, db, "3=rang", "1=rang", "4=rang", "0=rang", "2=rang")
		if len(early) > 0 {
			t.Errorf("timer %s ran before its time", <-early)
		}
		idle(t, r) // the far one does not count
		if n := jobs(t, db); n != 1 {
			t.Errorf("%d jobs left, want the far timer", n)
		}
	})
}

func TestOneJobAKeyUnderARace(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		later := db.Now().Add(time.Hour)
		for i := range 50 {
			wg.Go(func() { enqueue(t, db, "ensure", "a", i, later.Add(time.Duration(i)*time.Second)) })
		}
		wg.Wait()
		if n := jobs(t, db); n != 1 {
			t.Fatalf("%d jobs for one key", n)
		}
		enqueue(t, db, "ensure", "a", "now", time.Time{}) // the earlier time holds, with the new payload
		r := work.New(db, quiet(), work.Config{})
		r.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
			var v string
			return errors.Join(j.Decode(&v), finish(db, ctx, j, v))
		})
		start(t, r)
		idle(t, r)
		wantOutcomes(t, db, "a=now")
	})
}

// What is enqueued during a run is not lost in it.
func TestAnEnqueueDuringTheRunRunsOnceMore(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		begun, more := make(chan struct{}, 4), make(chan struct{})
		r := work.New(db, quiet(), work.Config{})
		r.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
			begun <- struct{}{}
			<-more
			var v int
			return errors.Join(j.Decode(&v), finish(db, ctx, j, fmt.Sprint(v, "/", j.Attempt)))
		})
		start(t, r)
		enqueue(t, db, "ensure", "a", 1, time.Time{})
		await(t, begun, "the first run")
		enqueue(t, db, "ensure", "a", 2, time.Time{})
		enqueue(t, db, "ensure", "a", 3, time.Time{})
		close(more)
		await(t, begun, "the second run")
		idle(t, r)
		wantOutcomes(t, db, "a=1/1", "a=3/1")
		if n := jobs(t, db); n != 0 {
			t.Errorf("%d jobs left", n)
		}
	})
}

// Each failed attempt is in the log; that it is only too early is not a failure.
// A job may end and ask for itself again in one transaction, in either order.
func TestAJobThatAsksForItselfRunsAgain(t *testing.T) {
	for _, finishFirst := range []bool{true, false} {
		storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
			r := work.New(db, quiet(), work.Config{})
			runs := make(chan int, 10)
			n := 0 // one run at a time: it is one job
			r.Handle("daily", work.Options{}, func(ctx context.Context, j *work.Job) error {
				n++
				err := db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
					again := func() error {
						if n == 3 {
							return nil
						}
						return work.Enqueue(tx, j.Kind, j.Key, nil, time.Time{})
					}
					if finishFirst {
						return errors.Join(j.Finish(tx), again())
					}
					return errors.Join(again(), j.Finish(tx))
				})
				runs <- n
				return err
			})
			start(t, r)
			enqueue(t, db, "daily", "round", nil, time.Time{})
			for want := 1; want <= 3; want++ {
				if got := await(t, runs, fmt.Sprintf("run %d", want)); got != want {
					t.Errorf("finished first %v: run %d is number %d", finishFirst, want, got)
				}
			}
			idle(t, r)
			if len(runs) > 0 {
				t.Errorf("finished first %v: it ran again without having asked", finishFirst)
			}
		})
	}
}

func TestEveryFailedAttemptIsLogged(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var out bytes.Buffer // the runner's handler of this kind runs one at a time; read after Stop
		r := work.New(db, slog.New(slog.NewTextHandler(&out, nil)), work.Config{})
		done := make(chan struct{})
		answers := []error{work.Retry(time.Millisecond, nil), errors.New("first"), work.Retry(time.Millisecond, errors.New("second")), nil}
		r.Handle("ensure", work.Options{Concurrency: 1, Backoff: func(int) time.Duration { return time.Millisecond }}, func(context.Context, *work.Job) error {
			err := answers[0]
			if answers = answers[1:]; len(answers) == 0 {
				close(done)
			}
			return err
		})
		start(t, r)
		enqueue(t, db, "ensure", "a", 1, time.Time{})
		await(t, done, "the last run")
		r.Stop()
		log := out.String()
		for _, want := range []string{"err=first", "err=second"} {
			if strings.Count(log, want) != 1 {
				t.Errorf("%s is in the log %d times:\n%s", want, strings.Count(log, want), log)
			}
		}
		if strings.Contains(log, "not yet") || !strings.Contains(log, "kind=ensure") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestAFailedJobIsTriedAgainAndThenParked(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		runs := make(chan int64, 20)
		var healthy atomic.Bool
		r := work.New(db, quiet(), work.Config{})
		fast := func(int) time.Duration { return time.Millisecond }
		r.Handle("ensure", work.Options{MaxAttempts: 3, Backoff: fast}, func(ctx context.Context, j *work.Job) error {
			if healthy.Load() {
				return finish(db, ctx, j, fmt.Sprint("ok/", j.Attempt))
			}
			runs <- j.Attempt
			if j.Attempt == 2 {
				panic("element is mad")
			}
			return errors.New("element is away")
		})
		start(t, r)
		enqueue(t, db, "ensure", "a", 7, time.Time{})
		for want := int64(1); want <= 3; want++ {
			if got := await(t, runs, "a run"); got != want {
				t.Errorf("attempt %d, want %d", got, want)
			}
		}
		idle(t, r)
		all := parked(t, db)
		if len(all) != 1 || all[0].Error != "element is away" || all[0].Attempts != 3 || all[0].Payload != "7" {
			t.Fatalf("parked %+v", all)
		}
		healthy.Store(true)
		write(t, db, func(tx *store.Tx) error { return work.Release(tx, "ensure", "a") })
		idle(t, r)
		wantOutcomes(t, db, "a=ok/1")
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error { return work.Release(tx, "ensure", "a") })
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("released a job that is not parked: %v", err)
		}
	})
}

func TestParkAndRetryOverrideTheBackoff(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		r := work.New(db, quiet(), work.Config{})
		hour := func(int) time.Duration { return time.Hour }
		r.Handle("hopeless", work.Options{}, func(context.Context, *work.Job) error {
			return fmt.Errorf("ensure: %w", work.Park(errors.New("no such SIM")))
		})
		var early atomic.Int64
		r.Handle("early", work.Options{MaxAttempts: 2, Backoff: hour}, func(ctx context.Context, j *work.Job) error {
			if early.Add(1) <= 5 {
				return work.Retry(time.Millisecond, nil) // does not count
			}
			if j.Attempt == 1 {
				return work.Retry(time.Millisecond, errors.New("busy")) // does
			}
			return finish(db, ctx, j, fmt.Sprint(j.Attempt, " after ", j.LastError))
		})
		start(t, r)
		enqueue(t, db, "hopeless", "a", nil, time.Time{})
		enqueue(t, db, "early", "b", nil, time.Time{})
		deadline := time.Now().Add(patience)
		for len(outcomes(t, db)) == 0 && time.Now().Before(deadline) {
		}
		wantOutcomes(t, db, "b=2 after busy")
		idle(t, r)
		if all := parked(t, db); len(all) != 1 || all[0].Error != "ensure: no such SIM" || all[0].Attempts != 1 {
			t.Errorf("parked %+v", all)
		}
	})
}

func TestADroppedJobIsRememberedAndAnEnqueuedParkedOneIsOpenAgain(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var tries atomic.Int64
		r := work.New(db, quiet(), work.Config{})
		r.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
			if tries.Add(1) <= 2 {
				return work.Park(errors.New("no"))
			}
			return finish(db, ctx, j, fmt.Sprint(j.Attempt))
		})
		start(t, r)
		enqueue(t, db, "ensure", "a", nil, time.Time{})
		enqueue(t, db, "ensure", "b", nil, time.Time{})
		idle(t, r)
		if n := len(parked(t, db)); n != 2 {
			t.Fatalf("%d jobs parked, want 2", n)
		}
		write(t, db, func(tx *store.Tx) error { return work.Drop(tx, "ensure", "a", "customer left") })
		enqueue(t, db, "ensure", "b", nil, time.Time{})
		idle(t, r)
		wantOutcomes(t, db, "b=1")
		var actor, reason string
		err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
			return tx.Row("SELECT actor, reason FROM work_dropped WHERE tenant = $1 AND kind = 'ensure' AND key = 'a'").Scan(&actor, &reason)
		})
		if err != nil || actor != "user:ann" || reason != "customer left" {
			t.Errorf("remembered %q %q %v", actor, reason, err)
		}
	})
}

// Who lost the lease cannot write the outcome: here another node takes the job
// over while the first one hangs.
func TestALostLeaseRollsTheOutcomeBack(t *testing.T) {
	config := storetest.Config(t, store.Postgres)
	one, two := storetest.OpenConfig(t, config, schemas...), storetest.OpenConfig(t, config, schemas...)
	begun, resume, refused := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	hanging := work.New(one, quiet(), work.Config{Node: "one", Lease: time.Hour})
	// One at a time: while it hangs it must not take the job over itself.
	hanging.Handle("ensure", work.Options{Concurrency: 1}, func(ctx context.Context, j *work.Job) error {
		close(begun)
		<-resume
		err := finish(one, ctx, j, "from the stale owner")
		refused <- err
		return err
	})
	start(t, hanging)
	enqueue(t, one, "ensure", "a", nil, time.Time{})
	await(t, begun, "the first run")
	// The clock of the lease runs out, as it does when node one stands still.
	write(t, two, func(tx *store.Tx) error {
		tx.Queue("UPDATE work_job SET lease_until = 0 WHERE tenant = $1")
		return nil
	})
	taking := work.New(two, quiet(), work.Config{Node: "two"})
	taking.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
		return finish(two, ctx, j, fmt.Sprint("from the new owner/", j.Attempt))
	})
	start(t, taking)
	idle(t, taking)
	close(resume)
	if err := await(t, refused, "the stale owner's answer"); !errors.Is(err, store.ErrStale) {
		t.Errorf("the stale owner got %v", err)
	}
	hanging.Stop()
	wantOutcomes(t, one, "a=from the new owner/2")
}

func TestALostLeaseCancelsTheContext(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		begun, ended := make(chan struct{}), make(chan error, 1)
		r := work.New(db, quiet(), work.Config{Lease: 90 * time.Millisecond})
		r.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
			close(begun)
			<-ctx.Done()
			err := finish(db, context.WithoutCancel(ctx), j, "too late")
			ended <- err
			return err
		})
		start(t, r)
		enqueue(t, db, "ensure", "a", nil, time.Time{})
		await(t, begun, "the run")
		write(t, db, func(tx *store.Tx) error {
			tx.Queue("UPDATE work_job SET owner = 'another', epoch = epoch + 1, lease_until = 9000000000000000 WHERE tenant = $1")
			return nil
		})
		if err := await(t, ended, "the end of the run"); !errors.Is(err, store.ErrStale) {
			t.Errorf("finish of a lost job: %v", err)
		}
		wantOutcomes(t, db)
	})
}

// A handler that takes longer than the lease keeps it.
func TestALeaseIsRenewedWhileTheHandlerRuns(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		const lease = 60 * time.Millisecond
		var runs atomic.Int64
		r := work.New(db, quiet(), work.Config{Lease: lease})
		r.Handle("long", work.Options{}, func(ctx context.Context, j *work.Job) error {
			runs.Add(1)
			var first, now int64
			for n := 0; n < 4; { // until the lease was renewed several times
				err := db.Read(ctx, j.Scope(), func(tx *store.Tx) error {
					return tx.Row("SELECT lease_until FROM work_job WHERE tenant = $1 AND key = 'a'").Scan(&now)
				})
				if err != nil {
					return err
				}
				if now != first {
					first = now
					n++
				}
			}
			return finish(db, ctx, j, "done")
		})
		start(t, r)
		enqueue(t, db, "long", "a", nil, time.Time{})
		idle(t, r)
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
		wantOutcomes(t, db, "a=done")
	})
}

func TestACancelledJobCannotWriteItsOutcome(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		begun, ended := make(chan struct{}), make(chan error, 1)
		r := work.New(db, quiet(), work.Config{Lease: time.Hour})
		r.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
			close(begun)
			<-ctx.Done() // Cancel reaches a handler on this node at once
			err := finish(db, context.WithoutCancel(ctx), j, "unwanted")
			ended <- err
			return err
		})
		start(t, r)
		enqueue(t, db, "ensure", "a", nil, time.Time{})
		enqueue(t, db, "ensure", "later", nil, db.Now().Add(time.Hour))
		await(t, begun, "the run")
		write(t, db, func(tx *store.Tx) error {
			work.Cancel(tx, "ensure", "a")
			work.Cancel(tx, "ensure", "later")
			return nil
		})
		if err := await(t, ended, "the end of the run"); !errors.Is(err, store.ErrStale) {
			t.Errorf("finish of a cancelled job: %v", err)
		}
		r.Stop()
		wantOutcomes(t, db)
		if n := jobs(t, db); n != 0 {
			t.Errorf("%d jobs left", n)
		}
	})
}

// The process dies while jobs run: the next one runs them again at once on
// SQLite (its leases are void) and after the lease on PostgreSQL.
func TestJobsOfADeadProcessRunAgain(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			config := storetest.Config(t, engine)
			db, err := store.Open(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Migrate(t.Context(), schemas...); err != nil {
				t.Fatal(err)
			}
			lease := time.Hour
			if engine == store.Postgres {
				lease = 100 * time.Millisecond
			}
			begun, never := make(chan struct{}, 4), make(chan struct{})
			dead := work.New(db, quiet(), work.Config{Lease: lease})
			dead.Handle("ensure", work.Options{}, func(context.Context, *work.Job) error {
				begun <- struct{}{}
				<-never
				return errors.New("the dead do not speak")
			})
			if err := dead.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				enqueue(t, db, "ensure", fmt.Sprint(i), nil, time.Time{})
				await(t, begun, "a run")
			}
			db.Close() // nothing it does from here on reaches the store
			next := storetest.OpenConfig(t, config, schemas...)
			r := work.New(next, quiet(), work.Config{})
			r.Handle("ensure", work.Options{Concurrency: 1}, func(ctx context.Context, j *work.Job) error {
				return finish(next, ctx, j, fmt.Sprint(j.Attempt))
			})
			start(t, r)
			idle(t, r)
			wantOutcomes(t, next, "0=2", "1=2", "2=2")
			close(never)
			dead.Stop()
		})
	}
}

// A job that takes the process with it every time ends parked, not in a loop.
func TestAJobThatKillsItsProcessIsParked(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		enqueue(t, db, "deadly", "a", nil, time.Time{})
		write(t, db, func(tx *store.Tx) error { // three lives ended in it
			tx.Queue("UPDATE work_job SET attempt = 3, epoch = 3, owner = 'dead', lease_until = 1 WHERE tenant = $1")
			return nil
		})
		r := work.New(db, quiet(), work.Config{})
		r.Handle("deadly", work.Options{MaxAttempts: 3}, func(ctx context.Context, j *work.Job) error {
			return finish(db, ctx, j, "ran")
		})
		start(t, r)
		idle(t, r)
		wantOutcomes(t, db)
		if all := parked(t, db); len(all) != 1 || !strings.Contains(all[0].Error, "3 times") {
			t.Errorf("parked %+v", all)
		}
	})
}

// Stop waits for a handler that is about to end, and gives back what was cut off.
func TestStopWaitsForRunningHandlers(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		begun, release := make(chan struct{}), make(chan struct{})
		r := work.New(db, quiet(), work.Config{})
		r.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
			close(begun)
			<-release
			return finish(db, ctx, j, "done")
		})
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		enqueue(t, db, "ensure", "a", nil, time.Time{})
		await(t, begun, "the run")
		stopped := make(chan struct{})
		go func() { r.Stop(); close(stopped) }()
		select {
		case <-stopped:
			t.Error("Stop did not wait")
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		await(t, stopped, "Stop")
		wantOutcomes(t, db, "a=done")
	})
}

func TestACutOffJobIsGivenBackWithoutAnAttempt(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		begun := make(chan struct{})
		ctx, cut := context.WithCancel(t.Context())
		r := work.New(db, quiet(), work.Config{Lease: time.Hour})
		r.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		})
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		enqueue(t, db, "ensure", "a", nil, time.Time{})
		await(t, begun, "the run")
		cut()
		r.Stop()
		next := work.New(db, quiet(), work.Config{})
		next.Handle("ensure", work.Options{}, func(ctx context.Context, j *work.Job) error {
			return finish(db, ctx, j, fmt.Sprint(j.Attempt))
		})
		start(t, next)
		idle(t, next)
		wantOutcomes(t, db, "a=1")
	})
}

func TestTwoNodesShareJobsAndRunEachOnce(t *testing.T) {
	config := storetest.Config(t, store.Postgres)
	const count = 400
	dbs := []*store.DB{storetest.OpenConfig(t, config, schemas...), storetest.OpenConfig(t, config, schemas...)}
	var byNode [2]atomic.Int64
	var runners []*work.Runner
	for n, db := range dbs {
		r := work.New(db, quiet(), work.Config{Node: fmt.Sprint(n)})
		r.Handle("ensure", work.Options{Concurrency: 4}, func(ctx context.Context, j *work.Job) error {
			byNode[n].Add(1)
			return finish(db, ctx, j, "x")
		})
		start(t, r)
		runners = append(runners, r)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range count / 4 {
				enqueue(t, dbs[w%2], "ensure", fmt.Sprint(w, "-", i), nil, time.Time{})
			}
		})
	}
	wg.Wait()
	for _, r := range runners {
		idle(t, r)
	}
	all := outcomes(t, dbs[0])
	slices.Sort(all)
	if n := len(slices.Compact(all)); len(all) != count || n != count {
		t.Errorf("%d outcomes of %d jobs, want %d", len(all), n, count)
	}
	if a, b := byNode[0].Load(), byNode[1].Load(); a+b != count {
		t.Errorf("%d + %d runs, want %d", a, b, count)
	}
}

func TestConcurrencyIsKept(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var now, most atomic.Int64
		r := work.New(db, quiet(), work.Config{})
		r.Handle("ensure", work.Options{Concurrency: 3}, func(ctx context.Context, j *work.Job) error {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			return finish(db, ctx, j, "x")
		})
		write(t, db, func(tx *store.Tx) error {
			for i := range 60 {
				if err := work.Enqueue(tx, "ensure", fmt.Sprint(i), nil, time.Time{}); err != nil {
					return err
				}
			}
			return nil
		})
		start(t, r)
		idle(t, r)
		if most.Load() > 3 || len(outcomes(t, db)) != 60 {
			t.Errorf("%d at once, %d outcomes", most.Load(), len(outcomes(t, db)))
		}
	})
}

// BenchmarkClaimAndFinish prints jobs/s from due to finished, with the outcome
// in the finishing transaction, concurrency 32.
func BenchmarkClaimAndFinish(b *testing.B) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		b.Run(engine.String(), func(b *testing.B) {
			db := storetest.Open(b, engine, schemas...)
			for i := 0; i < b.N; i += 500 {
				write(b, db, func(tx *store.Tx) error {
					for n := i; n < min(i+500, b.N); n++ {
						if err := work.Enqueue(tx, "ensure", fmt.Sprint(n), n, time.Time{}); err != nil {
							return err
						}
					}
					return nil
				})
			}
			r := work.New(db, quiet(), work.Config{})
			r.Handle("ensure", work.Options{Concurrency: 32}, func(ctx context.Context, j *work.Job) error {
				return finish(db, ctx, j, "x")
			})
			b.ResetTimer()
			start(b, r)
			idle(b, r)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			if n := len(outcomes(b, db)); n != b.N {
				b.Fatalf("%d outcomes, want %d", n, b.N)
			}
		})
	}
}
