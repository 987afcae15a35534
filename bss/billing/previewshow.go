package billing

import (
	"maps"

	"tandem/kit/money"
	"tandem/kit/store"
)

func init() {
	for language, own := range previewWords {
		maps.Copy(words[language], own)
	}
}

// previewWords are what previews say beyond what bills do.
var previewWords = map[string]map[string]string{
	"en": {
		"preview.opening":  "The bill for %s to %s would be made on %s and come to %s, due on %s.",
		"preview.creditor": "The bill for %s to %s would be made on %s and give %s back.",
		"preview.waits":    "That is less than a bill is made for: it would be on the next one.",
		"preview.nothing":  "There would be nothing to bill.",
	},
	"de": {
		"preview.opening":  "Die Rechnung für %s bis %s würde am %s erstellt und betrüge %s, fällig am %s.",
		"preview.creditor": "Die Rechnung für %s bis %s würde am %s erstellt und ergäbe ein Guthaben von %s.",
		"preview.waits":    "Dafür wird noch keine Rechnung erstellt: Der Betrag käme auf die nächste.",
		"preview.nothing":  "Es gäbe nichts zu berechnen.",
	},
}

// show is a bill in words, line by line and against the one before.
func (v *previewing) show(doc, was *Document, waits bool) (out PreviewedBill, err error) {
	c, err := money.ParseCurrency(doc.Currency)
	if err != nil {
		return out, err
	}
	amount := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: c} }
	out = PreviewedBill{BillDate: doc.Date.String(), From: doc.From.String(), To: doc.To.AddDays(-1).String(), PaymentDueDate: doc.Due.String(), Kind: doc.Kind,
		Net: amount(doc.Net), Tax: amount(doc.Tax), Gross: amount(doc.Gross), Waits: waits, Document: doc}
	e := &explainer{tx: v.tx, doc: doc, c: c, lang: doc.Language}
	if e.marks, err = v.marks(); err != nil {
		return out, err
	}
	out.Text = []string{v.opening(e)}
	if len(doc.Lines) == 0 {
		out.Text = append(out.Text, e.say("preview.nothing"))
	}
	for i := range doc.Lines {
		l, err := e.line(&doc.Lines[i])
		if err != nil {
			return out, err
		}
		out.Line = append(out.Line, l)
		out.Text = append(out.Text, l.Text...)
	}
	out.Text = append(out.Text, e.taxes()...)
	if waits {
		out.Text = append(out.Text, e.say("preview.waits"))
	}
	if was != nil && doc.Kind == Invoice && was.Kind == Invoice {
		if out.Change, err = e.changes(was); err != nil {
			return out, err
		}
		for _, ch := range out.Change {
			out.Text = append(out.Text, ch.Text)
		}
	}
	return out, nil
}

func (v *previewing) opening(e *explainer) string {
	d := e.doc
	from, to, on := e.date(d.From), e.date(d.To.AddDays(-1)), e.date(d.Date)
	if d.Kind == CreditNote {
		return e.say("preview.creditor", from, to, on, e.money(d.Gross))
	}
	return e.say("preview.opening", from, to, on, e.money(d.Gross), e.date(d.Due))
}

// marks are the rectangles of usage that the first bill would hold, and those it would go on
// from: its lines open to their records.
func (v *previewing) marks() (m marks, err error) {
	m.upto = byAccount(v.own.marks)
	m.after, err = lastMarks(v.tx, store.Padded(v.own.paidFor))
	return m, err
}
