package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"time"

	"tandem/bss/charging/core"
	"tandem/edge/credit"
	"tandem/kit/journal"
	"tandem/kit/store"
)

// unpaged is a journal without snapshots: all of it must be replayed.
type unpaged struct {
	*journal.Log
	records int64
}

func (*unpaged) Load(context.Context, journal.Set, func(journal.Page) error) error { return nil }
func (*unpaged) Save(context.Context, []journal.Page) error                        { return nil }

func (u *unpaged) Replay(ctx context.Context, after int64, want journal.Set, fn func(int64, *journal.Batch) error) error {
	return u.Log.Replay(ctx, after, want, func(seq int64, b *journal.Batch) error {
		u.records += int64(b.Records)
		return fn(seq, b)
	})
}

// worth is what all accounts hold.
type worth struct{ Accounts, Value, Held, Sessions int64 }

func (r *chargingRig) worth(e *core.Engine) (w worth, err error) {
	for i := range r.o.Accounts {
		err = e.Look(refOf(i), func(a *core.Account) {
			w.Accounts++
			for _, b := range a.Buckets {
				w.Value += b.Value / 1e6 // so that the sum fits
				w.Held += b.Held / 1e6
			}
		})
		if err != nil {
			return w, err
		}
	}
	return w, nil
}

// replayed stops the node, builds everything anew from the journal alone, as if no
// snapshot had ever been made, and compares; then it starts the node again as it
// always does, until that has answered a request.
func (r *chargingRig) replayed(ctx context.Context, res *Result) error {
	was, err := r.worth(r.Charging.Engine)
	if err != nil {
		return err
	}
	book := r.Charging.Engine.Book
	r.Stop()
	runtime.GC()
	user, system := processCPU()
	took, records, now, err := r.replay(ctx, book)
	if err != nil {
		return err
	}
	toUser, toSystem := processCPU()
	res.Own["replay_cpu_seconds"] = (toUser - user + toSystem - system).Seconds()
	res.Own["replayed_records"], res.Own["replay_seconds"], res.Own["replayed_per_second"] = records, took.Seconds(), float64(records)/took.Seconds()
	if records < r.o.Replay {
		res.fail("only %d records were there to replay", records)
	}
	if now != was {
		res.fail("the replay made %+v of %+v", now, was)
	}
	began := time.Now()
	if err := r.start(ctx); err != nil {
		return err
	}
	call := &credit.Call{}
	c := &caller{load: &traffic{rig: r}, name: fmt.Appendf(nil, "%s;%d;again", gateway, r.began.UnixNano()), msisdn: fmt.Append(nil, firstNumber)}
	c.data(credit.Initial, 0)
	call.Request = c.call.Request
	if credit.Do(r.Charging.Engine, call); call.Answer.Result != credit.Success {
		return errors.New("the first request after the restart was refused: " + call.Answer.Result.String())
	}
	res.Own["restart_seconds"] = time.Since(began).Seconds()
	return nil
}

func (r *chargingRig) replay(ctx context.Context, book *core.Book) (took time.Duration, records int64, now worth, err error) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	c := store.Config{URL: r.o.Database, Log: quiet}
	if c.URL == "" {
		c.Path, c.Checkpoint = filepath.Join(r.o.Data, "charging", "journal.db"), journal.Checkpoint
	}
	db, err := store.Open(ctx, c)
	if err != nil {
		return 0, 0, now, err
	}
	defer db.Close()
	from := &unpaged{Log: journal.New(db, "charging", journal.Options{Holder: "replay", Log: quiet})}
	e := core.New(core.Config{Book: book, Journal: from, Log: quiet})
	began := time.Now()
	if err := e.Start(ctx); err != nil {
		return 0, 0, now, err
	}
	took = time.Since(began)
	now, err = r.worth(e)
	return took, from.records, now, errors.Join(err, e.Close(ctx))
}
