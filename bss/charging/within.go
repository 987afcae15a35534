package charging

import (
	"slices"

	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/kit/fault"
)

// openData makes a limit the volume that an allowance may be used abroad as at home: at
// least twice what the price of the plan buys at the wholesale cap (EU 2016/2286 Art.
// 4(2)). What comes after it is paid by the usage price that there is for it.
type openData struct {
	Price     rating.Decimal `json:"price"`     // of the plan in a cycle, without tax
	Wholesale rating.Decimal `json:"wholesale"` // the cap for a gigabyte
}

// volume is how many units a limit is.
func (l *limit) volume(currency string) (int64, error) {
	if l.OpenData == nil {
		return int64(l.Units), nil
	}
	price, err := nano(string(l.OpenData.Price), currency)
	if err != nil {
		return 0, fault.At("openData price", err)
	}
	wholesale, err := nano(string(l.OpenData.Wholesale), currency)
	if err != nil {
		return 0, fault.At("openData wholesale", err)
	}
	n, err := core.OpenData(price, wholesale)
	if err != nil {
		err = nonsense("openData needs the price of the plan in a cycle, without tax, and the wholesale cap for a gigabyte, both above zero and no more than an account can hold")
	}
	return n, err
}

// checkWithin refuses allowances within a limit that could not limit them, and fair use
// that limits none.
func (t *terms) checkWithin(allowances []rating.Allowance) error {
	for i := range allowances {
		a := &allowances[i]
		if a.Within == "" {
			continue
		}
		if err := t.limit(a.Within).holds(a); err != nil {
			return fault.At("Allowance "+a.Name, err)
		}
	}
	for i := range t.Limits {
		l := &t.Limits[i]
		if l.OpenData != nil && !slices.ContainsFunc(allowances, func(a rating.Allowance) bool { return a.Within == l.Name }) {
			return fault.At("Limit "+l.Name, nonsense("openData limits an allowance, and none is within it: name it as within of the allowance"))
		}
	}
	return nil
}

// limit is the one with a name, nil if there is none.
func (t *terms) limit(name string) *limit {
	for i := range t.Limits {
		if t.Limits[i].Name == name {
			return &t.Limits[i]
		}
	}
	return nil
}

// holds refuses an allowance that the limit would not limit as it is meant.
func (l *limit) holds(a *rating.Allowance) error {
	switch {
	case l == nil:
		return nonsense("it is within the limit %q, which the offering does not have", a.Within)
	case l.Unit == "" || unitsOfLimit[l.Unit] != unitOf(a.Unit):
		return nonsense("within needs a limit of its own unit, %s", unitOf(a.Unit))
	case l.Hard:
		return nonsense("the limit %q is hard: it refuses what within would have paid beyond it", l.Name)
	case l.TopUps || len(l.Classes) == 0:
		return nonsense("the limit %q must name the classes of use that are limited, such as those abroad", l.Name)
	case (l.Per == "line") == a.Shared:
		return nonsense("an allowance of each line is within a limit per line, one that is shared within a limit per account")
	case len(a.Classes) > 0 && !slices.ContainsFunc(l.Classes, func(c string) bool { return slices.Contains(a.Classes, c) }):
		return nonsense("the limit %q is for classes that it does not cover", l.Name)
	}
	return nil
}
