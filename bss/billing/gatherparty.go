package billing

import (
	"cmp"
	"slices"
	"strings"

	"tandem/bss/party"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Customer is the customer an account is for, "" if it names none.
func (a *Account) Customer() string {
	for _, r := range a.RelatedParty {
		if isCustomer(r) {
			return r.ID
		}
	}
	for _, r := range a.RelatedParty {
		if r.Role == "" {
			return r.ID
		}
	}
	return ""
}

// parties reads who stands on the bills, and how they are taxed.
func (g *gatherer) parties() error {
	var customers []string
	for i := range g.rows {
		if p := &g.rows[i]; p.Parked == "" {
			if p.customer = p.account.Customer(); p.customer != "" {
				customers = append(customers, p.customer)
			}
		}
	}
	if err := party.ContactsAhead(g.tx, customers); err != nil {
		return err
	}
	for i := range g.rows {
		p := &g.rows[i]
		if p.Parked != "" {
			continue
		}
		b, language, err := buyerOf(g.tx, p.account, p.customer)
		if err != nil {
			return err
		}
		p.buyer = b
		if p.buyer.Country == "" {
			p.buyer.Country = countryOf(p.entity.Jurisdiction)
		}
		p.paper.Language = cmp.Or(p.account.Language, language, p.entity.Language, "en")
		where := ""
		p.Input.Override, where = treatment(p.account, p.entity, &p.buyer)
		p.Input.Exempted = exemptions(p.account, where, &p.Input.Terms)
		p.rates = g.rates[where]
		p.Input.Rates = p.rates
		if len(p.rates) == 0 {
			p.park("noTaxTable", "There are no tax rates of %s: add them (taxRate), or give the account another taxJurisdiction", where)
		} else if o := p.Input.Override; o != "" && !p.rates.has(o) {
			p.park("noTaxRate", "The account is taxed as %s, of which %s has no rate: add a taxRate", o, where)
		}
	}
	return nil
}

// buyerOf is the customer as he stands on a document: the account's own billing contact
// before what the customer and the party say of themselves.
func buyerOf(tx *store.Tx, a *Account, customer string) (b DocumentParty, language string, err error) {
	b = DocumentParty{Name: a.Name, ID: customer, VATID: a.VATID}
	var media []party.ContactMedium
	for _, c := range a.Contact {
		if c.ValidFor.Holds(tx.Now()) {
			media = append(media, c.ContactMedium...)
			b.Contact = cmp.Or(b.Contact, c.ContactName)
		}
	}
	if customer == "" {
		b.reach(media, tx)
		return b, "", nil
	}
	c, err := party.Customers.Get(tx, customer)
	if fault.Is(err, fault.NotFound) { // a party of another system: the account's name has to do
		b.reach(media, tx)
		return b, "", nil
	}
	if err != nil {
		return b, "", err
	}
	media = append(media, c.ContactMedium...)
	language, _ = tmf.Value(c.Characteristic, "language")
	if c.EngagedParty.ReferredType == "Organization" {
		o, err := party.Organizations.Get(tx, c.EngagedParty.ID)
		if err != nil {
			return b, "", err
		}
		b.firm(o)
		said, _ := tmf.Value(o.PartyCharacteristic, "language")
		media, language = append(media, o.ContactMedium...), cmp.Or(language, said)
	} else {
		i, err := party.Individuals.Get(tx, c.EngagedParty.ID)
		if err != nil {
			return b, "", err
		}
		b.Name = cmp.Or(i.Name(), b.Name)
		said, _ := tmf.Value(i.PartyCharacteristic, "language")
		media, language = append(media, i.ContactMedium...), cmp.Or(language, said, i.Language(tx.Now()))
	}
	b.reach(media, tx)
	if !languageTag.MatchString(language) {
		language = ""
	}
	return b, language, nil
}

// firm takes over what an organization is called and registered as.
func (b *DocumentParty) firm(o *party.Organization) {
	b.Name = cmp.Or(o.Name, o.TradingName)
	if o.Name != "" && o.TradingName != o.Name {
		b.TradingName = o.TradingName
	}
	for _, i := range o.OrganizationIdentification {
		switch strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "").Replace(i.IdentificationType)) {
		case "vat", "vatid", "vatnumber", "ustid", "ustidnr":
			b.VATID = cmp.Or(b.VATID, strings.ToUpper(strings.ReplaceAll(i.IdentificationID, " ", "")))
		case "companyregistration", "registration", "commercialregister":
			b.Registration = cmp.Or(b.Registration, i.IdentificationID)
		case "peppol", "endpoint":
			b.EndpointScheme, b.Endpoint, _ = strings.Cut(i.IdentificationID, ":")
		}
	}
}

// reach takes addresses out of media that hold now, preferred ones first; a postal address is
// taken whole.
func (b *DocumentParty) reach(media []party.ContactMedium, tx *store.Tx) {
	for _, wantPreferred := range []bool{true, false} {
		for _, m := range media {
			c := m.Characteristic
			if preferred := m.Preferred != nil && *m.Preferred; preferred != wantPreferred || c == nil || !m.ValidFor.Holds(tx.Now()) {
				continue
			}
			b.Email, b.Phone = cmp.Or(b.Email, c.EmailAddress), cmp.Or(b.Phone, c.PhoneNumber)
			if b.Street+b.City+b.PostCode == "" && c.Street1+c.City+c.PostCode != "" {
				b.Street, b.Street2, b.PostCode, b.City, b.Region, b.Country = c.Street1, c.Street2, c.PostCode, c.City, c.StateOrProvince, countryCodeOf(c.Country)
			}
		}
	}
}

