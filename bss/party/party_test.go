package party_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tandem/bss/party"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

const (
	individuals   = "/tmf-api/party/v4/individual"
	organizations = "/tmf-api/party/v4/organization"
	customers     = "/tmf-api/customerManagement/v4/customer"
	roles         = "/tmf-api/partyRoleManagement/v4/partyRole"
)

func each(t *testing.T, f func(t *testing.T, db *store.DB, api *tmftest.API)) {
	tmftest.Each(t, nil, party.Kinds(), func(t *testing.T, db *store.DB) { f(t, db, tmftest.Serve(t, db, party.Kinds())) })
}

// must sends a request and fails the test unless the status is the one wanted.
func must(t *testing.T, api *tmftest.API, want int, method, path, body string) map[string]any {
	t.Helper()
	var sent any
	if body != "" {
		sent = body
	}
	a := api.Do("acme", method, path, sent)
	if a.Status != want {
		t.Fatalf("%s %s %s: %d, want %d: %s", method, path, body, a.Status, want, a.Body)
	}
	return a.Object()
}

func refused(t *testing.T, got map[string]any, code string) {
	t.Helper()
	if got["code"] != code {
		t.Errorf("refused with %v (%v), want code %s", got["code"], got["reason"], code)
	}
}

const anna = `{"id":"anna","givenName":"Anna","familyName":"Berg","contactMedium":[
	{"mediumType":"email","characteristic":{"emailAddress":"old@example.com"},"validFor":{"endDateTime":"2020-01-01T00:00:00Z"}},
	{"mediumType":"email","characteristic":{"emailAddress":"anna@example.com"}},
	{"mediumType":"mobile","preferred":true,"characteristic":{"phoneNumber":"+49 170 1234567"}}],
	"languageAbility":[{"languageCode":"en"},{"languageCode":"de","isFavouriteLanguage":true}]}`

func TestInputIsChecked(t *testing.T) {
	medium := func(m string) string {
		return `{"givenName":"A","familyName":"B","contactMedium":[` + m + `]}`
	}
	rules := []struct{ rule, path, body, code string }{
		{"an individual has a family name", individuals, `{"givenName":"A"}`, "mandatoryAttributeMissing"},
		{"an organization has a trading name", organizations, `{"name":"A"}`, "mandatoryAttributeMissing"},
		{"a customer engages a party", customers, `{"name":"A"}`, "mandatoryAttributeMissing"},
		{"nobody is born in the future", individuals, `{"givenName":"A","familyName":"B","birthDate":"2999-01-01T00:00:00Z"}`, "invalidBirthDate"},
		{"nobody dies before birth", individuals, `{"givenName":"A","familyName":"B","birthDate":"1990-01-01T00:00:00Z","deathDate":"1980-01-01T00:00:00Z"}`, "invalidDeathDate"},
		{"a status is one of the file's", individuals, `{"givenName":"A","familyName":"B","status":"happy"}`, "invalidValue"},
		{"nobody is registered dead", individuals, `{"givenName":"A","familyName":"B","status":"deceaded"}`, "illegalState"},
		{"an e-mail medium has an address", individuals, medium(`{"mediumType":"email address"}`), "incompleteContact"},
		{"a phone has a number", individuals, medium(`{"mediumType":"Mobile"}`), "incompleteContact"},
		{"an e-mail address has a domain", individuals, medium(`{"mediumType":"email","characteristic":{"emailAddress":"anna"}}`), "invalidEmail"},
		{"an e-mail address has no display name", individuals, medium(`{"characteristic":{"emailAddress":"Anna <anna@example.com>"}}`), "invalidEmail"},
		{"a phone number is digits", individuals, medium(`{"characteristic":{"phoneNumber":"call me"}}`), "invalidPhone"},
		{"E.164 has at most 15 digits", individuals, medium(`{"characteristic":{"phoneNumber":"+4912345678901234"}}`), "invalidPhone"},
		{"a country code has no leading zero", individuals, medium(`{"characteristic":{"phoneNumber":"+0491234567"}}`), "invalidPhone"},
		{"a period ends after it starts", individuals, medium(`{"validFor":{"startDateTime":"2026-01-02T00:00:00Z","endDateTime":"2026-01-01T00:00:00Z"}}`), "invalidPeriod"},
		{"a language is named", individuals, `{"givenName":"A","familyName":"B","languageAbility":[{"isFavouriteLanguage":true}]}`, "invalidLanguage"},
		{"the engaged party exists", customers, `{"name":"A","engagedParty":{"id":"nobody"}}`, "unknownParty"},
		{"the engaged party is a party", customers, `{"name":"A","engagedParty":{"id":"anna","@referredType":"Customer"}}`, "wrongPartyType"},
		{"the engaged party is what it is called", customers, `{"name":"A","engagedParty":{"id":"anna","@referredType":"Organization"}}`, "unknownParty"},
		{"a role's party exists too", roles, `{"name":"dealer","engagedParty":{"id":"nobody"}}`, "unknownParty"},
		{"a credit profile has a date", customers, `{"name":"A","engagedParty":{"id":"anna"},"creditProfile":[{"creditScore":7}]}`, "mandatoryAttributeMissing"},
		{"a parent organization exists", organizations, `{"tradingName":"A","organizationParentRelationship":{"organization":{"id":"none"}}}`, "unknownOrganization"},
	}
	each(t, func(t *testing.T, _ *store.DB, api *tmftest.API) {
		must(t, api, http.StatusCreated, "POST", individuals, anna)
		for _, r := range rules {
			t.Run(r.rule, func(t *testing.T) {
				refused(t, must(t, api, http.StatusBadRequest, "POST", r.path, r.body), r.code)
			})
		}
	})
}

func TestCustomerIsNamedAfterItsParty(t *testing.T) {
	each(t, func(t *testing.T, _ *store.DB, api *tmftest.API) {
		must(t, api, http.StatusCreated, "POST", individuals, anna)
		c := must(t, api, http.StatusCreated, "POST", customers, `{"id":"c1","name":"Anna at work","engagedParty":{"id":"anna","name":"Somebody else"},"x":{"kept":[1]}}`)
		p := c["engagedParty"].(map[string]any)
		if p["name"] != "Anna Berg" || p["@referredType"] != "Individual" || p["href"] != individuals+"/anna" {
			t.Errorf("engagedParty %v", p)
		}
		if c["status"] != party.Active || fmt.Sprint(c["x"]) != "map[kept:[1]]" {
			t.Errorf("customer %v", c)
		}
		if a := api.Do("other", "POST", customers, `{"name":"A","engagedParty":{"id":"anna"}}`); a.Status != http.StatusBadRequest {
			t.Errorf("a party of another tenant was engaged: %d %s", a.Status, a.Body)
		}
	})
}

func TestStatesMoveAsTheyMay(t *testing.T) {
	moves := []struct {
		rule, path, body string
		status           []string // each step but the last is allowed
		last             int
	}{
		{"an initialized person dies", individuals, `{"givenName":"A","familyName":"B"}`, []string{"deceaded"}, 200},
		{"a death in error is put right", individuals, `{"givenName":"A","familyName":"B"}`, []string{"validated", "deceaded", "validated"}, 200},
		{"the dead are not initialized", individuals, `{"givenName":"A","familyName":"B"}`, []string{"deceaded", "initialized"}, 409},
		{"a closed organization stays closed", organizations, `{"tradingName":"A"}`, []string{"closed", "validated"}, 409},
		{"a prospect becomes a customer", customers, `{"name":"A","engagedParty":{"id":"anna"},"status":"Prospective"}`, []string{"Active", "Suspended", "Active", "Closed"}, 200},
		{"a prospect is not suspended", customers, `{"name":"A","engagedParty":{"id":"anna"},"status":"Prospective"}`, []string{"Suspended"}, 409},
		{"a closed customer stays closed", customers, `{"name":"A","engagedParty":{"id":"anna"}}`, []string{"Closed", "Active"}, 409},
		{"a closed customer gets no word of one's own", customers, `{"name":"A","engagedParty":{"id":"anna"}}`, []string{"Closed", "Gold"}, 409},
		{"an operator has words of its own", customers, `{"name":"A","engagedParty":{"id":"anna"},"status":"Gold"}`, []string{"Silver", "Active", "Bronze"}, 200},
		{"a role follows the same order", roles, `{"name":"dealer"}`, []string{"Suspended", "Closed", "Active"}, 409},
	}
	each(t, func(t *testing.T, _ *store.DB, api *tmftest.API) {
		must(t, api, http.StatusCreated, "POST", individuals, anna)
		for _, m := range moves {
			t.Run(m.rule, func(t *testing.T) {
				id := must(t, api, http.StatusCreated, "POST", m.path, m.body)["id"].(string)
				for i, s := range m.status {
					want := http.StatusOK
					if i == len(m.status)-1 {
						want = m.last
					}
					must(t, api, want, "PATCH", m.path+"/"+id, `{"status":"`+s+`"}`)
				}
			})
		}
	})
}

func TestNothingReferredToIsDeleted(t *testing.T) {
	each(t, func(t *testing.T, _ *store.DB, api *tmftest.API) {
		must(t, api, 201, "POST", individuals, anna)
		must(t, api, 201, "POST", organizations, `{"id":"group","tradingName":"Group"}`)
		must(t, api, 201, "POST", organizations, `{"id":"part","tradingName":"Part","organizationParentRelationship":{"organization":{"id":"group"}}}`)
		must(t, api, 201, "POST", customers, `{"id":"anna","name":"Anna","engagedParty":{"id":"anna"}}`)
		must(t, api, 201, "POST", customers, `{"id":"c2","name":"Part","engagedParty":{"id":"part"},"relatedParty":[{"id":"anna","role":"payer","@referredType":"Customer"}]}`)
		must(t, api, 201, "POST", roles, `{"id":"r1","name":"dealer","engagedParty":{"id":"part"},"relatedParty":[{"id":"r1","role":"self"}]}`)
		for _, kept := range []string{individuals + "/anna", organizations + "/group", organizations + "/part", customers + "/anna"} {
			refused(t, must(t, api, 409, "DELETE", kept, ""), "stillReferenced")
			must(t, api, 200, "GET", kept, "")
		}
		for _, gone := range []string{roles + "/r1", customers + "/c2", organizations + "/part", organizations + "/group", customers + "/anna", individuals + "/anna"} {
			must(t, api, 204, "DELETE", gone, "")
			must(t, api, 404, "GET", gone, "")
		}
	})
}

func TestOrganizationsAreATree(t *testing.T) {
	each(t, func(t *testing.T, _ *store.DB, api *tmftest.API) {
		parent := func(id string) string {
			return `{"organizationParentRelationship":{"relationshipType":"juridical","organization":{"id":"` + id + `"}}}`
		}
		for _, id := range []string{"a", "b", "c"} {
			must(t, api, 201, "POST", organizations, `{"id":"`+id+`","tradingName":"`+id+`"}`)
		}
		must(t, api, 200, "PATCH", organizations+"/b", parent("a"))
		must(t, api, 200, "PATCH", organizations+"/c", parent("b"))
		refused(t, must(t, api, 400, "PATCH", organizations+"/a", parent("c")), "organizationCycle")
		refused(t, must(t, api, 400, "PATCH", organizations+"/a", parent("a")), "organizationCycle")
	})
}

func TestTheDeadAreNotEngaged(t *testing.T) {
	each(t, func(t *testing.T, _ *store.DB, api *tmftest.API) {
		must(t, api, 201, "POST", individuals, anna)
		must(t, api, 201, "POST", customers, `{"id":"c1","name":"Anna","engagedParty":{"id":"anna"}}`)
		must(t, api, 200, "PATCH", individuals+"/anna", `{"status":"deceaded"}`)
		refused(t, must(t, api, 400, "POST", customers, `{"name":"Anna","engagedParty":{"id":"anna"}}`), "partyClosed")
		must(t, api, 200, "PATCH", customers+"/c1", `{"status":"Closed","statusReason":"deceased"}`) // the estate is wound up
	})
}

func TestContactsReachTheCustomer(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		must(t, api, 201, "POST", individuals, anna)
		must(t, api, 201, "POST", organizations, `{"id":"acme","tradingName":"Acme","partyCharacteristic":[{"name":"language","value":"fr"}],
			"contactMedium":[{"characteristic":{"phoneNumber":"030 123456"}}]}`)
		must(t, api, 201, "POST", customers, `{"id":"person","name":"x","engagedParty":{"id":"anna"}}`)
		must(t, api, 201, "POST", customers, `{"id":"firm","name":"x","engagedParty":{"id":"acme"},"contactMedium":[
			{"characteristic":{"emailAddress":"first@acme.example"}},{"preferred":true,"characteristic":{"emailAddress":"best@acme.example"}}]}`)
		must(t, api, 201, "POST", customers, `{"id":"own","name":"x","engagedParty":{"id":"anna"},"characteristic":[{"name":"language","value":"es"}],
			"contactMedium":[{"characteristic":{"emailAddress":"own@example.com"}}]}`)
		want := map[string]party.Contact{
			"person": {Email: "anna@example.com", Phone: "+49 170 1234567", Name: "Anna Berg", Language: "de"},
			"firm":   {Email: "best@acme.example", Phone: "030 123456", Name: "Acme", Language: "fr"},
			"own":    {Email: "own@example.com", Phone: "+49 170 1234567", Name: "Anna Berg", Language: "es"},
		}
		read(t, db, func(tx *store.Tx) error {
			for id, w := range want {
				got, err := party.Contacts(tx, id)
				if err != nil || got != w {
					t.Errorf("%s: %+v, %v; want %+v", id, got, err, w)
				}
			}
			_, err := party.Contacts(tx, "nobody")
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("an unknown customer: %v", err)
			}
			return nil
		})
	})
}

