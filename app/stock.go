package app

import (
	"encoding/hex"
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"tandem/app/mobile"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
)

// SIM cards come into a pool (TMF685) through this route: no TM Forum API carries
// the keys of cards. They are sealed before they are stored, and shown, logged or
// told to nobody again. Numbers come by TMF685's push.
//
//	POST /tandem-api/stock/v1/simCard  {"pool":"sim","cards":[{"iccid":"8949...","imsi":"26201...","k":"00..","opc":"00.."}]}
const stockRoute = "/tandem-api/stock/v1/simCard"

const (
	maxStockBody = 1 << 20 // bytes: some five thousand cards
	cardKind     = "simCard"
)

// delivery is what came in, as it is answered and audited: without what is secret.
type delivery struct {
	Pool  string `json:"pool"`
	Added int    `json:"added"`
	First string `json:"first"`
	Last  string `json:"last"`
}

// postCards answers a delivery of cards. Who may send one has the permission to
// create a simCard in TMF685.
func (a *App) postCards(w http.ResponseWriter, r *http.Request) {
	d, err := a.takeCards(w, r)
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	_ = json.MarshalWrite(w, d) // the client went away: nobody is left to tell
}

func (a *App) takeCards(w http.ResponseWriter, r *http.Request) (d delivery, err error) {
	caller, err := a.Guard.Authenticate(r)
	if err != nil {
		return d, err
	}
	if !caller.Allow(inventory.PoolAPI.ID, cardKind, tmf.VerbCreate) {
		return d, fault.Denied("notAllowed", "You may not add SIM cards; ask your administrator for the permission")
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return d, fault.New(fault.Unsupported, "unsupportedMediaType", "POST takes application/json")
	}
	body, err := tmf.ReadBody(w, r, maxStockBody)
	if err != nil {
		return d, err
	}
	err = a.DB.Write(r.Context(), store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}, func(tx *store.Tx) error {
		if d, err = a.addCards(tx, body); err != nil {
			return err
		}
		return access.Audit(tx, "stock."+cardKind, "pool:"+d.Pool, nil, d)
	})
	return d, err
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
	if err := json.Unmarshal(body, &in, json.RejectUnknownMembers(true)); err != nil { // the error would quote the body
		return delivery{}, fault.BadInput("malformedJSON", "The body is not a delivery: pool, and cards with iccid, imsi, k, opc and form")
	}
	if strings.ContainsRune(in.Pool, 0) {
		return delivery{}, fault.BadInput("badText", "pool contains a NUL character")
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
		return delivery{}, err
	}
	return delivery{in.Pool, len(cards), cards[0].ICCID, cards[len(cards)-1].ICCID}, nil
}

func hexInto(to *[16]byte, text string) bool {
	_, err := hex.Decode(to[:], []byte(text))
	return err == nil
}
