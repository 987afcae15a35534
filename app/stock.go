package app

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"

	"tandem/app/mobile"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
)

// Stock is how numbers and SIM cards come into the pools (TMF685) from outside.
// No TM Forum API carries the keys of cards: they are taken here, sealed before
// they are stored, and shown, logged or told to nobody again.
//
//	POST /tandem-api/stock/v1/number   {"pool":"msisdn","first":"4917...","last":"4917..."} or {"pool","values":[...]}
//	POST /tandem-api/stock/v1/simCard  {"pool":"sim","cards":[{"iccid","imsi","k","opc","form"}]}
const stockBase = "/tandem-api/stock/v1/"

const maxStockBody = 4 << 20 // bytes: some twenty thousand cards

func (a *App) stockRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST "+stockBase+"number", a.stock("number", addNumbers))
	mux.HandleFunc("POST "+stockBase+"simCard", a.stock("simCard", a.addCards))
}

// delivery is what came in, as it is answered and audited: without what is secret.
type delivery struct {
	Pool  string `json:"pool"`
	Added int    `json:"added"`
	First string `json:"first"`
	Last  string `json:"last"`
}

// stock answers a delivery of one kind; take writes it. Who may do so has the
// permission to create this kind in TMF685.
func (a *App) stock(kind string, take func(*store.Tx, []byte) (delivery, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, err := a.deliver(w, r, kind, take)
		if err != nil {
			tmf.WriteError(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusCreated)
		_ = json.MarshalWrite(w, d) // the client went away: nobody is left to tell
	}
}

func (a *App) deliver(w http.ResponseWriter, r *http.Request, kind string, take func(*store.Tx, []byte) (delivery, error)) (d delivery, err error) {
	caller, err := a.Guard.Authenticate(r)
	if err != nil {
		return d, err
	}
	if !caller.Allow(inventory.PoolAPI.ID, kind, tmf.VerbCreate) {
		return d, fault.Denied("notAllowed", "You may not add a %s; ask your administrator for the permission", kind)
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return d, fault.New(fault.Unsupported, "unsupportedMediaType", "POST takes application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxStockBody))
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return d, fault.New(fault.TooLarge, "bodyTooLarge", "A delivery has at most %d bytes; send it in parts", maxStockBody)
	}
	if err != nil {
		return d, fault.BadInput("bodyIncomplete", "The request body ended early")
	}
	err = a.DB.Write(r.Context(), store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}, func(tx *store.Tx) error {
		if d, err = take(tx, body); err != nil {
			return err
		}
		return access.Audit(tx, "stock."+kind, "pool:"+d.Pool, nil, d)
	})
	return d, err
}

// readDelivery reads a body; its refusal does not quote the body, which may hold keys.
func readDelivery(body []byte, v any) error {
	if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
		return fault.BadInput("malformedJSON", "The body is not a delivery: an object with the attributes of this route and nothing else")
	}
	return nil
}

func addNumbers(tx *store.Tx, body []byte) (delivery, error) {
	var in struct {
		Pool   string   `json:"pool"`
		First  string   `json:"first"`
		Last   string   `json:"last"`
		Values []string `json:"values"`
	}
	if err := readDelivery(body, &in); err != nil {
		return delivery{}, err
	}
	if n := len(in.Values); n > 0 && in.First == "" && in.Last == "" {
		return delivery{in.Pool, n, in.Values[0], in.Values[n-1]}, inventory.AddNumbers(tx, in.Pool, in.Values)
	}
	if len(in.Values) > 0 {
		return delivery{}, fault.BadInput("ambiguousDelivery", "Give either first and last, or values")
	}
	n, err := inventory.AddRange(tx, in.Pool, in.First, in.Last)
	return delivery{in.Pool, n, in.First, in.Last}, err
}

func (a *App) addCards(tx *store.Tx, body []byte) (delivery, error) {
	var in struct {
		Pool  string `json:"pool"`
		Cards []struct {
			ICCID string `json:"iccid"`
			IMSI  string `json:"imsi"`
			K     string `json:"k"`
			OPc   string `json:"opc"`
			Form  string `json:"form"`
		} `json:"cards"`
	}
	if err := readDelivery(body, &in); err != nil {
		return delivery{}, err
	}
	if len(in.Cards) == 0 {
		return delivery{}, fault.BadInput("mandatoryAttributeMissing", "cards is required")
	}
	cards := make([]mobile.Card, len(in.Cards))
	for i, c := range in.Cards {
		cards[i] = mobile.Card{ICCID: c.ICCID, IMSI: c.IMSI, Form: c.Form}
		for _, key := range []struct {
			name, text string
			to         *[16]byte
		}{{"k", c.K, &cards[i].K}, {"opc", c.OPc, &cards[i].OPc}} {
			if len(key.text) != 2*len(key.to) || !hexInto(key.to, key.text) {
				return delivery{}, fault.BadInput("badKey", "cards[%d].%s is not a key of %d hexadecimal digits", i, key.name, 2*len(key.to))
			}
		}
	}
	if err := mobile.AddCardsTo(tx, a.Sealer, in.Pool, cards); err != nil {
		return delivery{}, fmt.Errorf("SIM cards: %w", err)
	}
	return delivery{in.Pool, len(cards), cards[0].ICCID, cards[len(cards)-1].ICCID}, nil
}

func hexInto(to *[16]byte, text string) bool {
	_, err := hex.Decode(to[:], []byte(text))
	return err == nil
}
