package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"tandem/app/selfcare"
	"tandem/edge/credit"
	"tandem/kit/store"
)

// A customer reads what he has used, page by page, and what came and went; others, and
// those who ask for too much, read nothing.
func TestSelfCareShowsUsage(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		o.offersSurf()
		line := o.sold("surf")
		o.write(brand, func(tx *store.Tx) error { return buyer(tx, "bob") })
		o.tenant("finch", "2400102", 171, 3)
		for i := range uint64(3) {
			s := &session{o: o, g: o.Charging.Engine, name: fmt.Sprint("s", i), msisdn: char(line, "msisdn")}
			s.says(credit.Initial, 10, 0)
			s.says(credit.Terminate, 10, (i+1)<<20)
			o.await("the usage record", func() bool {
				return o.count("SELECT count(*) FROM charging_usage WHERE tenant = $1", brand) == int64(i+1)
			})
		}
		ada, path := o.owner(o.tokenOf(brand, customer)), "/selfcare/v1/lines/"+line.ID
		var first, second, none selfcare.Usage
		ada.must(t, http.MethodGet, path+"/usage?limit=2", nil, &first)
		ada.must(t, http.MethodGet, path+"/usage?limit=2&cursor="+url.QueryEscape(first.Next), nil, &second)
		if len(first.Uses) != 2 || len(second.Uses) != 1 || first.Next == "" || second.Next != "" {
			t.Fatalf("pages: %+v, %+v", first, second)
		}
		for i, u := range append(first.Uses, second.Uses...) {
			if u.Octets != int64(3-i)<<20 || u.Type != "data" || u.Price == nil || u.Price.Nano != 0 || u.End.IsZero() {
				t.Errorf("use %d: %+v", i, u)
			}
		}
		ada.must(t, http.MethodGet, path+"/usage?from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z", nil, &none)
		if len(none.Uses) != 0 {
			t.Errorf("long ago: %+v", none)
		}
		stated(t, ada, path)
		for query, code := range map[string]string{"limit=0": "badLimit", "limit=101": "badLimit", "cursor=1.2": "badCursor", "cursor=a.b.c": "badCursor", "from=yesterday": "badTime",
			"from=2020-01-01T00:00:00Z&to=2020-04-04T00:00:00Z": "invalidPeriod", "from=2020-02-01T00:00:00Z&to=2020-01-01T00:00:00Z": "invalidPeriod", "customer=bob": "unknownParameter"} {
			ada.refused(t, http.StatusBadRequest, code, http.MethodGet, path+"/usage?"+query, nil)
		}
		ada.refused(t, http.StatusBadRequest, "invalidPeriod", http.MethodGet, path+"/statement?at=2999-01-01T00:00:00Z", nil)
		for _, other := range []owner{o.owner(o.tokenOf(brand, "bob")), o.owner(o.tokenOf("finch", customer))} {
			other.refused(t, http.StatusNotFound, "notFound", http.MethodGet, path+"/usage", nil)
			other.refused(t, http.StatusNotFound, "notFound", http.MethodGet, path+"/statement", nil)
		}
		o.owner(adminToken).refused(t, http.StatusUnauthorized, "unauthorized", http.MethodGet, path+"/usage", nil)
	})
}

// stated reads the statement of the last hour: 6 MiB of the allowance are gone.
func stated(t *testing.T, who owner, path string) {
	t.Helper()
	var s selfcare.Statement
	who.must(t, http.MethodGet, path+"/statement?from="+url.QueryEscape(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)), nil, &s)
	left, gone := "", int64(0)
	for _, b := range s.Balances {
		if b.Name != "8 MB" {
			continue
		}
		left = b.Value.Amount.String()
		for _, e := range s.Entries {
			var n int64
			if _, err := fmt.Sscan(e.Amount.Amount.String(), &n); err != nil {
				t.Fatal(err)
			}
			if e.Balance == b.ID && e.Against == "usage" {
				gone -= n
			}
		}
	}
	if left != fmt.Sprint(allowance-6<<20) || gone != 6<<20 {
		t.Errorf("%s are left, %d were used: %+v", left, gone, s)
	}
}
