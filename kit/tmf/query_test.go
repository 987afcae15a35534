package tmf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tandem/kit/fault"
)

// One condition in all the forms it may have on the wire.
func TestConditionsInAllTheirForms(t *testing.T) {
	for raw, want := range map[string]string{
		"text=a":                         "text eq a",
		"text.eq=a":                      "text eq a",
		"text%3D%3Da":                    "text eq a",
		"text==a":                        "text eq a",
		"text=a,b":                       "text eq a|b",
		"text=a;b":                       "text eq a|b",
		"text=a;text=b":                  "text eq a|b",
		"text=a&text=b":                  "text eq a|b",
		"text=a%2Cb":                     "text eq a,b",
		"text=a%3Bb":                     "text eq a;b",
		"text=a+b":                       "text eq a b",
		"text=":                          "text eq ",
		"text":                           "text eq ",
		"text=a%3Db":                     "text eq a=b",
		"text=a=b":                       "text eq a=b",
		"text.ne=a":                      "text ne a",
		"text!=a":                        "text ne a",
		"text%21%3Da":                    "text ne a",
		"size.gt=5":                      "size gt 5",
		"size%3E5":                       "size gt 5",
		"size>5":                         "size gt 5",
		"size.gte=5":                     "size gte 5",
		"size%3E%3D5":                    "size gte 5",
		"size%3E=5":                      "size gte 5",
		"size>=5":                        "size gte 5",
		"size.lt=5":                      "size lt 5",
		"size%3C5":                       "size lt 5",
		"size.lte=5":                     "size lte 5",
		"size<=5":                        "size lte 5",
		"size%3C%3D-5":                   "size lte -5",
		"size%3C%3D1,2":                  "size lte 1|2",
		"text%3Ea%2Cb":                   "text gt a,b",
		"text%3Ea>b":                     "text gt a>b",
		"text.regex=a.b":                 "text regex a.b",
		"text*=a.b":                      "text regex a.b",
		"text%3D~a.b":                    "text regex a.b",
		"text.regex=a,b":                 "text regex a|b",
		"made.gte=2026-01-01T00:00:00Z":  "made gte 2026-01-01T00:00:00Z",
		"made=2026-01-01T00:00:00+01:00": "made eq 2026-01-01T00:00:00 01:00",
		"parts.id=a":                     "parts.id eq a",
		"%70arts.id=a":                   "parts.id eq a",
	} {
		q, err := parseQuery(raw, gadgets.ready().attribute)
		if err != nil || len(q.Conds) != 1 {
			t.Errorf("%s: %+v, %v", raw, q, err)
			continue
		}
		c := q.Conds[0]
		if got := fmt.Sprintf("%s %s %s", c.Path, c.Op, strings.Join(c.Values, "|")); got != want {
			t.Errorf("%s means %q, want %q", raw, got, want)
		}
	}
}

// FuzzQuery: whatever comes in, it is refused in words or obeyed within limits; and
// what is obeyed compiles to SQL that names only columns of the kind.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"name=a&sort=-made", "made%3E2026-01-01T00:00:00Z", "text*=a", "size.gte=1,2;size=3", "fields=a,b.c&limit=5&offset=1", "%zz", "parts.n!=1",
		"name=x'--", "=", "&&;;,,", "any=%7B%7D", "text%3D~(", "id.gt=" + strings.Repeat("x", 600), "sort=,", "limit=99999999999999999999", "\xff=\xff", "name=%ff", "maker.id%00=1", ">", "!=", "a>=", "%", "%3E", "size>%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw, gadgets.ready().attribute)
		if err != nil {
			refusal(t, err)
			return
		}
		if q.Limit < 1 || q.Limit > maxLimit || q.Offset < 0 || len(q.Conds) > maxConditions || len(q.Sort) > 5 || len(q.Fields) > 100 {
			t.Fatalf("%q is beyond the limits: %+v", raw, q)
		}
		g := &gadget{Name: "a"}
		g.ID = "a"
		for i := range q.Conds {
			c := &q.Conds[i]
			if c.attr == nil || !slices.Contains([]string{"eq", "ne", "gt", "gte", "lt", "lte", "regex"}, c.Op) || len(c.Values) == 0 || len(c.Values) > maxValues {
				t.Fatalf("%q: %+v", raw, c)
			}
			matches(q.Conds[i:i+1], valueOf(g))
		}
		for _, dialect := range dialects {
			sql := gadgets.compile(dialect, q)
			if text := sql.where + sql.order; strings.ContainsAny(text, ";\"\\`\x00") && !strings.Contains(text, `COLLATE "C"`) {
				t.Fatalf("%q: %s", raw, text)
			}
		}
	})
}

// refusal: an error about what a client sent is a refusal with words.
func refusal(t *testing.T, err error) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code == "" || f.Reason == "" || f.Kind == fault.Internal {
		t.Fatalf("not a refusal: %v", err)
	}
}
