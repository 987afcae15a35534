package communication

// Notices the house sends.
const (
	welcome     = "welcome"
	suspended   = "suspended"
	resumed     = "resumed"
	goodbye     = "goodbye"
	orderFailed = "orderFailed"

	allowanceUsed = "allowanceUsed" // a part of an allowance or balance
	allowanceGone = "allowanceGone"
	allowanceEnds = "allowanceEnds" // soon, with something left
	limitNear     = "limitNear"     // of spending, or of units
	limitReached  = "limitReached"

	billReady   = "billReady" // a bill was posted
	creditReady = "creditReady"

	reminder      = "reminder" // of a bill that is overdue
	lastReminder  = "lastReminder"
	barredForDebt = "barredForDebt"
	disconnected  = "disconnected"

	collectionNotice = "collectionNotice" // of a direct debit to come
)

// fields are the values each notice brings. product is what the customer bought,
// number the phone number in brackets with a blank before, or nothing; date is the
// day in the customer's zone. name is what the customer calls an allowance or a limit,
// percent how much of it is used.
var fields = map[string][]string{
	welcome:     {"customer", "product", "number", "date"},
	suspended:   {"customer", "product", "number", "date"},
	resumed:     {"customer", "product", "number", "date"},
	goodbye:     {"customer", "product", "number", "date"},
	orderFailed: {"customer", "order", "date"},

	allowanceUsed: {"customer", "product", "number", "name", "percent", "date"},
	allowanceGone: {"customer", "product", "number", "name", "percent", "date"},
	allowanceEnds: {"customer", "product", "number", "name", "percent", "date"},
	limitNear:     {"customer", "product", "number", "name", "percent", "date"},
	limitReached:  {"customer", "product", "number", "name", "percent", "date"},

	billReady:   {"customer", "bill", "amount", "due", "date"},
	creditReady: {"customer", "bill", "amount", "date"},

	reminder:      {"customer", "bill", "amount", "due", "date"},
	lastReminder:  {"customer", "bill", "amount", "due", "date"},
	barredForDebt: {"customer", "bill", "amount", "due", "date"},
	disconnected:  {"customer", "bill", "amount", "due", "date"},

	collectionNotice: {"customer", "bill", "amount", "due", "account", "mandate", "creditor", "date"},
}