func read(t *testing.T, db *store.DB, f func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Read(t.Context(), store.Scope{Tenant: "acme", Actor: "test"}, f); err != nil {
		t.Fatal(err)
	}
}

func TestBuyerMayBuy(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		must(t, api, 201, "POST", individuals, anna)
		must(t, api, 201, "POST", customers, `{"id":"open","name":"x","engagedParty":{"id":"anna"}}`)
		must(t, api, 201, "POST", customers, `{"id":"closed","name":"x","engagedParty":{"id":"anna"},"status":"Closed"}`)
		must(t, api, 201, "POST", customers, `{"id":"past","name":"x","engagedParty":{"id":"anna"},"validFor":{"endDateTime":"2020-01-01T00:00:00Z"}}`)
		read(t, db, func(tx *store.Tx) error {
			for id, code := range map[string]string{"closed": "customerClosed", "past": "customerNotValid", "nobody": "unknownCustomer"} {
				if _, err := party.Buyer(tx, id); fault.Of(err).Code != code {
					t.Errorf("%s: %v, want %s", id, err, code)
				}
			}
			c, err := party.Buyer(tx, "open")
			if err != nil || c.ID != "open" {
				t.Errorf("open: %v, %v", c, err)
			}
			return nil
		})
	})
}

func TestKeepersAreAskedBeforeACustomerGoes(t *testing.T) {
	busy := fault.Clash("hasProducts", "The customer still has products")
	party.Keep("test", func(_ *store.Tx, id string) error {
		if strings.HasPrefix(id, "busy") {
			return busy
		}
		return nil
	})
	t.Cleanup(func() { party.Keep("test", func(*store.Tx, string) error { return nil }) })
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		must(t, api, 201, "POST", individuals, anna)
		must(t, api, 201, "POST", customers, `{"id":"busy","name":"x","engagedParty":{"id":"anna"}}`)
		must(t, api, 201, "POST", customers, `{"id":"idle","name":"x","engagedParty":{"id":"anna"}}`)
		refused(t, must(t, api, 409, "DELETE", customers+"/busy", ""), "hasProducts")
		must(t, api, 204, "DELETE", customers+"/idle", "")
		err := db.Write(t.Context(), store.Scope{Tenant: "acme", Actor: "test"}, func(tx *store.Tx) error {
			c, err := party.Customers.Lock(tx, "busy")
			if err != nil {
				return err
			}
			return party.Customers.Remove(tx, c)
		})
		if !errors.Is(err, busy) {
			t.Errorf("removed in code: %v", err)
		}
		must(t, api, 200, "GET", customers+"/busy", "")
	})
}

// Whoever refers to a party and whoever deletes it at the same time: one of them
// is refused, and no customer is left without its party.
func TestDeleteRacesWithReference(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		for i := range 20 {
			id := fmt.Sprintf("p%d", i)
			must(t, api, 201, "POST", individuals, `{"id":"`+id+`","givenName":"A","familyName":"B"}`)
			done := make(chan int, 2)
			go func() { done <- api.Do("acme", "DELETE", individuals+"/"+id, nil).Status }()
			go func() {
				done <- api.Do("acme", "POST", customers, `{"name":"x","engagedParty":{"id":"`+id+`"}}`).Status
			}()
			first, second := <-done, <-done
			gone, engaged := first == 204 || second == 204, first == 201 || second == 201
			if gone == engaged {
				t.Fatalf("deleted %v and engaged %v: %d, %d", gone, engaged, first, second)
			}
		}
	})
}
