package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/app"
	"tandem/edge/credit"
	"tandem/edge/hlr/hlrtest"
	"tandem/kit/store"
)

// A customer uses up what he has, reported by a 5G core: he is told of 50, 80 and 100 %
// of it by mail, through a mail server of another house, each once, and in the next cycle
// again.
func TestThresholdsReachTheCustomerOnceACycle(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			thresholds(t, engine)
		})
	}
}

func thresholds(t *testing.T, engine store.Dialect) {
	var ahead atomic.Int64
	e := hlrtest.Start(t)
	c := config(t, engine)
	c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	c.Faces = app.Faces{Nchf: &app.NchfFace{Listen: "127.0.0.1:0"}}
	post := takesMail(t)
	c.Messages = post.relay()
	o := start(t, c, e)
	o.seed(e.CTRL(), e.VTY(), stock)
	o.offersSurf()
	for path, doc := range map[string]string{
		"/tmf-api/productCatalogManagement/v4/productOfferingPrice/surf-data": `{"tandem:rating": {"notify": [50, 80, 100]}}`,
		"/tmf-api/party/v4/individual/person-" + customer:                     `{"contactMedium": [{"mediumType": "email", "characteristic": {"emailAddress": "ada@example.com"}}]}`,
	} {
		if a := o.as(brand, http.MethodPatch, path, doc); a.status != http.StatusOK {
			t.Fatalf("%s: %s", path, a)
		}
	}
	msisdn := char(o.sold("surf"), "msisdn")
	total := int64(0)
	uses := func(g credit.Charger, name string, octets ...uint64) {
		t.Helper()
		s := &session{o: o, g: g, name: name, msisdn: msisdn}
		s.says(credit.Initial, 10, 0)
		for _, n := range octets {
			s.says(credit.Update, 10, n)
			total += int64(n)
		}
		s.says(credit.Terminate, 10, 0)
		o.await("the usage of "+name, func() bool {
			return o.count("SELECT CAST(coalesce(sum(octets), 0) AS BIGINT) FROM charging_usage WHERE tenant = $1", brand) == total
		})
		o.idle()
	}
	smf := o.core5G()
	uses(smf, "first", allowance*51/100, allowance*20/100, allowance*9/100, allowance*25/100)
	uses(smf, "second", 100_000) // there is nothing left to tell of
	o.heard("in the first cycle", map[string]int{"allowanceUsed 50 %": 1, "allowanceUsed 80 %": 1, "allowanceGone": 1})
	post.took(o, "of the first cycle", "ada@example.com", map[string]int{"50 % of 8 MB used": 1, "80 % of 8 MB used": 1, "8 MB is used up": 1})
	// The 5G core and its face stay behind: they go by the clock of this machine.
	ahead.Add(int64(32 * 24 * time.Hour))
	next := o.owner(o.tokenOf(brand, customer))
	o.await("the next cycle", func() bool { return next.left(t)["8 MB"] == fmt.Sprint(allowance) })
	uses(o.Charging.Engine, "third", allowance*51/100, allowance*20/100)
	o.heard("in the second cycle", map[string]int{"allowanceUsed 50 %": 2, "allowanceUsed 80 %": 1, "allowanceGone": 1})
	post.took(o, "of both cycles", "ada@example.com", map[string]int{"50 % of 8 MB used": 2, "80 % of 8 MB used": 1, "8 MB is used up": 1})
}

// heard compares the messages to customers of allowances, counted by notice and part.
func (o *operator) heard(when string, want map[string]int) {
	o.t.Helper()
	a := o.as(brand, http.MethodGet, "/tmf-api/communicationManagement/v4/communicationMessage?limit=100", nil)
	var all []struct{ Description, Content string }
	if err := json.Unmarshal(a.body, &all); err != nil {
		o.t.Fatalf("%s: %v", a, err)
	}
	got := map[string]int{}
	for _, m := range all {
		switch m.Description {
		case "allowanceUsed":
			_, rest, _ := strings.Cut(m.Content, "used ")
			part, _, _ := strings.Cut(rest, " of ")
			got[m.Description+" "+part]++
		case "allowanceGone":
			got[m.Description]++
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		o.t.Errorf("%s the customer was told %v, not %v", when, got, want)
	}
}
