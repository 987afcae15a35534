package tmf

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// gadget has an attribute of every sort, twice: with an index and without.
type gadget struct {
	Entity
	Name     string         `json:"name,omitzero"`
	Text     string         `json:"text,omitzero"`
	Made     time.Time      `json:"made,omitzero"`
	Sold     time.Time      `json:"sold,omitzero"`
	Size     *int64         `json:"size,omitzero"`
	Mass     *int64         `json:"mass,omitzero"`
	Count    int64          `json:"count,omitzero"`
	Big      *bool          `json:"big,omitzero"`
	Red      *bool          `json:"red,omitzero"`
	Any      jsontext.Value `json:"any,omitzero"`
	Maker    *Ref           `json:"maker,omitzero"`
	Owner    *Ref           `json:"owner,omitzero"`
	Parts    []part         `json:"parts,omitzero"`
	ValidFor *TimePeriod    `json:"validFor,omitzero"`
}

type part struct {
	ID   string         `json:"id,omitzero"`
	Kind string         `json:"kind,omitzero"`
	N    *int64         `json:"n,omitzero"`
	At   time.Time      `json:"at,omitzero"`
	OK   *bool          `json:"ok,omitzero"`
	V    jsontext.Value `json:"v,omitzero"`
}

var gadgets = Kind[gadget, *gadget]{API: &API{ID: "TEST", Name: "Gadgets", Version: "1", Base: "/tmf-api/gadgets/v1"}, Name: "gadget", Table: "test_gadget", Verbs: All,
	Index: []string{"name", "made", "size", "count", "big", "maker.id", "validFor.startDateTime"}, Multi: []string{"parts.id", "parts.n", "parts.at", "parts.ok"}}

// pools of values that meet often, with the awkward ones among them.
var (
	words = []string{"a", "A", "b", "ä", "z", "aa", "a b", "a,b", "a;b", "a&b=c", "a%b_", `a"b'`, "10", "9", "010", "-1", "true", "日本", "\u00e9", "e\u0301", "a\nb", "<>", "a.b", ""}
	times = []string{"2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.0000009Z", "1969-12-31T23:59:59.999999Z",
		"1970-01-01T00:00:00Z", "2025-12-31T23:00:00-01:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00.000001Z"}
	ints   = []string{"0", "1", "-1", "7", "007", "010", "9", "10", "-10", "9223372036854775807", "-9223372036854775808", "+5"}
	bools  = []string{"true", "false"}
	values = []string{`"a"`, `1`, `1.50`, `true`, `null`, `{"a":1}`, `["a"]`, `"1"`}
)

type dice struct{ *rand.Rand }

func pick1[T any](d dice, from []T) T { return from[d.IntN(len(from))] }

func (d dice) word() string { return pick1(d, words) }

func (d dice) time() (t time.Time) {
	if d.IntN(3) > 0 {
		t, _ = ParseTime(pick1(d, times)) // they are well formed
	}
	return t
}

func (d dice) int() *int64 {
	if d.IntN(3) == 0 {
		return nil
	}
	n, _ := strconv.ParseInt(pick1(d, ints), 10, 64) // the same
	return &n
}

func (d dice) bool() *bool {
	b := d.IntN(2) == 0
	if d.IntN(3) == 0 {
		return nil
	}
	return &b
}

func (d dice) ref() *Ref {
	if d.IntN(3) == 0 {
		return nil
	}
	return &Ref{ID: d.word(), Name: d.word()}
}

func (d dice) any() jsontext.Value {
	if d.IntN(3) == 0 {
		return nil
	}
	return jsontext.Value(pick1(d, values))
}

func (d dice) gadget(n int) *gadget {
	g := &gadget{Name: d.word(), Text: d.word(), Made: d.time(), Sold: d.time(), Size: d.int(), Mass: d.int(), Count: int64(d.IntN(4)),
		Big: d.bool(), Red: d.bool(), Any: d.any(), Maker: d.ref(), Owner: d.ref()}
	g.ID = fmt.Sprintf("%c%d", "aAzZ0"[d.IntN(5)], n)
	for range d.IntN(4) {
		g.Parts = append(g.Parts, part{ID: d.word(), Kind: d.word(), N: d.int(), At: d.time(), OK: d.bool(), V: d.any()})
	}
	if d.IntN(3) > 0 {
		g.ValidFor = &TimePeriod{StartDateTime: d.time()}
	}
	return g
}

var (
	textPaths = []string{"id", "name", "text", "maker.id", "maker.name", "owner.id", "parts.id", "parts.kind", "@type", "href"}
	timePaths = []string{"made", "sold", "parts.at", "validFor.startDateTime", "validFor.endDateTime"}
	intPaths  = []string{"size", "mass", "count", "parts.n"}
	boolPaths = []string{"big", "red", "parts.ok"}
	anyPaths  = []string{"any", "parts.v"}
	sortPaths = []string{"id", "name", "text", "made", "sold", "size", "mass", "big", "red", "maker.id", "owner.name", "validFor.startDateTime"}
	patterns  = []string{"^a", "a", ".", "^$", "0$", "[äz]", "^2026", "(?i)A", "1"}
)

