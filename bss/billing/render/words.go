package render

import (
	"fmt"
	"strings"
)

// words are what a bill says, by language and key.
var words = map[string]map[string]string{
	"en": {
		"invoice": "Invoice", "creditNote": "Credit note", "corrected": "Corrected invoice", "draft": "Draft, not an invoice",
		"number": "Number", "date": "Date", "due": "Due", "period": "Period", "customer": "Customer number", "account": "Account", "yourVat": "Your VAT ID",
		"order": "Your order", "reference": "Your reference", "contract": "Contract", "preceding": "Corrects invoice", "replaces": "Replaces invoice", "of": "%s of %s",
		"charges": "Charges", "description": "Description", "quantity": "Quantity", "price": "Price", "vat": "VAT", "amount": "Amount (%s)", "amountWith": "Amount with VAT (%s)",
		"general": "General", "sum": "Sum", "part": "%s of %s", "partDays": "%d of %d days", "days": "%d days", "hours": "%d h %02d min", "records": "%d records", "before": "Owed %s, billed before %s", "credited": "of it %s settled by a credit note",
		"share": "%s %% of %s", "commitment": "Agreed minimum %s, used %s", "rested": "Suspended for %s", "events": "%s", "late": "reported late", "forAccount": "for account %s",
		"net": "Total without VAT", "tax": "VAT %s %%", "taxes": "VAT by rate", "taxRate": "Rate", "taxNet": "Without VAT", "taxAmount": "VAT", "taxGross": "With VAT", "gross": "Total", "toPay": "Please pay", "toGet": "You receive",
		"included": "of which VAT", "noTax": "no VAT",
		"payment": "Payment", "payBy": "Due on %s without deduction. Where you have given us a direct debit mandate we collect the amount; otherwise please transfer it.",
		"nothing": "Nothing is to be paid.", "credit": "The amount is set off against what you owe us, or paid out to you.",
		"owner": "Account holder", "iban": "IBAN", "bic": "BIC", "purpose": "Reference", "qr": "Scan to pay", "qrAlt": "QR code for a credit transfer of %s to %s, reference %s",
		"usage": "Itemised usage", "usageIntro": "Amounts are rated exactly and rounded once, on the line of the invoice.", "when": "Date", "time": "Time", "called": "Number or service", "network": "Network", "used": "Used", "omitted": "%d further records are not shown here; ask us for them.",
		"page": "Page %d of %d", "vatId": "VAT ID", "taxNumber": "Tax number", "register": "Register", "bank": "Bank", "phone": "Phone", "email": "E-mail", "creditor": "Creditor ID", "subject": "%s %s for %s",
		"reason.wrongPrice": "The price was wrong.", "reason.wrongPeriod": "The period was wrong.", "reason.wrongQuantity": "The quantity was wrong.", "reason.wrongTax": "The tax was wrong.",
		"reason.wrongParty": "The invoice went to the wrong customer.", "reason.notOrdered": "It was not ordered.", "reason.duplicate": "It was charged twice.", "reason.wrongUsage": "The usage was wrong.",
		"reason.goodwill": "As a gesture of goodwill.", "reason.serviceLevel": "The agreed quality was not reached.", "reason.outage": "The service was out of order.",
		"reason.withdrawal": "You withdrew from the contract.", "reason.cancellation": "The contract was cancelled.",
	},
	"de": {
		"invoice": "Rechnung", "creditNote": "Gutschrift (Rechnungskorrektur)", "corrected": "Berichtigte Rechnung", "draft": "Entwurf, keine Rechnung",
		"number": "Nummer", "date": "Datum", "due": "Fällig", "period": "Zeitraum", "customer": "Kundennummer", "account": "Konto", "yourVat": "Ihre USt-IdNr.",
		"order": "Ihre Bestellung", "reference": "Ihr Zeichen", "contract": "Vertrag", "preceding": "Berichtigt Rechnung", "replaces": "Ersetzt Rechnung", "of": "%s vom %s",
		"charges": "Entgelte", "description": "Leistung", "quantity": "Menge", "price": "Preis", "vat": "USt", "amount": "Betrag (%s)", "amountWith": "Betrag inkl. USt (%s)",
		"general": "Allgemein", "sum": "Summe", "part": "%s von %s", "partDays": "%d von %d Tagen", "days": "%d Tage", "hours": "%d Std. %02d Min.", "records": "%d Verbindungen", "before": "Geschuldet %s, bereits berechnet %s", "credited": "davon %s schon gutgeschrieben",
		"share": "%s %% von %s", "commitment": "Vereinbart mindestens %s, erreicht %s", "rested": "Geruht für %s", "events": "%s", "late": "später gemeldet", "forAccount": "für Konto %s",
		"net": "Summe ohne USt", "tax": "USt %s %%", "taxes": "Umsatzsteuer nach Sätzen", "taxRate": "Satz", "taxNet": "Ohne USt", "taxAmount": "USt", "taxGross": "Mit USt", "gross": "Gesamtbetrag", "toPay": "Zu zahlen", "toGet": "Sie erhalten",
		"included": "darin USt", "noTax": "ohne USt",
		"payment": "Zahlung", "payBy": "Fällig am %s ohne Abzug. Haben Sie uns ein SEPA-Lastschriftmandat erteilt, buchen wir den Betrag ab; sonst überweisen Sie ihn bitte.",
		"nothing": "Es ist nichts zu zahlen.", "credit": "Der Betrag wird mit offenen Forderungen verrechnet oder Ihnen ausgezahlt.",
		"owner": "Kontoinhaber", "iban": "IBAN", "bic": "BIC", "purpose": "Verwendungszweck", "qr": "Zum Zahlen scannen", "qrAlt": "QR-Code für eine Überweisung von %s an %s, Verwendungszweck %s",
		"usage": "Einzelnachweis", "usageIntro": "Die Beträge sind genau berechnet und werden einmal gerundet, in der Zeile der Rechnung.", "when": "Datum", "time": "Zeit", "called": "Nummer oder Dienst", "network": "Netz", "used": "Genutzt", "omitted": "%d weitere Verbindungen sind hier nicht aufgeführt; Sie erhalten sie auf Anfrage.",
		"page": "Seite %d von %d", "vatId": "USt-IdNr.", "taxNumber": "Steuernummer", "register": "Register", "bank": "Bank", "phone": "Telefon", "email": "E-Mail", "creditor": "Gläubiger-ID", "subject": "%s %s für %s",
		"reason.wrongPrice": "Der Preis war falsch.", "reason.wrongPeriod": "Der Zeitraum war falsch.", "reason.wrongQuantity": "Die Menge war falsch.", "reason.wrongTax": "Die Steuer war falsch.",
		"reason.wrongParty": "Die Rechnung ging an den falschen Kunden.", "reason.notOrdered": "Es war nicht bestellt.", "reason.duplicate": "Es war doppelt berechnet.", "reason.wrongUsage": "Die Nutzung war falsch.",
		"reason.goodwill": "Aus Kulanz.", "reason.serviceLevel": "Die zugesagte Qualität wurde nicht erreicht.", "reason.outage": "Der Dienst war gestört.",
		"reason.withdrawal": "Sie haben den Vertrag widerrufen.", "reason.cancellation": "Der Vertrag wurde gekündigt.",
	},
	"fr": {
		"invoice": "Facture", "creditNote": "Avoir", "corrected": "Facture rectificative", "draft": "Projet, pas une facture",
		"number": "Numéro", "date": "Date", "due": "Échéance", "period": "Période", "customer": "Numéro de client", "account": "Compte", "yourVat": "Votre n° de TVA",
		"order": "Votre commande", "reference": "Votre référence", "contract": "Contrat", "preceding": "Rectifie la facture", "replaces": "Remplace la facture", "of": "%s du %s",
		"charges": "Prestations", "description": "Désignation", "quantity": "Quantité", "price": "Prix", "vat": "TVA", "amount": "Montant (%s)", "amountWith": "Montant TTC (%s)",
		"general": "Général", "sum": "Somme", "part": "%s sur %s", "partDays": "%d jours sur %d", "days": "%d jours", "hours": "%d h %02d min", "records": "%d communications", "before": "Dû %s, déjà facturé %s", "credited": "dont %s déjà par avoir",
		"share": "%s %% de %s", "commitment": "Minimum convenu %s, atteint %s", "rested": "Suspendu pendant %s", "events": "%s", "late": "signalé plus tard", "forAccount": "pour le compte %s",
		"net": "Total hors TVA", "tax": "TVA %s %%", "taxes": "TVA par taux", "taxRate": "Taux", "taxNet": "Hors TVA", "taxAmount": "TVA", "taxGross": "TTC", "gross": "Total", "toPay": "À payer", "toGet": "Vous recevez",
		"included": "dont TVA", "noTax": "sans TVA",
		"payment": "Paiement", "payBy": "À payer au plus tard le %s sans escompte. Si vous nous avez donné un mandat de prélèvement, nous prélevons le montant ; sinon merci de le virer.",
		"nothing": "Il n’y a rien à payer.", "credit": "Le montant est imputé sur ce que vous nous devez, ou vous est versé.",
		"owner": "Titulaire", "iban": "IBAN", "bic": "BIC", "purpose": "Référence", "qr": "Scanner pour payer", "qrAlt": "Code QR pour un virement de %s à %s, référence %s",
		"usage": "Détail des communications", "usageIntro": "Les montants sont calculés exactement et arrondis une seule fois, sur la ligne de la facture.", "when": "Date", "time": "Heure", "called": "Numéro ou service", "network": "Réseau", "used": "Utilisé", "omitted": "%d autres communications ne figurent pas ici ; nous vous les donnons sur demande.",
		"page": "Page %d sur %d", "vatId": "N° de TVA", "taxNumber": "N° fiscal", "register": "RCS", "bank": "Banque", "phone": "Téléphone", "email": "Courriel", "creditor": "ICS", "subject": "%s %s pour %s",
		"reason.wrongPrice": "Le prix était erroné.", "reason.wrongPeriod": "La période était erronée.", "reason.wrongQuantity": "La quantité était erronée.", "reason.wrongTax": "La taxe était erronée.",
		"reason.wrongParty": "La facture est allée au mauvais client.", "reason.notOrdered": "Ce n’était pas commandé.", "reason.duplicate": "C’était facturé deux fois.", "reason.wrongUsage": "La consommation était erronée.",
		"reason.goodwill": "À titre commercial.", "reason.serviceLevel": "La qualité convenue n’a pas été atteinte.", "reason.outage": "Le service était en panne.",
		"reason.withdrawal": "Vous vous êtes rétracté.", "reason.cancellation": "Le contrat a été résilié.",
	},
}

// tongue is a language in which bills are written.
type tongue struct {
	tag   string // as it stands in the document, if there are words for it
	words map[string]string
	base  string
}

// tongueOf is that of a BCP 47 tag; English where there are no words for it.
func tongueOf(tag string) tongue {
	base, _, _ := strings.Cut(strings.ToLower(tag), "-")
	if w := words[base]; w != nil {
		return tongue{tag, w, base}
	}
	return tongue{"en", words["en"], "en"}
}

func (t tongue) say(key string, args ...any) string {
	text, ok := t.words[key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}
