package render

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/kit/civil"
	"tandem/kit/money"
)

const hard = "\u00a0" // a blank at which no line ends

// marks of numbers: between thousands, and before decimals.
func (t tongue) marks() (thousands, decimal string) {
	switch t.base {
	case "de":
		return ".", ","
	case "fr":
		return hard, ","
	}
	return ",", "."
}

// decimal writes 1234.5 as the language does: 1,234.5 or 1.234,5.
func (t tongue) decimal(plain string) string {
	sign := ""
	if rest, negative := strings.CutPrefix(plain, "-"); negative {
		sign, plain = "-", rest
	}
	whole, fraction, has := strings.Cut(plain, ".")
	thousands, point := t.marks()
	var b strings.Builder
	b.WriteString(sign)
	for i, c := range []byte(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(thousands)
		}
		b.WriteByte(c)
	}
	if has {
		b.WriteString(point)
		b.WriteString(fraction)
	}
	return b.String()
}

// amount is an amount without its currency: 1,234.50.
func (t tongue) amount(minor int64, c money.Currency) string {
	return t.decimal(money.Amount{Minor: minor, Currency: c}.Decimal())
}

var symbols = map[string]string{"EUR": "€", "GBP": "£", "USD": "$"}

// money is an amount with its currency, where the language puts it: €1,234.50, CHF 1,234.50,
// 1.234,50 €.
func (t tongue) money(minor int64, c money.Currency) string {
	return t.with(t.amount(minor, c), c)
}

func (t tongue) with(number string, c money.Currency) string {
	symbol := symbols[c.Code()]
	switch {
	case t.base != "en" && symbol != "":
		return number + hard + symbol
	case t.base != "en":
		return number + hard + c.Code()
	case symbol == "":
		return c.Code() + hard + number
	}
	if rest, negative := strings.CutPrefix(number, "-"); negative {
		return "-" + symbol + rest
	}
	return symbol + number
}

// rate is an exact amount: 0.0005, with at least the digits of its currency.
func (t tongue) rate(r money.Rate) string { return t.decimal(r.Decimal()) }

// rates are exact amounts that stand below each other: all with as many digits as the longest.
func (t tongue) rates(all []billing.ItemisedRecord) []string {
	out, digits := make([]string, len(all)), 0
	for i := range all {
		out[i] = all[i].Amount.Decimal()
		_, behind, _ := strings.Cut(out[i], ".")
		digits = max(digits, len(behind))
	}
	for i, text := range out {
		whole, behind, _ := strings.Cut(text, ".")
		if digits > 0 {
			text = whole + "." + behind + strings.Repeat("0", digits-len(behind))
		}
		out[i] = t.decimal(text)
	}
	return out
}

// date is a day: 3 Mar 2026, 03.03.2026, 03/03/2026.
func (t tongue) date(d civil.Date) string {
	switch {
	case !d.Valid():
		return ""
	case t.base == "de":
		return fmt.Sprintf("%02d.%02d.%d", d.Day, int(d.Month), d.Year)
	case t.base == "fr":
		return fmt.Sprintf("%02d/%02d/%d", d.Day, int(d.Month), d.Year)
	}
	return strconv.Itoa(d.Day) + hard + d.Month.String()[:3] + hard + strconv.Itoa(d.Year)
}

// period is a half-open period with its last day: 1 Mar 2026 – 31 Mar 2026.
func (t tongue) period(from, to civil.Date) string {
	if !from.Valid() || !to.Valid() {
		return ""
	}
	last := to.AddDays(-1)
	if !from.Before(last) {
		return t.date(from)
	}
	return t.date(from) + " – " + t.date(last)
}

// length is a part of a period: days, or time where the price goes by seconds.
func (t tongue) length(n int64, rule string) string {
	if rule == "seconds" {
		return t.say("hours", n/int64(time.Hour), n%int64(time.Hour)/int64(time.Minute))
	}
	return t.say("days", n)
}

// part is a part of a period: 15 of 31 days.
func (t tongue) part(n, of int64, rule string) string {
	if rule == "seconds" {
		return t.say("part", t.length(n, rule), t.length(of, rule))
	}
	return t.say("partDays", n, of)
}

// used is a quantity in units that people read.
func (t tongue) used(n int64, unit string) string {
	switch unit {
	case "octets":
		return t.octets(n)
	case "seconds":
		return fmt.Sprintf("%s:%02d%smin", t.decimal(strconv.FormatInt(n/60, 10)), n%60, hard)
	}
	return t.say("events", t.decimal(strconv.FormatInt(n, 10)))
}

// octets writes them in decimal multiples (IEC 80000-13): a kB has 1000.
func (t tongue) octets(n int64) string {
	name, div := "kB", int64(1000)
	for _, u := range []struct {
		name string
		div  int64
	}{{"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}} {
		if n >= u.div {
			name, div = u.name, u.div
		}
	}
	hundredths, err := money.MulDiv(n, 100, div, money.HalfUp)
	if err != nil {
		return strconv.FormatInt(n, 10) + hard + "B"
	}
	return t.decimal(fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)) + hard + name
}

// grouped is an IBAN in groups of four.
func grouped(iban string) string {
	var b strings.Builder
	for i, c := range []byte(iban) {
		if i > 0 && i%4 == 0 {
			b.WriteString(" ")
		}
		b.WriteByte(c)
	}
	return b.String()
}
