// Package mobile is the mobile SIM as a product that an operator can start with:
// specifications of network and services, and a small catalogue, as documents
// that pass through the same doors as any other.
//
//	productOffering Prepaid | Flat M | Flat L  <── optionalFor ── 5 GB pack
//	   └─ productSpecification Mobile SIM
//	        └─ CFS Mobile line ─ RFS Mobile access ─┬─ SIM card       (pool sim)
//	                                                ├─ MSISDN         (pool msisdn)
//	                                                └─ HLR subscriber (element hlr)
package mobile

import (
	"cmp"
	_ "embed"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/kit/access"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
	"tandem/oss/spec"
)

// Ids of what Install makes.
const (
	NumberPool = "msisdn"
	CardPool   = "sim"
	Element    = "hlr"
	Prepaid    = "mobile-prepaid"
	FlatM      = "mobile-flat-m"
	FlatL      = "mobile-flat-l"
	Pack       = "mobile-pack-5" // 5 GB on top of any of them
)

// rest is how long a number or card that was in use is given to nobody: whoever
// still dials it must not reach a stranger.
const rest = 90 * 24 * time.Hour

//go:embed network.json
var network []byte

//go:embed catalogue.json
var catalogue []byte

// entry is one document with the kind it belongs to.
type entry struct {
	Kind string         `json:"kind"`
	Doc  jsontext.Value `json:"doc"`
}

// Install puts specifications, catalogue and empty pools into the tenant.
func Install(tx *store.Tx) error {
	for _, p := range []inventory.Pool{
		{ID: NumberPool, Kind: "msisdn", Name: "Mobile numbers", Quarantine: rest}, {ID: CardPool, Kind: "sim", Name: "SIM cards", Quarantine: rest}} {
		if err := inventory.NewPool(tx, p); err != nil {
			return err
		}
	}
	return Documents(tx, network, catalogue)
}

// Documents creates what files list: an array of {"kind", "doc"}, of the kinds of Kinds.
func Documents(tx *store.Tx, files ...[]byte) error {
	for _, file := range files {
		var entries []entry
		if err := tmf.Decode(file, &entries); err != nil {
			return err
		}
		for _, e := range entries {
			if err := e.create(tx); err != nil {
				return fmt.Errorf("%s %.60s: %w", e.Kind, e.Doc, err)
			}
		}
	}
	return nil
}

// Kinds are those of which Install makes resources.
func Kinds() []tmf.Mounted {
	return []tmf.Mounted{&inventory.ResourcePools, &spec.ResourceSpecifications, &spec.ServiceSpecifications,
		&catalog.Specs, &catalog.Categories, &catalog.OfferingPrices, &catalog.Offerings}
}

func (e entry) create(tx *store.Tx) error {
	switch e.Kind {
	case "resourceSpecification":
		return create(tx, &spec.ResourceSpecifications, e.Doc)
	case "serviceSpecification":
		return create(tx, &spec.ServiceSpecifications, e.Doc)
	case "productSpecification":
		return create(tx, &catalog.Specs, e.Doc)
	case "category":
		return create(tx, &catalog.Categories, e.Doc)
	case "productOfferingPrice":
		return create(tx, &catalog.OfferingPrices, e.Doc)
	case "productOffering":
		return create(tx, &catalog.Offerings, e.Doc)
	}
	return fmt.Errorf("no kind %q", e.Kind)
}

func create[T any, P tmf.Pointer[T]](tx *store.Tx, k *tmf.Kind[T, P], doc []byte) error {
	p := P(new(T))
	if err := tmf.Decode(doc, p); err != nil {
		return err
	}
	return k.Create(tx, p)
}

// Card is a SIM card as its vendor delivers it.
type Card struct {
	ICCID, IMSI string
	Form        string   // removable or esim; empty: removable
	K, OPc      [16]byte // Milenage (3GPP TS 35.206)
}

// String leaves the keys out of every log.
func (c Card) String() string { return "card " + c.ICCID }

// AddCards seals the keys of cards and puts the cards into stock.
func AddCards(tx *store.Tx, seal *access.Sealer, cards []Card) error {
	return AddCardsTo(tx, seal, CardPool, cards)
}

// AddCardsTo is AddCards into a pool of another name.
func AddCardsTo(tx *store.Tx, seal *access.Sealer, pool string, cards []Card) error {
	sims := make([]inventory.SIM, len(cards))
	for i, c := range cards {
		plain := fmt.Appendf(nil, `{"k":%q,"opc":%q}`, hex.EncodeToString(c.K[:]), hex.EncodeToString(c.OPc[:]))
		sealed, err := seal.Seal(plain, fulfilment.KeysContext(c.ICCID))
		if err != nil {
			return err
		}
		sims[i] = inventory.SIM{ICCID: c.ICCID, IMSI: c.IMSI, Form: cmp.Or(c.Form, inventory.Removable), Algorithm: "milenage", Sealed: sealed}
	}
	return inventory.AddSIMs(tx, pool, sims)
}
