package receivable

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"tandem/bss/billing"
	"tandem/edge/sepa"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// recognised is the account a transfer is for, and which claims; none: nobody knows.
type recognised struct {
	account string
	shares  []Share
	how     string // in words for the clerk
}

// recognise finds whose transfer it is, the surest sign first: the numbers of bills in
// its reference or text; the number of the account; the account at a bank it comes from, if
// that paid before and the amount is what is open; the amount with the name.
func (t *taking) recognise(d sepa.Detail, amount money.Amount) (recognised, error) {
	found, err := t.byNumber(d, amount)
	if err != nil || found.account != "" || found.how != "" {
		return found, err
	}
	if found, err = t.byAccount(d); err != nil || found.account != "" {
		return found, err
	}
	if found, err = t.byPayer(d, amount); err != nil || found.account != "" {
		return found, err
	}
	return t.byName(d, amount)
}

const (
	maxNumbers   = 100 // words of a text that are tried as numbers of bills
	shortNumber  = 4   // characters that a number has at least
	tellingOnes  = 8   // characters from which on nobody writes a number by chance
	compactClaim = "upper(replace(replace(replace(replace(number, '-', ''), '/', ''), '.', ''), '_', ''))"
)

// byNumber looks for claims that the payer names.
func (t *taking) byNumber(d sepa.Detail, amount money.Amount) (found recognised, err error) {
	numbers := numbersIn(d)
	if len(numbers) == 0 {
		return found, nil
	}
	args := append(store.Padded(numbers), t.entity, t.s.Currency.Code())
	n := len(args) - 2
	claims, err := collectClaims(t.tx.Query("SELECT "+claimColumns+" FROM receivable_claim WHERE tenant = $1 AND "+compactClaim+" IN ("+store.In(2, n)+
		fmt.Sprintf(") AND entity = $%d AND currency = $%d ORDER BY due, id", n+2, n+3), args...))
	if err == nil {
		claims, err = t.meant(claims, d, amount)
	}
	if err != nil || len(claims) == 0 {
		return found, err
	}
	if slices.ContainsFunc(claims, func(c Claim) bool { return c.Account != claims[0].Account }) {
		found.how = "It names bills of several accounts"
		return found, nil
	}
	found.account = claims[0].Account
	var names []string
	for _, c := range claims {
		names = append(names, c.Number)
		if c.Open > 0 {
			found.shares = append(found.shares, Share{Claim: c.ID})
		}
	}
	found.how = cut("It names "+strings.Join(names, ", "), 300)
	return found, nil
}

// meant leaves out claims whose short number stands in a free text by chance: a house
// number, a year. Such a one needs a second sign, that the amount is what is open of it or
// that the payer is known by its account. A reference says what it says.
func (t *taking) meant(claims []Claim, d sepa.Detail, amount money.Amount) (out []Claim, err error) {
	said := referencesIn(d)
	for _, c := range claims {
		sure := len(compact(c.Number)) >= tellingOnes || slices.Contains(said, compact(c.Number)) || c.Open == amount.Minor
		if !sure {
			if sure, err = t.knownPayer(c.Account, d.Payer); err != nil {
				return nil, err
			}
		}
		if sure {
			out = append(out, c)
		}
	}
	return out, nil
}

// knownPayer tells whether the account was paid from the same account at a bank before,
// has a mandate for it, or has a name like the payer's.
func (t *taking) knownPayer(account string, payer sepa.Account) (bool, error) {
	var n int64
	err := t.tx.Row(`SELECT (SELECT count(*) FROM receivable_bank_entry WHERE tenant = $1 AND payer_iban = $2 AND payer_iban <> '' AND account = $3 AND state IN ('matched', 'assigned'))
		+ (SELECT count(*) FROM receivable_debtor WHERE tenant = $1 AND iban = $2 AND account = $3)`, payer.IBAN, account).Scan(&n)
	if err != nil || n > 0 {
		return n > 0, err
	}
	like, err := t.alike(account, payer.Name)
	return like >= likeEnough, err
}

// byAccount takes the account whose own number the payer names, as its id or as a creditor
// reference of it (ISO 11649).
func (t *taking) byAccount(d sepa.Detail) (found recognised, err error) {
	var words []string
	for _, w := range append(referencesIn(d), wordsOf(d.Text)...) {
		if len(w) >= tellingOnes && len(w) <= 64 && len(words) < maxNumbers && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return found, nil
	}
	args := append(store.Padded(words), t.entity)
	rows, err := t.tx.Query("SELECT DISTINCT account FROM receivable_claim WHERE tenant = $1 AND account IN ("+store.In(2, len(args)-1)+
		fmt.Sprintf(") AND entity = $%d ORDER BY account LIMIT 2", len(args)+1), args...)
	accounts, err := store.Collect(rows, err, store.Text)
	if err != nil || len(accounts) != 1 {
		return found, err
	}
	return recognised{account: accounts[0], how: "It names the account " + accounts[0]}, nil
}

// referencesIn are what the payer gave as a reference, not as a text.
func referencesIn(d sepa.Detail) (out []string) {
	for _, text := range append([]string{d.Ref}, d.Invoices...) {
		if text = compact(text); text == "" {
			continue
		}
		out = append(out, text)
		if _, err := sepa.ParseReference(text); err == nil {
			out = append(out, text[4:]) // behind RF and its check digits
		}
	}
	return out
}

func wordsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;:+()", r) })
}

// numbersIn are the words of a payment that may be numbers of bills, and each with the
// next one, since banks break texts anywhere.
func numbersIn(d sepa.Detail) []string {
	var out []string
	add := func(text string) {
		if len(text) >= shortNumber && len(text) <= 40 && strings.ContainsAny(text, "0123456789") && len(out) < maxNumbers && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, text := range referencesIn(d) {
		add(text)
	}
	words := wordsOf(d.Text)
	for i, w := range words {
		add(compact(w))
		if i > 0 {
			add(compact(words[i-1] + w))
		}
	}
	return out
}

// compact keeps letters and digits, as capitals.
func compact(text string) string {
	return strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToUpper(r)
		}
		return -1
	}, text)
}

// byPayer takes an account that has paid from the same account at a bank before, or has
// a mandate for it, if exactly the amount is open there.
func (t *taking) byPayer(d sepa.Detail, amount money.Amount) (found recognised, err error) {
	if d.Payer.IBAN == "" {
		return found, nil
	}
	rows, err := t.tx.Query(`SELECT account FROM receivable_bank_entry WHERE tenant = $1 AND payer_iban = $2 AND entity = $3 AND state IN ('matched', 'assigned')
		UNION SELECT account FROM receivable_debtor WHERE tenant = $1 AND iban = $2 ORDER BY account LIMIT 2`, d.Payer.IBAN, t.entity)
	accounts, err := store.Collect(rows, err, store.Text)
	if err != nil || len(accounts) != 1 {
		return found, err
	}
	claims, err := openClaims(t.tx, accounts[0])
	if err != nil {
		return found, err
	}
	sum := int64(0)
	for _, c := range claims {
		if c.Entity != t.entity || c.Amount.Currency != amount.Currency {
			continue
		}
		if sum += c.Open; c.Open == amount.Minor {
			return recognised{accounts[0], []Share{{Claim: c.ID}}, "The account at the bank is known, the amount that of " + c.Number}, nil
		}
	}
	if sum == amount.Minor {
		found = recognised{account: accounts[0], how: "The account at the bank is known, the amount all that is open"}
	}
	return found, nil
}

const (
	sameAmount = 50  // claims of one amount that are compared by name
	likeEnough = 0.6 // of 1: how alike names are
)

// byName takes the one claim of exactly that amount whose account's name is like that
// of the payer, and no other's.
func (t *taking) byName(d sepa.Detail, amount money.Amount) (found recognised, err error) {
	claims, err := collectClaims(t.tx.Query("SELECT "+claimColumns+` FROM receivable_claim WHERE tenant = $1 AND open = $2 AND open > 0 AND entity = $3 AND currency = $4
		ORDER BY due, id LIMIT $5`, amount.Minor, t.entity, amount.Currency.Code(), int64(sameAmount)))
	if err != nil || d.Payer.Name == "" || len(claims) == sameAmount {
		return found, err
	}
	best, second := 0.0, 0.0
	seen := map[string]bool{}
	for _, c := range claims {
		if seen[c.Account] {
			continue // the longest due of several
		}
		seen[c.Account] = true
		like, err := t.alike(c.Account, d.Payer.Name)
		if err != nil {
			return found, err
		}
		if like > best {
			best, second = like, best
			found = recognised{c.Account, []Share{{Claim: c.ID}}, fmt.Sprintf("The amount is that of %s, the name like %d %%", c.Number, int(like*100))}
		} else {
			second = max(second, like)
		}
	}
	if best < likeEnough || second == best {
		return recognised{}, nil
	}
	return found, nil
}

// alike says how like the names of an account are to that of a payer.
func (t *taking) alike(account, payer string) (best float64, err error) {
	a, err := billing.BillingAccounts.Get(t.tx, account)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	names := []string{a.Name}
	for _, p := range a.RelatedParty {
		names = append(names, p.Name)
	}
	for _, name := range names {
		best = max(best, likeness(name, payer))
	}
	return best, nil
}

// folds are letters that banks write otherwise.
var folds = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "é", "e", "è", "e", "à", "a", "ç", "c", "ø", "oe", "å", "aa", "ñ", "n")

// likeness compares the words of two names in any order: twice those they share through
// all they have (Dice).
func likeness(a, b string) float64 {
	x, y := nameWords(a), nameWords(b)
	if len(x) == 0 || len(y) == 0 {
		return 0
	}
	shared := 0
	for _, w := range x {
		if slices.Contains(y, w) {
			shared++
		}
	}
	return 2 * float64(shared) / float64(len(x)+len(y))
}

func nameWords(name string) []string {
	words := strings.FieldsFunc(folds.Replace(strings.ToLower(name)), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	slices.Sort(words)
	return slices.Compact(words)
}
