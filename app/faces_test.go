package app_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/app"
	"tandem/edge/credit"
)

// The file of --faces says what is granted where nothing is known: nonsense is refused, the
// rest is granted, and counted.
func TestDefaultGrantsOfANode(t *testing.T) {
	read := func(doc string) (app.Faces, error) {
		path := filepath.Join(t.TempDir(), "faces.json")
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		return app.ReadFaces(path)
	}
	for doc, want := range map[string]string{
		`{"defaults":{"unknown":[{"service":"telex","units":1,"unit":"events"}]}}`: `service is data, voice, sms, mms, broadband or content, not "telex"`,
		`{"defaults":{"outage":[{"service":"data","unit":"octets"}]}}`:             "units are what is granted at a time",
		`{"defaults":{"always":[]}}`:                                               "cannot be read",
	} {
		if _, err := read(doc); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", doc, err)
		}
	}
	faces, err := read(`{"defaults":{"unknown":[{"service":"data","units":1048576,"unit":"octets","validity":"PT5M"}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, c app.Config) {
		c.Listen, c.Faces = "127.0.0.1:0", faces
		a := open(t, c)
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		asks := func(service credit.Service) *credit.Answer {
			call := &credit.Call{Request: credit.Request{Face: credit.Nchf, Kind: credit.Initial, Service: service, Numbered: true, Peer: []byte("smf"), Session: []byte{'s', byte('0' + service)},
				Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte("46700999999")}}}}
			call.Request.AddUnit().Asked = true
			credit.Do(a.Charging.Engine, call)
			return &call.Answer
		}
		if got := asks(credit.Data); got.Result != credit.Success || len(got.Units) != 1 || got.Units[0].Grant.Total != 1<<20 || got.Units[0].Validity != 300 {
			t.Errorf("granted %+v", got)
		}
		if got := asks(credit.Voice); got.Result != credit.UnknownUser {
			t.Errorf("a service without a default: %+v", got)
		}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		for _, line := range []string{"tandem_charging_unknown_grants_total 1\n", "tandem_charging_outage_grants_total 0\n"} {
			if !strings.Contains(w.Body.String(), line) {
				t.Errorf("%q is not among the metrics", line)
			}
		}
	})
}
