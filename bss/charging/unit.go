package charging

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/charging/core"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/tmf"
)

// What TMF calls the sorts of usage a bucket is for.
const (
	monetary = "monetary"
	voice    = "voice"
	data     = "data"
	sms      = "sms"
)

// usageTypes are TMF654's names by unit.
var usageTypes = map[string]string{"money": monetary, "octets": data, "seconds": voice, "events": sms}

// factors are the units a client may write an amount in, by the unit of the bucket.
var factors = map[core.Unit]map[string]int64{
	core.Octets: {"octets": 1, "octet": 1, "bytes": 1, "byte": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40},
	core.Seconds: {"seconds": 1, "second": 1, "sec": 1, "s": 1, "minutes": 60, "minute": 60, "min": 60, "hours": 3600, "hour": 3600, "h": 3600},
	core.Events:  {"events": 1, "event": 1, "messages": 1, "message": 1, "sms": 1, "mms": 1, "pieces": 1, "piece": 1},
}

// quantity is an amount of a bucket on the wire: money in major units, all else in
// the unit it is counted in.
func quantity(n int64, unit, currency string) *tmf.Quantity {
	if unit == "money" {
		return &tmf.Quantity{Amount: jsontext.Value(major(n)), Units: currency}
	}
	return &tmf.Quantity{Amount: jsontext.Value(strconv.FormatInt(n, 10)), Units: unit}
}

// major writes 10^-9 of major units as a decimal.
func major(nano int64) string {
	text := new(big.Rat).SetFrac64(nano, 1e9).FloatString(9)
	text = strings.TrimRight(text, "0")
	return strings.TrimSuffix(text, ".")
}

// amountOf reads an amount for a bucket: in its currency, or in a unit of its sort.
func amountOf(q *tmf.Quantity, unit core.Unit, currency string) (int64, error) {
	if q == nil {
		return 0, fault.BadInput("mandatoryAttributeMissing", "amount is required")
	}
	text := strings.Trim(string(q.Amount), `"`)
	if unit == core.Money {
		if q.Units != "" && q.Units != currency {
			return 0, fault.BadInput("wrongCurrency", "The bucket holds %s, the amount is in %.10q", currency, q.Units)
		}
		c, err := money.ParseCurrency(currency)
		if err != nil {
			return 0, fault.BadInput("wrongUnit", "%.20q is neither a currency nor a unit of usage", currency)
		}
		r, err := money.ParseRate(text, c)
		if err != nil {
			return 0, fault.BadInput("badAmount", "amount %.40q is no amount of %s", text, currency)
		}
		return r.Nano, nil
	}
	factor, ok := factors[unit][strings.ToLower(q.Units)]
	if q.Units == "" {
		factor, ok = 1, true
	}
	if !ok {
		return 0, fault.BadInput("wrongUnit", "The bucket holds %s; %.20q is no unit of them", unit, q.Units)
	}
	if len(text) > 30 || strings.ContainsAny(text, "/eE") {
		return 0, fault.BadInput("badAmount", "amount %.40q is not a number", text)
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, fault.BadInput("badAmount", "amount %.40q is not a number", text)
	}
	r.Mul(r, new(big.Rat).SetInt64(factor))
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, fault.BadInput("badAmount", "amount %.40q %s is not a whole number of %s", text, q.Units, unit)
	}
	return r.Num().Int64(), nil
}