// builtin are the words used as long as the operator has no own ones: by notice
// and language.
var builtin = map[string]map[string]words{
	welcome: {
		"en": {"{{.product}} is ready", "Dear {{.customer}},\n\n{{.product}}{{.number}} has been active since {{.date}}. You can use it right away.\n\nKind regards\n"},
		"de": {"{{.product}} ist bereit", "Guten Tag {{.customer}},\n\n{{.product}}{{.number}} ist seit {{.date}} aktiv. Sie können sofort loslegen.\n\nMit freundlichen Grüßen\n"},
	},
	suspended: {
		"en": {"{{.product}} is suspended", "Dear {{.customer}},\n\n{{.product}}{{.number}} has been suspended since {{.date}} and cannot be used at present.\n\nKind regards\n"},
		"de": {"{{.product}} ist gesperrt", "Guten Tag {{.customer}},\n\n{{.product}}{{.number}} ist seit {{.date}} gesperrt und kann zurzeit nicht genutzt werden.\n\nMit freundlichen Grüßen\n"},
	},
	resumed: {
		"en": {"{{.product}} works again", "Dear {{.customer}},\n\n{{.product}}{{.number}} has been working again since {{.date}}.\n\nKind regards\n"},
		"de": {"{{.product}} ist wieder frei", "Guten Tag {{.customer}},\n\n{{.product}}{{.number}} kann seit {{.date}} wieder genutzt werden.\n\nMit freundlichen Grüßen\n"},
	},
	goodbye: {
		"en": {"{{.product}} has ended", "Dear {{.customer}},\n\n{{.product}}{{.number}} ended on {{.date}}. Nothing is charged for the time after that. Thank you for having been our customer.\n\nKind regards\n"},
		"de": {"{{.product}} ist beendet", "Guten Tag {{.customer}},\n\n{{.product}}{{.number}} wurde am {{.date}} beendet. Für die Zeit danach wird nichts berechnet. Vielen Dank, dass Sie unser Kunde waren.\n\nMit freundlichen Grüßen\n"},
	},
	orderFailed: {
		"en": {"Your order {{.order}} could not be completed", "Dear {{.customer}},\n\nwe are sorry: your order {{.order}} could not be completed. Nothing is charged for what you did not get; our staff will take care of it.\n\nKind regards\n"},
		"de": {"Ihr Auftrag {{.order}} konnte nicht ausgeführt werden", "Guten Tag {{.customer}},\n\nleider konnten wir Ihren Auftrag {{.order}} nicht vollständig ausführen. Was Sie nicht erhalten haben, wird nicht berechnet; wir kümmern uns darum.\n\nMit freundlichen Grüßen\n"},
	},
	billReady: {
		"en": {"Your bill {{.bill}}", "Dear {{.customer}},\n\nyour bill {{.bill}} of {{.date}} comes to {{.amount}}, due on {{.due}}. If we have a direct debit mandate of yours, we collect the amount.\n\nKind regards\n"},
		"de": {"Ihre Rechnung {{.bill}}", "Guten Tag {{.customer}},\n\nIhre Rechnung {{.bill}} vom {{.date}} beträgt {{.amount}} und ist am {{.due}} fällig. Haben wir ein SEPA-Lastschriftmandat von Ihnen, buchen wir den Betrag ab.\n\nMit freundlichen Grüßen\n"},
	},
	creditReady: {
		"en": {"Your credit note {{.bill}}", "Dear {{.customer}},\n\ncredit note {{.bill}} of {{.date}} gives you {{.amount}} back. The amount is set off against what you owe us, or paid out to you.\n\nKind regards\n"},
		"de": {"Ihre Gutschrift {{.bill}}", "Guten Tag {{.customer}},\n\ndie Gutschrift {{.bill}} vom {{.date}} erstattet Ihnen {{.amount}}. Der Betrag wird mit offenen Forderungen verrechnet oder Ihnen ausgezahlt.\n\nMit freundlichen Grüßen\n"},
	},
	reminder: {
		"en": {"Bill {{.bill}} is overdue", "Dear {{.customer}},\n\nbill {{.bill}} was due on {{.due}}. {{.amount}} are open. If you have paid meanwhile, please ignore this letter.\n\nKind regards\n"},
		"de": {"Rechnung {{.bill}} ist überfällig", "Guten Tag {{.customer}},\n\ndie Rechnung {{.bill}} war am {{.due}} fällig. Offen sind {{.amount}}. Haben Sie inzwischen gezahlt, betrachten Sie dieses Schreiben als gegenstandslos.\n\nMit freundlichen Grüßen\n"},
	},
	lastReminder: {
		"en": {"Last reminder: bill {{.bill}}", "Dear {{.customer}},\n\nbill {{.bill}} was due on {{.due}}, and {{.amount}} are still open. If they are not paid within a week, we have to suspend your lines. Please call us if you cannot pay now: there is a way.\n\nKind regards\n"},
		"de": {"Letzte Mahnung: Rechnung {{.bill}}", "Guten Tag {{.customer}},\n\ndie Rechnung {{.bill}} war am {{.due}} fällig, und {{.amount}} sind noch offen. Wird der Betrag nicht binnen einer Woche gezahlt, müssen wir Ihre Anschlüsse sperren. Bitte rufen Sie uns an, wenn Sie jetzt nicht zahlen können: Es gibt einen Weg.\n\nMit freundlichen Grüßen\n"},
	},
	barredForDebt: {
		"en": {"Your lines are suspended", "Dear {{.customer}},\n\n{{.amount}} are overdue since {{.due}}, so we have suspended your lines. They work again as soon as the amount is paid.\n\nKind regards\n"},
		"de": {"Ihre Anschlüsse sind gesperrt", "Guten Tag {{.customer}},\n\n{{.amount}} sind seit {{.due}} überfällig; deshalb haben wir Ihre Anschlüsse gesperrt. Sobald der Betrag gezahlt ist, sind sie wieder frei.\n\nMit freundlichen Grüßen\n"},
	},
	disconnected: {
		"en": {"Your contract ends", "Dear {{.customer}},\n\n{{.amount}} are overdue since {{.due}}, so we end your contract.\n\nKind regards\n"},
		"de": {"Ihr Vertrag endet", "Guten Tag {{.customer}},\n\n{{.amount}} sind seit {{.due}} überfällig; deshalb beenden wir Ihren Vertrag.\n\nMit freundlichen Grüßen\n"},
	},
	collectionNotice: {
		"en": {"{{.amount}} will be collected", "Dear {{.customer}},\n\nwe will collect {{.amount}} for {{.bill}} by direct debit from your account {{.account}} on {{.due}} or soon after. Your mandate is {{.mandate}}, our creditor identifier {{.creditor}}. Please have the amount in your account.\n\nKind regards\n"},
		"de": {"{{.amount}} werden eingezogen", "Guten Tag {{.customer}},\n\nwir ziehen {{.amount}} für {{.bill}} am {{.due}} oder bald danach per Lastschrift von Ihrem Konto {{.account}} ein. Ihr Mandat ist {{.mandate}}, unsere Gläubiger-Identifikationsnummer {{.creditor}}. Bitte sorgen Sie für Deckung.\n\nMit freundlichen Grüßen\n"},
	},
	allowanceUsed: {
		"en": {"{{.percent}} % of {{.name}} used", "Dear {{.customer}},\n\nyou have used {{.percent}} % of {{.name}} of {{.product}}{{.number}}.\n\nKind regards\n"},
		"de": {"{{.percent}} % von {{.name}} verbraucht", "Guten Tag {{.customer}},\n\nSie haben {{.percent}} % von {{.name}} aus {{.product}}{{.number}} verbraucht.\n\nMit freundlichen Grüßen\n"},
	},
	allowanceGone: {
		"en": {"{{.name}} is used up", "Dear {{.customer}},\n\n{{.name}} of {{.product}}{{.number}} is used up. You can buy more at any time.\n\nKind regards\n"},
		"de": {"{{.name}} ist aufgebraucht", "Guten Tag {{.customer}},\n\n{{.name}} aus {{.product}}{{.number}} ist aufgebraucht. Sie können jederzeit nachbuchen.\n\nMit freundlichen Grüßen\n"},
	},
	allowanceEnds: {
		"en": {"{{.name}} ends soon", "Dear {{.customer}},\n\nsomething of {{.name}} of {{.product}}{{.number}} is left, and it ends soon.\n\nKind regards\n"},
		"de": {"{{.name}} endet bald", "Guten Tag {{.customer}},\n\nvon {{.name}} aus {{.product}}{{.number}} ist noch etwas übrig, und es endet bald.\n\nMit freundlichen Grüßen\n"},
	},
	limitNear: {
		"en": {"{{.percent}} % of your limit {{.name}}", "Dear {{.customer}},\n\nyou have reached {{.percent}} % of the limit {{.name}} of {{.product}}{{.number}}.\n\nKind regards\n"},
		"de": {"{{.percent}} % Ihres Limits {{.name}}", "Guten Tag {{.customer}},\n\nSie haben {{.percent}} % des Limits {{.name}} von {{.product}}{{.number}} erreicht.\n\nMit freundlichen Grüßen\n"},
	},
	limitReached: {
		"en": {"Your limit {{.name}} is reached", "Dear {{.customer}},\n\nthe limit {{.name}} of {{.product}}{{.number}} is reached. What it covers is stopped until it begins anew, or until you lift it.\n\nKind regards\n"},
		"de": {"Ihr Limit {{.name}} ist erreicht", "Guten Tag {{.customer}},\n\ndas Limit {{.name}} von {{.product}}{{.number}} ist erreicht. Was es betrifft, ist gesperrt, bis es neu beginnt oder Sie es aufheben.\n\nMit freundlichen Grüßen\n"},
	},
}
