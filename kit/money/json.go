package money

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The JSON form of both types is the TMF Money object, {"unit":"EUR","value":12.34}.
// The value is a JSON number, or a string with one, and is read from its text. A sum
// without currency is null, both ways. A decoded object replaces the old sum whole:
// a value without unit is refused, never merged with the currency that was there.

// MarshalJSONTo writes the TMF Money object.
func (a Amount) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(encode(a.Currency, a.Minor, a.Currency.Digits()))
}

// UnmarshalJSONFrom reads the TMF Money object. A value with more digits than the
// currency has is ErrPrecision.
func (a *Amount) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	return a.decode(value, dec.Options())
}

// MarshalJSON is MarshalJSONTo for the standard library.
func (a Amount) MarshalJSON() ([]byte, error) {
	return encode(a.Currency, a.Minor, a.Currency.Digits()), nil
}

// UnmarshalJSON is UnmarshalJSONFrom for the standard library.
func (a *Amount) UnmarshalJSON(text []byte) error { return a.decode(text) }

func (a *Amount) decode(text []byte, opts ...json.Options) error {
	c, value, err := decode(text, opts...)
	if err != nil {
		return err
	}
	if c == (Currency{}) {
		*a = Amount{}
		return nil
	}
	parsed, err := ParseAmount(value, c)
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// MarshalJSONTo writes the TMF Money object.
func (a Rate) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(encode(a.Currency, a.Nano, rateScale))
}

// UnmarshalJSONFrom reads the TMF Money object with up to nine fraction digits.
func (a *Rate) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	return a.decode(value, dec.Options())
}

// MarshalJSON is MarshalJSONTo for the standard library.
func (a Rate) MarshalJSON() ([]byte, error) { return encode(a.Currency, a.Nano, rateScale), nil }

// UnmarshalJSON is UnmarshalJSONFrom for the standard library.
func (a *Rate) UnmarshalJSON(text []byte) error { return a.decode(text) }

func (a *Rate) decode(text []byte, opts ...json.Options) error {
	c, value, err := decode(text, opts...)
	if err != nil {
		return err
	}
	if c == (Currency{}) {
		*a = Rate{}
		return nil
	}
	parsed, err := ParseRate(value, c)
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// encode writes n units of 10^-scale with no more digits than needed, so that the
// number a client sent comes back as it was.
func encode(c Currency, n int64, scale int) []byte {
	if c == (Currency{}) {
		return []byte("null")
	}
	b := make([]byte, 0, 48)
	b = append(b, `{"unit":"`...)
	b = append(b, c.letters[:]...)
	b = append(b, `","value":`...)
	b = appendDecimal(b, n, scale, 0)
	return append(b, '}')
}

// decode takes the object apart. JSON null gives the zero Currency. Members other
// than unit and value are left alone unless the caller's options reject them.
func decode(text []byte, opts ...json.Options) (Currency, string, error) {
	if string(text) == "null" {
		return Currency{}, "", nil
	}
	var body struct {
		Unit  *string        `json:"unit"`
		Value jsontext.Value `json:"value"`
	}
	if err := json.Unmarshal(text, &body, opts...); err != nil {
		return Currency{}, "", fmt.Errorf("money object: %w", err)
	}
	if body.Unit == nil {
		return Currency{}, "", fmt.Errorf("%w: unit is missing", ErrCurrency)
	}
	c, err := ParseCurrency(*body.Unit)
	if err != nil {
		return Currency{}, "", err
	}
	value, err := number(body.Value)
	return c, value, err
}

// number is the decimal text of a JSON number, or of a JSON string that holds one.
func number(v jsontext.Value) (string, error) {
	switch v.Kind() {
	case '0':
		return string(v), nil
	case '"':
		text, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrSyntax, err)
		}
		return string(text), nil
	case 0, 'n':
		return "", fmt.Errorf("%w: value is missing", ErrSyntax)
	}
	return "", fmt.Errorf("%w: value must be a number", ErrSyntax)
}
