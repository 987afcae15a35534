package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"tandem/bss/billing"
	"tandem/bss/billing/render"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// withPaper serves bills as people read them beside the API, on the store of a stopped node.
func withPaper(db *store.DB, api http.Handler, who func(*http.Request) (*tmf.Caller, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", api)
	(&render.Server{DB: db, Authenticate: who}).Routes(mux, func(h http.Handler) http.Handler { return h })
	return mux
}

// paper is in which form a bill is shown, and where it goes.
type paper struct{ format, usage, output string }

// billShow writes a bill as people or programs read it, to a file or to standard output.
func billShow(ctx context.Context, d *desk, names []string) error {
	name, err := one(names, "bill")
	if err != nil {
		return err
	}
	id, err := d.billNamed(ctx, name)
	if err != nil {
		return err
	}
	query := url.Values{"format": {d.paper.format}}
	if d.paper.usage != "" {
		query.Set("usage", d.paper.usage)
	}
	data, err := d.get(ctx, billing.BillAPI.Base+"/customerBill/"+url.PathEscape(id)+"/document?"+query.Encode())
	if err != nil {
		return err
	}
	if d.paper.output != "" {
		return os.WriteFile(d.paper.output, data, 0o600)
	}
	if f, ok := d.out.(*os.File); ok && d.paper.format == render.PDF && terminal(f) {
		return errors.New("a PDF is not for a terminal: say where it goes by --output FILE")
	}
	_, err = d.out.Write(data)
	return err
}

func terminal(f *os.File) bool {
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}

// billNamed is the id of a bill that is named by its id or its number.
func (d *desk) billNamed(ctx context.Context, name string) (string, error) {
	for _, by := range []string{"id", "billNo"} {
		data, err := d.get(ctx, billing.BillAPI.Base+"/customerBill?fields=id&"+by+"="+url.QueryEscape(name))
		if err != nil {
			return "", err
		}
		var found []struct {
			ID string `json:"id"`
		}
		if err := tmf.Decode(data, &found); err != nil {
			return "", err
		}
		if len(found) > 1 {
			return "", fmt.Errorf("there are %d bills %q: say its id", len(found), name)
		}
		if len(found) == 1 {
			return found[0].ID, nil
		}
	}
	return "", fmt.Errorf("there is no bill %q", name)
}

// get reads what a path gives.
func (d *desk) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := d.ask(r)
	if err != nil {
		return nil, err
	}
	return answered(res)
}
