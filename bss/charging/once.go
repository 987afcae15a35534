package charging

import (
	"math/big"
	"slices"

	"tandem/bss/catalog"
	"tandem/bss/rating"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/tmf"
)

// once is what prices come to that are paid once, with what alters them; nil if there
// are none. A discount on what is paid from a balance is paid from there too: nobody
// is billed for it.
func once(prices []*catalog.ProductOfferingPrice, currency string) (*subscription.FromBalance, error) {
	s := sumOnce{currency: currency, base: map[string]tmf.Money{}}
	for _, p := range prices {
		if p.Sort() == catalog.OneTime && p.Price != nil && p.Price.Sign() > 0 {
			s.base[p.ID] = *p.Price
			if err := s.add(p, *p.Price); err != nil {
				return nil, err
			}
		}
	}
	if len(s.base) == 0 {
		return nil, nil
	}
	for _, p := range prices {
		if err := s.alter(p); err != nil {
			return nil, err
		}
	}
	if s.sum.Sign() < 0 { // a discount gives nothing away beyond what it lowers
		s.sum.Nano = 0
	}
	return &subscription.FromBalance{Amount: &s.sum, Price: s.of}, nil
}

// sumOnce is a sum of prices that are paid once.
type sumOnce struct {
	currency string
	base     map[string]tmf.Money // prices by id, before they are altered
	sum      tmf.Money
	of       []subscription.Ref
}

func (s *sumOnce) add(p *catalog.ProductOfferingPrice, amount tmf.Money) (err error) {
	if code := amount.Currency.Code(); code != s.currency {
		return fault.Clash("wrongCurrency", "%q is priced in %s; the balance of the line is in %s", p.Name, code, s.currency)
	}
	if len(s.of) == 0 {
		s.sum = amount
	} else if s.sum, err = s.sum.Add(amount); err != nil {
		return err
	}
	s.of = append(s.of, subscription.Ref{ID: p.ID, Name: p.Name})
	return nil
}

// alter adds what a price changes of those that are paid once: it says which (TMF620
// popRelationship), or none and is no recurring one. What alters a recurring price is
// billed with that.
func (s *sumOnce) alter(p *catalog.ProductOfferingPrice) error {
	if _, _, recurs := p.Period(); recurs || !p.IsAlteration() || p.Sort() == "allowance" || rating.Rates(p) {
		return nil
	}
	amount := tmf.Money{Currency: s.sum.Currency}
	related := false
	for id, base := range s.base {
		if len(p.PopRelationship) > 0 && !slices.ContainsFunc(p.PopRelationship, func(r catalog.PriceRelationship) bool { return r.ID == id }) {
			continue
		}
		part, err := partOf(p, base)
		if err != nil {
			return err
		}
		if amount, err = amount.Add(part); err != nil {
			return err
		}
		related = true
	}
	if !related {
		return nil
	}
	if p.Price != nil {
		var err error
		if amount, err = p.Signed(*p.Price); err != nil {
			return err
		}
	}
	return s.add(p, amount)
}

// partOf is the percentage of a price that an alteration is, negative if it lowers it;
// nothing if it is an amount.
func partOf(p *catalog.ProductOfferingPrice, base tmf.Money) (tmf.Money, error) {
	rate, is := p.Percent()
	if !is {
		return tmf.Money{Currency: base.Currency}, nil
	}
	if p.Lowers() && rate.Sign() > 0 {
		rate = new(big.Rat).Neg(rate)
	}
	rate = new(big.Rat).Quo(rate, big.NewRat(100, 1))
	if !rate.Num().IsInt64() || !rate.Denom().IsInt64() {
		return tmf.Money{}, fault.BadInput("invalidPercentage", "The percentage of %q has too many digits", p.Name)
	}
	return base.MulRat(rate.Num().Int64(), rate.Denom().Int64(), money.HalfEven)
}