// countryNames are what people write for a country.
var countryNames = map[string]string{"germany": "DE", "deutschland": "DE", "austria": "AT", "österreich": "AT", "switzerland": "CH", "schweiz": "CH", "france": "FR",
	"italy": "IT", "italia": "IT", "spain": "ES", "españa": "ES", "netherlands": "NL", "nederland": "NL", "belgium": "BE", "belgique": "BE", "poland": "PL", "polska": "PL",
	"united kingdom": "GB", "uk": "GB", "great britain": "GB", "ireland": "IE", "luxembourg": "LU", "denmark": "DK", "danmark": "DK", "sweden": "SE", "sverige": "SE",
	"norway": "NO", "norge": "NO", "finland": "FI", "suomi": "FI", "portugal": "PT", "czechia": "CZ", "united states": "US", "usa": "US"}

// countryCodeOf is the ISO 3166-1 code of a country as it is written, "" if it is not known.
func countryCodeOf(text string) string {
	text = strings.TrimSpace(text)
	if up := strings.ToUpper(text); countryCode.MatchString(up) && up != "UK" {
		return up
	}
	return countryNames[strings.ToLower(text)]
}

// document fills in what is known of the document before anything is computed.
func (p *gathering) document(tenant string) {
	a, e := p.account, p.entity
	d := &p.paper
	d.Account, d.AccountName, d.Customer, d.Entity, d.Brand = a.ID, a.Name, p.customer, e.ID, e.Brand
	d.Currency, d.Zone = p.Input.Currency.Code(), p.zone.String()
	d.Seller, d.Buyer, d.Bank = e.seller(), p.buyer, e.bank()
	d.BuyerReference, d.PurchaseOrder, d.Contract, d.Note = a.BuyerReference, a.PurchaseOrder, a.ContractNumber, a.BillNote
	if d.Note == "" {
		d.Note = e.Note
	}
	p.provisional = e.provisional(tenant)
}

// checkBillAttributes is the rules for what an account says of its bills.
func checkBillAttributes(tx *store.Tx, old, a *Account) error {
	switch {
	case a.Language != "" && !languageTag.MatchString(a.Language):
		return fault.BadInput("invalidLanguage", "language %.40q is not one, such as de or pt-BR (BCP 47)", a.Language)
	case a.TaxJurisdiction != "" && !jurisdiction.MatchString(a.TaxJurisdiction):
		return fault.BadInput("invalidJurisdiction", "taxJurisdiction is a country or a part of one (ISO 3166), such as DE or ES-CN, not %.40q", a.TaxJurisdiction)
	case a.VATID != "" && !vatID.MatchString(a.VATID):
		return fault.BadInput("invalidVatId", "vatId begins with the country, such as DE123456789; %.40q does not", a.VATID)
	case a.MinimumBill != nil && (a.MinimumBill.Sign() < 0 || a.Currency != "" && a.MinimumBill.Currency.Code() != a.Currency):
		return fault.BadInput("invalidMinimum", "minimumBill is an amount in the account's currency, without a sign")
	case a.MinimumBill != nil && a.MinimumBill.Currency == money.Currency{}:
		return fault.BadInput("invalidMinimum", "minimumBill needs a currency")
	}
	if r := a.LegalEntity; r != nil && (old == nil || old.LegalEntity == nil || old.LegalEntity.ID != r.ID) {
		e, err := LegalEntities.Get(tx, r.ID)
		if err != nil {
			return named("legalEntity", err)
		}
		r.Name, r.Href, r.ReferredType = e.Name, e.Href, "LegalEntity"
	}
	return checkPayer(tx, old, a)
}

// checkPayer refuses accounts that pay for each other in a circle, or in too many levels, now
// or at any time to come.
func checkPayer(tx *store.Tx, old, a *Account) error {
	if old != nil && sameJSON(old.AccountRelationship, a.AccountRelationship) {
		return nil
	}
	return payersOf(tx, a, a, civil.Span{From: tx.Now()}, []string{a.ID})
}

// payersOf goes up from an account in a time; seen are those below it, of which the first is
// the one that is checked.
func payersOf(tx *store.Tx, first, at *Account, in civil.Span, seen []string) error {
	for _, r := range at.AccountRelationship {
		if r.RelationshipType != billedBy || r.Account == nil || r.Account.ID == at.ID {
			continue
		}
		time, any := in, true
		if v := r.ValidFor; v != nil {
			time, any = in.Intersect(civil.Span{From: v.StartDateTime, To: v.EndDateTime})
		}
		payer := r.Account.ID
		switch {
		case !any:
			continue
		case slices.Contains(seen, payer):
			return fault.BadInput("payerCircle", "Account %q cannot be billed by %q: they would pay for each other from %s on", first.ID, payer, tmf.FormatTime(time.From))
		case len(seen) >= maxPayers:
			return fault.BadInput("payerDepth", "Accounts can be billed by accounts in %d levels at most", maxPayers)
		}
		p, err := BillingAccounts.Get(tx, payer)
		if err != nil {
			return named("accountRelationship", err)
		}
		if p.Currency != "" && first.Currency != "" && p.Currency != first.Currency {
			return fault.BadInput("wrongCurrency", "The account is in %s, the one that pays for it in %s", first.Currency, p.Currency)
		}
		if err := payersOf(tx, first, p, time, append(slices.Clone(seen), payer)); err != nil {
			return err
		}
	}
	return nil
}