// query is a random query string.
func (d dice) query() string {
	var parts []string
	for range d.IntN(4) {
		parts = append(parts, d.condition())
	}
	if d.IntN(3) > 0 {
		var keys []string
		for range 1 + d.IntN(3) {
			keys = append(keys, pick1(d, []string{"", "-", "%2B"})+pick1(d, sortPaths))
		}
		parts = append(parts, "sort="+strings.Join(keys, ","))
	}
	if d.IntN(2) == 0 {
		parts = append(parts, fmt.Sprintf("limit=%d&offset=%d", 1+d.IntN(20), d.IntN(20)))
	}
	return strings.Join(parts, "&")
}

func (d dice) condition() string {
	kinds := []struct{ paths, values []string }{{textPaths, words}, {timePaths, times}, {intPaths, ints}, {boolPaths, bools}, {anyPaths, values}}
	k := pick1(d, kinds)
	path := pick1(d, k.paths)
	if d.IntN(8) == 0 {
		return path + pick1(d, []string{".regex=", "*=", "%3D~"}) + url.QueryEscape(pick1(d, patterns))
	}
	var vs []string
	for range 1 + d.IntN(3) {
		v := pick1(d, k.values)
		if v == "" && d.IntN(2) == 0 {
			v = "x"
		}
		vs = append(vs, url.QueryEscape(v))
	}
	op := pick1(d, []string{"=", ".eq=", ".ne=", ".gt=", ".gte=", ".lt=", ".lte=", "%3E=", "%3C=", "%3E%3D", "%3C%3D", "%3D%3D", "!="})
	return path + op + strings.Join(vs, pick1(d, []string{",", ";"}))
}

// What the store answers to a query is what the definition says: each resource by
// itself held against the conditions in Go, then sorted, then cut.
func TestFiltersMeanTheSameInSQLAndInGo(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("TANDEM_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("TANDEM_SEED=%d", seed)
	storetest.Each(t, []store.Schema{Schema()}, func(t *testing.T, db *store.DB) {
		d := dice{rand.New(rand.NewPCG(seed, 1))}
		if err := Migrate(t.Context(), db, []Mounted{&gadgets}); err != nil {
			t.Fatal(err)
		}
		mno := store.Scope{Tenant: "mno", Actor: "test"}
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			for n := range 120 {
				g := d.gadget(n)
				if err := gadgets.Create(tx, g); err != nil {
					return fmt.Errorf("%+v: %w", g, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		matched := 0
		err = db.Read(t.Context(), mno, func(tx *store.Tx) error {
			all, err := gadgets.Select(tx, nil, Page{})
			for n := 0; err == nil && n < 1500; n++ {
				text := d.query()
				q, perr := parseQuery(text, gadgets.ready().attribute)
				if perr != nil {
					t.Fatalf("%s: %v", text, perr)
				}
				var p page
				if p, err = gadgets.listDocs(tx, q); err != nil {
					return fmt.Errorf("%s: %w", text, err)
				}
				want, total := answerInGo(all, q)
				var got []string
				for _, doc := range p.docs {
					got = append(got, doc.id)
				}
				if !slices.Equal(got, want) || p.total != total {
					t.Fatalf("?%s\nthe store gives %d of %d: %v\nby the definition %d of %d: %v", text, len(got), p.total, got, len(want), total, want)
				}
				matched += len(got)
			}
			return err
		})
		if err != nil || matched < 2500 {
			t.Fatalf("%d matches, %v", matched, err)
		}
	})
}

// answerInGo is the slow and plain meaning of a query.
func answerInGo(all []*gadget, q *Query) (ids []string, total int64) {
	var found []*gadget
	for _, g := range all {
		if matches(q.Conds, reflect.ValueOf(g)) {
			found = append(found, g)
		}
	}
	slices.SortFunc(found, func(a, b *gadget) int {
		desc := false
		for _, key := range q.Sort {
			desc = key.Desc
			if c := compareAttr(key.attr, a, b); c != 0 {
				return turn(c, desc)
			}
		}
		return turn(cmp.Compare(a.ID, b.ID), desc)
	})
	for i, g := range found {
		if i >= q.Offset && i < q.Offset+q.Limit {
			ids = append(ids, g.ID)
		}
	}
	return ids, int64(len(found))
}

func turn(c int, desc bool) int {
	if desc {
		return -c
	}
	return c
}

// compareAttr orders by an attribute; what is absent comes first.
func compareAttr(attr *attribute, a, b *gadget) int {
	var v [2]any
	for i, g := range []*gadget{a, b} {
		attr.each(reflect.ValueOf(g), func(x reflect.Value) { v[i] = plain(x, attr.kind) })
	}
	switch {
	case v[0] == nil || v[1] == nil:
		return cmp.Compare(boolInt(v[0] != nil), boolInt(v[1] != nil))
	case attr.kind == asText:
		return cmp.Compare(v[0].(string), v[1].(string))
	}
	return cmp.Compare(v[0].(int64), v[1].(int64))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func valueOf(g *gadget) reflect.Value { return reflect.ValueOf(g) }

var dialects = []store.Dialect{store.SQLite, store.Postgres}
