package billing_test

import (
	"testing"
)

func TestAccountsByAPI(t *testing.T) {
	each(t, func(w *world) {
		c := w.customer("Groß")
		who := `"relatedParty":[{"id":"` + c + `","role":"customer"}]`
		for _, kind := range []string{"partyAccount", "billingAccount", "settlementAccount"} {
			path := accounts + kind
			w.refused("POST", path, `{"name":"n"}`, 400, "mandatoryAttributeMissing")
			w.refused("POST", path, `{`+who+`}`, 400, "mandatoryAttributeMissing")
			w.refused("POST", path, `{"name":"n","relatedParty":[{"id":"x","role":"customer"}]}`, 400, "unknownReference")
			w.refused("POST", path, `{"name":"n","currency":"XTS",`+who+`}`, 400, "unknownCurrency")
			w.refused("POST", path, `{"name":"n","currency":"CHF","creditLimit":{"unit":"EUR","value":1},`+who+`}`, 400, "mixedCurrency")
			w.refused("POST", path, `{"name":"n","timeZone":"Mars/Base",`+who+`}`, 400, "unknownTimeZone")
			w.refused("POST", path, `{"name":"n","financialAccount":{"id":"x"},`+who+`}`, 400, "unknownReference")
			w.refused("POST", path, `{"name":"n","accountRelationship":[{"relationshipType":"x","validFor":{"startDateTime":"2026-01-01T00:00:00Z"},"account":{"id":"x"}}],`+who+`}`, 400, "unknownReference")
			w.refused("POST", path, `{"name":"n","billStructure":{"format":{"id":"x","isRef":true}},`+who+`}`, 400, "unknownReference")
			w.refused("POST", path, `{"name":"n","billStructure":{"format":{"name":"x"}},`+who+`}`, 400, "mandatoryAttributeMissing")

			id := w.post(path, `{"name":"n","creditLimit":{"unit":"EUR","value":500},`+who+`}`)
			a := w.api.Do("mno", "GET", path+"/"+id, nil).Object()
			if a["state"] != "Active" || a["currency"] != "EUR" || a["lastModified"] == nil {
				w.Errorf("%s: %v", kind, a)
			}
			if r := w.api.Do("mno", "PATCH", path+"/"+id, `{"state":"Suspended"}`); r.Status != 200 {
				w.Errorf("suspend: %d %s", r.Status, r.Body)
			}
			if r := w.api.Do("mno", "PATCH", path+"/"+id, `{"state":"Closed"}`); r.Status != 200 {
				w.Errorf("close: %d %s", r.Status, r.Body)
			}
			w.refused("PATCH", path+"/"+id, `{"state":"Active"}`, 409, "illegalMove")
			if l := w.api.Do("mno", "GET", path+"?relatedParty.id="+c, nil).List(); len(l) != 1 {
				w.Errorf("by customer: %d", len(l))
			}
		}
	})
}

func TestABillStructureHoldsOnToItsParts(t *testing.T) {
	each(t, func(w *world) {
		cycle := w.post(accounts+"billingCycleSpecification", `{"name":"monthly, 1st","billingPeriod":"month","billingDateShift":0,"paymentDueDateOffset":14}`)
		format := w.post(accounts+"billFormat", `{"name":"itemised"}`)
		media := w.post(accounts+"billPresentationMedia", `{"name":"e-mail"}`)
		money := w.post(accounts+"financialAccount", `{"name":"all of it"}`)
		w.refused("POST", accounts+"billingCycleSpecification", `{"name":"n","paymentDueDateOffset":4000}`, 400, "invalidOffset")
		id := w.post(accounts+"billingAccount", `{"name":"n","financialAccount":{"id":"`+money+`"},"relatedParty":[{"id":"elsewhere"}],"billStructure":{
			"cycleSpecification":{"id":"`+cycle+`"},"format":{"id":"`+format+`"},"presentationMedia":[{"id":"`+media+`"},{"isRef":false,"name":"paper"}]}}`)
		a := w.api.Do("mno", "GET", accounts+"billingAccount/"+id, nil).Object()
		if s := a["billStructure"].(map[string]any)["cycleSpecification"].(map[string]any); s["name"] != "monthly, 1st" || s["isRef"] != true {
			w.Errorf("completed: %v", s)
		}
		parts := []string{"billingCycleSpecification/" + cycle, "billFormat/" + format, "billPresentationMedia/" + media, "financialAccount/" + money}
		for _, p := range parts {
			w.refused("DELETE", accounts+p, ``, 409, "stillReferenced")
		}
		if r := w.api.Do("mno", "DELETE", accounts+"billingAccount/"+id, nil); r.Status != 204 {
			w.Errorf("DELETE: %d %s", r.Status, r.Body)
		}
		for _, p := range parts {
			if r := w.api.Do("mno", "DELETE", accounts+p, nil); r.Status != 204 {
				w.Errorf("DELETE %s: %d %s", p, r.Status, r.Body)
			}
		}
	})
}
