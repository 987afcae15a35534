package money

import (
	stdjson "encoding/json"
	"errors"
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"
)

// offer is a document as a room would have it: two kinds of money, one optional.
type offer struct {
	Price Rate    `json:"price"`
	Paid  Amount  `json:"paid,omitzero"`
	Fee   *Amount `json:"fee,omitempty"`
}

func TestMoneyJSON(t *testing.T) {
	tests := []struct {
		rule, text string
		want       Amount
		err        error
	}{
		{"number", `{"unit":"EUR","value":12.34}`, Amount{1234, EUR}, nil},
		{"string", `{"unit":"EUR","value":"12.34"}`, Amount{1234, EUR}, nil},
		{"escaped string", `{"unit":"EUR","value":"12\u002e34"}`, Amount{1234, EUR}, nil},
		{"other order, blanks, exponent", ` { "value" : 1.2e1 , "unit" : "JPY" } `, Amount{12, JPY}, nil},
		{"beyond the 53 bits of a float", `{"unit":"EUR","value":90071992547409.93}`, Amount{9007199254740993, EUR}, nil},
		{"largest", `{"unit":"EUR","value":92233720368547758.07}`, Amount{1<<63 - 1, EUR}, nil},
		{"unknown members are left alone", `{"@type":"Money","unit":"EUR","value":1,"x":{"value":2}}`, Amount{100, EUR}, nil},
		{"null is no sum", `null`, Amount{}, nil},
		{"half a cent", `{"unit":"EUR","value":0.005}`, Amount{}, ErrPrecision},
		{"overflow", `{"unit":"EUR","value":1e300}`, Amount{}, ErrOverflow},
		{"no unit", `{"value":1}`, Amount{}, ErrCurrency},
		{"null unit", `{"unit":null,"value":1}`, Amount{}, ErrCurrency},
		{"empty unit", `{"unit":"","value":1}`, Amount{}, ErrCurrency},
		{"unknown unit", `{"unit":"EURO","value":1}`, Amount{}, ErrCurrency},
		{"no value", `{"unit":"EUR"}`, Amount{}, ErrSyntax},
		{"null value", `{"unit":"EUR","value":null}`, Amount{}, ErrSyntax},
		{"boolean value", `{"unit":"EUR","value":true}`, Amount{}, ErrSyntax},
		{"object value", `{"unit":"EUR","value":{}}`, Amount{}, ErrSyntax},
		{"empty string value", `{"unit":"EUR","value":""}`, Amount{}, ErrSyntax},
		{"words", `{"unit":"EUR","value":"twelve"}`, Amount{}, ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			v2 := Amount{7, USD} // whatever was there is replaced or, on error, kept
			err := json.Unmarshal([]byte(tt.text), &v2)
			v1 := Amount{7, USD}
			err1 := stdjson.Unmarshal([]byte(tt.text), &v1)
			if tt.err == nil {
				if err != nil || err1 != nil || v2 != tt.want || v1 != tt.want {
					t.Fatalf("got %v, %v and %v, %v", v2, err, v1, err1)
				}
				return
			}
			if !errors.Is(err, tt.err) || !errors.Is(err1, tt.err) {
				t.Errorf("errors %v and %v, want %v", err, err1, tt.err)
			}
			if v2 != (Amount{7, USD}) || v1 != (Amount{7, USD}) {
				t.Errorf("a failed decode left %v and %v", v2, v1)
			}
		})
	}
	for _, text := range []string{`12.34`, `"12.34 EUR"`, `[]`, `{"unit":5,"value":1}`, `{"unit":"EUR","value":1,"value":2}`, `{"unit":"EUR","value":01}`} {
		var a Amount
		var r Rate
		if json.Unmarshal([]byte(text), &a) == nil || json.Unmarshal([]byte(text), &r) == nil {
			t.Errorf("%s accepted", text)
		}
	}
	var a Amount
	if err := json.Unmarshal([]byte(`{"unit":"EUR","value":1,"x":1}`), &a, json.RejectUnknownMembers(true)); err == nil {
		t.Error("the caller's wish to reject unknown members was not heard")
	}
}

func TestMoneyJSONWritesNoMoreDigitsThanNeeded(t *testing.T) {
	tests := []struct {
		rule string
		in   any
		want string
	}{
		{"cents", Amount{1234, EUR}, `{"unit":"EUR","value":12.34}`},
		{"tenths", Amount{1230, EUR}, `{"unit":"EUR","value":12.3}`},
		{"whole", Amount{-1200, EUR}, `{"unit":"EUR","value":-12}`},
		{"zero is a sum", Amount{0, EUR}, `{"unit":"EUR","value":0}`},
		{"no currency is no sum", Amount{}, `null`},
		{"rate", Rate{500_000, EUR}, `{"unit":"EUR","value":0.0005}`},
		{"rate without currency", Rate{}, `null`},
		{"large sums stay digits", Amount{1<<63 - 1, JPY}, `{"unit":"JPY","value":9223372036854775807}`},
		{"absent paid and fee are left out", offer{Price: Rate{0, EUR}}, `{"price":{"unit":"EUR","value":0}}`},
		{"zero paid stays", offer{Price: Rate{1, EUR}, Paid: Amount{0, EUR}},
			`{"price":{"unit":"EUR","value":0.000000001},"paid":{"unit":"EUR","value":0}}`},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			v2, err := json.Marshal(tt.in)
			if err != nil || string(v2) != tt.want {
				t.Errorf("got %s, %v; want %s", v2, err, tt.want)
			}
			v1, err := stdjson.Marshal(tt.in)
			if err != nil || string(v1) != tt.want {
				t.Errorf("standard library: got %s, %v; want %s", v1, err, tt.want)
			}
		})
	}
}

func TestMoneyJSONComesBackInsideADocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cur := anyCurrency().Draw(t, "currency")
		fee := Amount{anyInt().Draw(t, "fee"), cur}
		in := offer{Rate{anyInt().Draw(t, "price"), cur}, Amount{anyInt().Draw(t, "paid"), cur}, &fee}
		for _, codec := range []struct {
			marshal   func(any) ([]byte, error)
			unmarshal func([]byte, any) error
		}{
			{func(v any) ([]byte, error) { return json.Marshal(v) }, func(b []byte, v any) error { return json.Unmarshal(b, v) }},
			{stdjson.Marshal, stdjson.Unmarshal},
		} {
			text, err := codec.marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			var out offer
			if err := codec.unmarshal(text, &out); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if out.Price != in.Price || out.Paid != in.Paid || out.Fee == nil || *out.Fee != fee {
				t.Fatalf("%s came back as %+v", text, out)
			}
		}
	})
}

func FuzzMoneyJSON(f *testing.F) {
	for _, seed := range []string{`{"unit":"EUR","value":12.34}`, `{"unit":"JPY","value":"5"}`, `null`, `{}`, `[]`,
		`{"unit":"EUR","value":1e-9}`, `{"unit":"EUR","value":1e99}`, `{"value":{}}`, `{"unit":"EUR","value":"\ud800"}`,
		`{"unit":"EUR","unit":"USD","value":1}`, "\xff", `{"unit":"KWD","value":-0.001}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r Rate
		if err := json.Unmarshal(text, &r); err == nil {
			written, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			var back Rate
			if err := json.Unmarshal(written, &back); err != nil || back != r {
				t.Fatalf("%s -> %v -> %s -> %v, %v", text, r, written, back, err)
			}
		}
		var a Amount
		if err := json.Unmarshal(text, &a); err == nil && a.Currency == (Currency{}) && a.Minor != 0 {
			t.Fatalf("%s gave a sum without currency", text)
		}
	})
}
