package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"tandem/app/verify"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation"
	aaa "tandem/oss/activation/driver/radius"
)

// labNote marks an element that is the lab's, so that it is found again on a
// stopped store.
const labNote = "the lab's HLR, in this process"

const verifyGrace = 5 * time.Second // what is on its way on a running node takes less

// Open opens the store of a node that is stopped, for those who only read: no
// jobs run, no fact is heard, nobody can log in.
func Open(ctx context.Context, c Config) (*App, error) {
	a := &App{Config: c}
	if a.Database == "" {
		if _, err := os.Stat(filepath.Join(a.Data, "tandem.db")); err != nil {
			return nil, fmt.Errorf("there is no store in %s: %w", a.Data, err)
		}
	}
	if err := a.openStore(ctx); err != nil {
		a.Stop()
		return nil, err
	}
	a.Bus = outbox.New(a.DB, a.Log)
	if err := a.openCharging(ctx, nil); err != nil {
		a.Stop()
		return nil, err
	}
	score(a.Bus, a.Charging) // nobody hears here: it is asked how far they are
	if err := a.openRegister(ctx); err != nil {
		a.Stop()
		return nil, err
	}
	a.connect()
	return a, nil
}

// openRegister finds the host whose logins the access server has, for who only reads.
func (a *App) openRegister(ctx context.Context) error {
	tenants, err := access.Tenants(ctx, a.DB)
	if err != nil {
		return err
	}
	owner := a.Tenant
	for _, t := range tenants {
		if owner == "" && t.Role == "host" {
			owner = t.ID
		}
	}
	a.register = aaa.NewRegister(a.DB, owner, nil)
	return nil
}

// StartElements starts the elements that live in a stopped node's process, the
// lab's, on their state in the data folder. All others run by themselves.
func (a *App) StartElements(ctx context.Context) error {
	tenants, err := access.Tenants(ctx, a.DB)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		var all []activation.Element
		err := a.DB.Read(ctx, store.Scope{Tenant: t.ID, Actor: "system:lab"}, func(tx *store.Tx) (err error) {
			all, err = activation.Elements(tx)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.Owner != t.ID || e.Note != labNote || a.Lab != nil || a.answers(ctx, e) {
				continue
			}
			if _, err := os.Stat(filepath.Join(a.Data, "lab")); err != nil {
				return fmt.Errorf("element %s of %s is the lab's, but its state is not in the data folder: %w", e.Name, t.ID, err)
			}
			a.Tenant = t.ID
			if err := a.startLab(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// answers says whether the lab's element runs in another process, which only a
// store that several processes share allows.
func (a *App) answers(ctx context.Context, e activation.Element) bool {
	if a.Database == "" {
		return false
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", e.Address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Verify proves that network, inventory and billing agree; see package verify.
// It says to progress where it is, and hands each mismatch to found.
func (a *App) Verify(ctx context.Context, progress func(string), found func(verify.Mismatch) error) (verify.Summary, error) {
	return verify.Run(ctx, verify.Config{DB: a.DB, Elements: a.Network, Bus: a.Bus, Charging: a.Charging, Running: a.ready.Load(), Grace: verifyGrace, Progress: progress}, found)
}

// ReportLine is one line of GET /verify/v1/report: one of its three parts. The
// last line is the summary, or an error if the run could not be finished.
type ReportLine struct {
	Progress string           `json:"progress,omitzero"`
	Mismatch *verify.Mismatch `json:"mismatch,omitzero"`
	Summary  *verify.Summary  `json:"summary,omitzero"`
	Error    string           `json:"error,omitzero"`
}

// report is GET /verify/v1/report: the verification of this node as a stream of
// JSON lines. It looks at all tenants, so only a host may ask; one runs at a time.
func (a *App) report(w http.ResponseWriter, r *http.Request) {
	caller, err := a.Guard.Authenticate(r)
	if err == nil {
		err = mayVerify(caller)
	}
	if err == nil && !a.verifying.TryLock() {
		err = fault.Clash("verifying", "A verification runs already on this node; wait for its end")
	}
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	defer a.verifying.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := reportWriter{w: w, c: http.NewResponseController(w)}
	sum, err := a.Verify(r.Context(), func(text string) { _ = out.line(ReportLine{Progress: text}) }, // who went away ends the request's context
		func(m verify.Mismatch) error { return out.line(ReportLine{Mismatch: &m}) })
	if err != nil {
		a.Log.Error("verify", "error", err)
		_ = out.line(ReportLine{Error: "The verification could not be finished; the node's log says why"}) // the client may be gone: nobody is left to tell
		return
	}
	_ = out.line(ReportLine{Summary: &sum}) // as above
}

func mayVerify(c *access.Caller) error {
	switch {
	case !c.Host():
		return fault.Denied("hostOnly", "Only a host may verify: it looks at all tenants")
	case !c.Allow("verify", "report", "read"):
		return fault.Denied("notAllowed", "Your roles do not allow you to read a verification report")
	}
	return nil
}

// reportWriter writes lines that reach the client at once, for as long as it
// takes them.
type reportWriter struct {
	w http.ResponseWriter
	c *http.ResponseController
}

const lineTimeout = 30 * time.Second // for a client to take a line

func (o reportWriter) line(l ReportLine) error {
	b, err := tmf.Encode(l)
	if err != nil {
		return err
	}
	if err := o.c.SetWriteDeadline(time.Now().Add(lineTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := o.w.Write(append(b, '\n')); err != nil {
		return err
	}
	if err := o.c.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
