package einvoice

import "strings"

// parties checks BG-4 to BG-12.
func (c *checker) parties() {
	c.seller(&c.v.Seller)
	c.buyer(&c.v.Buyer)
	if p := c.v.Payee; p != nil {
		c.need(p.Name != "" && !samePayee(p, &c.v.Seller), "BR-17", field("Payee.Name"))
	}
	if t := c.v.TaxRepresentative; t != nil {
		c.need(t.Name != "", "BR-18", field("TaxRepresentative.Name"))
		c.need(t.Address != nil, "BR-19", field("TaxRepresentative.Address"))
		if t.Address != nil {
			c.country(t.Address.Country, "BR-20", field("TaxRepresentative.Address.Country"))
		}
		c.need(t.VAT != "", "BR-56", field("TaxRepresentative.VAT"))
		c.need(t.VAT == "" || vatPrefix(t.VAT), "BR-CO-09", field("TaxRepresentative.VAT"))
	}
}

func (c *checker) seller(s *Seller) {
	c.need(s.Name != "", "BR-06", field("Seller.Name"))
	c.need(s.Address != nil, "BR-08", field("Seller.Address"))
	if s.Address != nil {
		c.country(s.Address.Country, "BR-09", field("Seller.Address.Country"))
	}
	c.need(s.Endpoint.ID == "" || s.Endpoint.Scheme != "", "BR-62", field("Seller.Endpoint.Scheme"))
	c.need(s.VAT == "" || vatPrefix(s.VAT), "BR-CO-09", field("Seller.VAT"))
	c.need(s.VAT != "" || s.Legal.ID != "" || named(s.IDs), "BR-CO-26", field("Seller"))
}

func (c *checker) buyer(b *Buyer) {
	c.need(b.Name != "", "BR-07", field("Buyer.Name"))
	c.need(b.Address != nil, "BR-10", field("Buyer.Address"))
	if b.Address != nil {
		c.country(b.Address.Country, "BR-11", field("Buyer.Address.Country"))
	}
	c.need(b.Endpoint.ID == "" || b.Endpoint.Scheme != "", "BR-63", field("Buyer.Endpoint.Scheme"))
	c.need(b.VAT == "" || vatPrefix(b.VAT), "BR-CO-09", field("Buyer.VAT"))
}

// samePayee tells that the payee is the seller again, who needs no group of his own.
func samePayee(p *Payee, s *Seller) bool {
	if p.Name == s.TradingName || p.Name == s.Name {
		return true
	}
	for i := range s.IDs {
		if p.ID.ID != "" && s.IDs[i].ID == p.ID.ID {
			return true
		}
	}
	return false
}

func named(ids []Identifier) bool {
	for i := range ids {
		if ids[i].ID != "" {
			return true
		}
	}
	return false
}

// vatPrefix tells whether a VAT identifier begins with the country that gave it;
// Greece may say EL, Northern Ireland says XI.
func vatPrefix(id string) bool {
	return len(id) > 2 && (id[:2] == "EL" || isCountry(id[:2]))
}

// isCountry tells whether code is of ISO 3166-1 alpha-2, or 1A (Kosovo) or XI
// (Northern Ireland), which EN 16931 takes besides.
func isCountry(code string) bool {
	return len(code) == 2 && strings.Index(countries, code)%3 == 0 // -1 and a blank inside are no multiples
}

const countries = "1A XI AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
	"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ " +
	"NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW " +
	"SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
	"UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW "
