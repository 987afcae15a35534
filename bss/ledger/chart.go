package ledger

import (
	"regexp"
	"slices"
	"strings"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// API is Tandem's own API of the books.
var API = tmf.API{ID: "LEDGER", Name: "Ledger", Version: "1.0.0", Base: "/tandem-api/ledger/v1"}

// ChartAccount says under which account of the operator's own general ledger an account
// of these books is kept. An account that says nothing goes by its code, or by its sort.
type ChartAccount struct {
	tmf.Entity
	Account     string `json:"account,omitzero" tmf:"required"` // a sort, such as receivable, or one with its code: revenue:4400
	GLAccount   string `json:"glAccount,omitzero" tmf:"required"`
	Name        string `json:"name,omitzero"` // as the bookkeeper reads it
	Description string `json:"description,omitzero"`
}

// ChartAccounts are the tenant's chart.
var ChartAccounts = tmf.Kind[ChartAccount, *ChartAccount]{
	API: &API, Name: "account", Table: "ledger_chart", Verbs: tmf.All, Index: []string{"account"},
}

// glCode is the shape of an account of the operator's general ledger.
var glCode = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:/_-]{0,39}$`)

// maxChart bounds the chart, which every closing keeps.
const maxChart = 2000

func checkChart(tx *store.Tx, old, a *ChartAccount) error {
	sort, code, coded := strings.Cut(a.Account, ":")
	is, ok := sorts[sort]
	switch {
	case !ok || coded && (code == "" || !is.coded) || len(a.Account) > 64:
		return fault.BadInput("unknownAccount", "%q is no account of the books; there are %s, some with a code behind a colon (revenue:4400)", a.Account, strings.Join(Sorts(), ", "))
	case !glCode.MatchString(a.GLAccount):
		return fault.BadInput("badGlAccount", "glAccount has 1 to 40 letters, digits and . : / _ -, not %q", a.GLAccount)
	case len(a.Name) > 120:
		return fault.BadInput("nameTooLong", "name has at most 120 characters")
	}
	if old != nil && old.Account == a.Account {
		return nil
	}
	others, err := ChartAccounts.Select(tx, tmf.Where{"account": a.Account}, tmf.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return fault.Clash("accountInChart", "The chart has %q already, kept under %s", a.Account, others[0].GLAccount)
	}
	n, err := ChartAccounts.Count(tx, nil)
	if err == nil && n >= maxChart {
		err = fault.New(fault.TooLarge, "chartTooLarge", "The chart has at most %d accounts", maxChart)
	}
	return err
}

// Sorts are the sorts of account there are.
func Sorts() []string {
	out := make([]string, 0, len(sorts))
	for s := range sorts {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// Chart is a chart of accounts, by account of these books.
type Chart map[string]ChartAccount

// chart is the tenant's as it is now.
func chart(tx *store.Tx) (Chart, error) {
	all, err := ChartAccounts.Select(tx, nil, tmf.Page{})
	out := Chart{}
	for _, a := range all {
		out[a.Account] = *a
	}
	return out, err
}

// Of is where an account is kept: as the chart says of it, or of its sort; else under its
// own code, or the name of the sort if it has none.
func (c Chart) Of(account string) (glAccount, name string) {
	sort, code, _ := strings.Cut(account, ":")
	for _, key := range []string{account, sort} {
		if a, ok := c[key]; ok {
			return a.GLAccount, a.Name
		}
	}
	if sort == Revenue {
		return code, ""
	}
	return account, ""
}
