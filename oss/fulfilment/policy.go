package fulfilment

import (
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// API is Tandem's own face of fulfilment: what TM Forum has no API for.
var API = &tmf.API{ID: "FULFILMENT", Name: "Fulfilment Operations", Version: "1.0.0", Base: "/tandem-api/fulfilment/v1"}

// FaultPolicy says what an error of an element means for a task: how often and
// how patiently to try, and what to do then. The first that fits counts, the
// most specific first: resource type and class, then class alone.
type FaultPolicy struct {
	tmf.Entity
	ResourceType string `json:"resourceType,omitzero"` // hlrSubscriber; empty: any
	Class        string `json:"class,omitzero" tmf:"required,enum=transient|capacity|validation|conflict|auth|unknown"`
	Tries        int64  `json:"tries,omitzero"`     // attempts in all
	FirstWait    int64  `json:"firstWait,omitzero"` // milliseconds before the second attempt, doubled each time
	LongestWait  int64  `json:"longestWait,omitzero"`
	Then         string `json:"then,omitzero" tmf:"required,enum=fallout|compensate"`
}

// FaultPolicies are a tenant's own; what they do not cover follows builtin.
var FaultPolicies = tmf.Kind[FaultPolicy, *FaultPolicy]{
	API: API, Name: "faultPolicy", Table: "fulfilment_fault_policy", Verbs: tmf.All, Index: []string{"class"},
}

// builtin is the policy table that comes with the product. What may pass by itself
// is tried for four hours. An unknown outcome is tried like a transient one: the
// driver reads back before it repeats anything.
var builtin = map[string]FaultPolicy{
	"transient":  {Tries: 60, FirstWait: 250, LongestWait: 300_000, Then: "fallout"},
	"unknown":    {Tries: 60, FirstWait: 250, LongestWait: 300_000, Then: "fallout"},
	"capacity":   {Tries: 5, FirstWait: 5_000, LongestWait: 300_000, Then: "fallout"},
	"conflict":   {Tries: 1, Then: "fallout"},
	"validation": {Tries: 1, Then: "fallout"},
	"auth":       {Tries: 1, Then: "fallout"},
}

func checkPolicy(_ *store.Tx, _, p *FaultPolicy) error {
	if p.Tries < 1 || p.Tries > 1000 {
		return fault.BadInput("badPolicy", "tries must be 1 to 1000")
	}
	if p.FirstWait < 0 || p.LongestWait < p.FirstWait || p.LongestWait > 24*3600_000 {
		return fault.BadInput("badPolicy", "firstWait and longestWait are milliseconds, up to a day, and firstWait is not the longer one")
	}
	return nil
}

func policyFor(tx *store.Tx, typ, class string) (FaultPolicy, error) {
	own, err := FaultPolicies.Select(tx, tmf.Where{"class": class}, tmf.Page{Sort: "id"})
	if err != nil {
		return FaultPolicy{}, err
	}
	best, found := builtin[class], false
	for _, p := range own {
		if p.ResourceType == typ {
			return *p, nil
		}
		if p.ResourceType == "" && !found {
			best, found = *p, true
		}
	}
	if best.Tries == 0 {
		best = builtin["transient"]
	}
	return best, nil
}

// wait before the attempt after the given number of failed ones.
func (p FaultPolicy) wait(failed int64) time.Duration {
	ms := p.LongestWait
	if failed < 30 || p.FirstWait == 0 {
		ms = min(p.FirstWait<<failed, p.LongestWait)
	}
	return time.Duration(max(ms, 1)) * time.Millisecond
}
