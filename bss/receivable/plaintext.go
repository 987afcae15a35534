package receivable

import (
	"reflect"

	"tandem/edge/card"
	"tandem/edge/sepa"
	"tandem/kit/fault"
)

// longestText is how many bytes one text of a payment, refund or payment method may have.
const longestText = 2000

// plainTexts refuses a resource that holds a card number in any of its texts, those within
// and those that are no attribute of ours among them, or a text without end. Ids are left
// out: they are random, and may look like one. what names the resource to the user.
func plainTexts(what string, resource any) error {
	return eachText(reflect.ValueOf(resource), func(text string) error {
		if len(text) > longestText {
			return fault.BadInput("tooLong", "A text of the %s has more than %d characters", what, longestText)
		}
		if !card.HasNumber(text) {
			return nil
		}
		if _, err := sepa.ParseIBAN(text); err == nil { // its digits may look like one
			return nil
		}
		return fault.BadInput("cardNumber", "The %s holds a card number. Card numbers are typed into the page of the gateway only, which gives a token for them", what)
	})
}

// eachText calls f with all texts of a value, and what of its JSON is kept as it came.
func eachText(v reflect.Value, f func(string) error) error {
	switch v.Kind() {
	case reflect.String:
		return f(v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return eachText(v.Elem(), f)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return f(string(v.Bytes()))
		}
		for i := range v.Len() {
			if err := eachText(v.Index(i), f); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if t := v.Type().Field(i); !t.IsExported() || t.Name == "ID" || t.Name == "Href" {
				continue
			}
			if err := eachText(v.Field(i), f); err != nil {
				return err
			}
		}
	}
	return nil
}

// mask leaves of an account number at a bank what its owner knows it by.
func (m *Method) mask() {
	if m == nil || m.AccountNumber == "" {
		return
	}
	if i, err := sepa.ParseIBAN(m.AccountNumber); err == nil {
		m.AccountNumber = i.Masked()
		return
	}
	end := ""
	if n := len(m.AccountNumber); n > 8 {
		end = m.AccountNumber[n-4:]
	}
	m.AccountNumber = "..." + end
}
