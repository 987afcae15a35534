package einvoice_test

import (
	"fmt"
	"strings"
	"time"

	"tandem/edge/einvoice"
	"tandem/kit/civil"
	"tandem/kit/money"
)

// A bill of one line is checked before it is posted, and written when somebody asks.
func Example() {
	eur := func(cents int64) money.Amount { return money.Amount{Minor: cents, Currency: money.EUR} }
	vat := einvoice.Tax{Category: einvoice.Standard, Rate: einvoice.Dec(19, 0)}
	bill := &einvoice.Invoice{
		Specification: einvoice.EN16931, Number: "R-2026-000042", Type: einvoice.Commercial, Currency: money.EUR,
		Issued: civil.Date{Year: 2026, Month: time.February, Day: 1}, Terms: "within 14 days",
		Seller: einvoice.Seller{Name: "Nordlicht GmbH", VAT: "DE123456789", Address: &einvoice.Address{City: "Kiel", Country: "DE"}},
		Buyer:  einvoice.Buyer{Name: "Erika Muster", Address: &einvoice.Address{City: "Bonn", Country: "DE"}},
		Lines: []einvoice.Line{{
			ID: "1", Quantity: einvoice.Dec(1, 0), Unit: "MON", Price: einvoice.Price{Net: einvoice.Dec(20, 0)}, Net: eur(2000),
			Tax: vat, Item: einvoice.Item{Name: "Tariff L"},
		}},
		VAT: []einvoice.Breakdown{{Base: eur(2000), Tax: eur(380), Category: vat.Category, Rate: vat.Rate}},
		Totals: einvoice.Totals{
			Lines: eur(2000), WithoutVAT: eur(2000), VAT: eur(380), WithVAT: eur(2380), Payable: eur(2379),
		},
	}
	for _, violation := range einvoice.Check(bill) {
		fmt.Println(violation)
	}
	bill.Totals.Payable = eur(2380)
	fmt.Println(len(einvoice.Check(bill)), "violations")
	var ubl strings.Builder
	if err := einvoice.WriteUBL(&ubl, bill); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Count(ubl.String(), "<cac:InvoiceLine>"), "line in UBL")
	// Output:
	// BR-CO-16 at Totals.Payable: the amount due (BT-115) is the total with VAT (BT-112) less what is paid (BT-113) plus rounding (BT-114)
	// 0 violations
	// 1 line in UBL
}
