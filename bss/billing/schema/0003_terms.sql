-- How far each bill takes usage: all that was written up to a number and used before an
-- instant. One row for each account whose usage a bill has: the payer's, and those it pays for.
CREATE TABLE billing_usage_upto (
	tenant TEXT NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	before_at BIGINT NOT NULL,
	bill TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL, -- of usage
	entry BIGINT NOT NULL, -- of the ledger of balances
	charged_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, account, before_at, bill)
) STRICT, WITHOUT ROWID;
CREATE INDEX billing_usage_upto_bill ON billing_usage_upto (tenant, bill);

-- What becomes of a posted bill: it was sent, paid in part, settled. The bill itself stays
-- as it is.
CREATE TABLE billing_afterwards (
	tenant TEXT NOT NULL,
	bill TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('sent', 'partiallyPaid', 'settled')),
	remaining BIGINT NOT NULL, -- minor units still to be paid
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, bill)
) STRICT, WITHOUT ROWID;

-- Which credit notes correct a bill. With rebill the account's next bill charges anew what
-- was credited: it is the corrected invoice.
CREATE TABLE billing_credit_of (
	tenant TEXT NOT NULL,
	bill TEXT COLLATE "C" NOT NULL,
	note TEXT COLLATE "C" NOT NULL,
	rebill BIGINT NOT NULL CHECK (rebill IN (0, 1)),
	PRIMARY KEY (tenant, bill, note)
) STRICT, WITHOUT ROWID;
CREATE INDEX billing_credit_of_note ON billing_credit_of (tenant, note);

-- Bills by account, and by customer's words: what TMF678 shows.
CREATE VIEW billing_shown AS SELECT b.tenant, b.id, b.account, b.turn, b.run, b.entity, b.kind, b.idx, b.currency, b.net, b.tax, b.gross, b.bill_date, b.next_date,
	b.due_days, coalesce(b.number, '') AS number, coalesce(b.issue_date, '') AS issue_date, coalesce(b.due_date, '') AS due_date,
	CASE WHEN a.state IS NOT NULL THEN a.state WHEN b.number IS NOT NULL THEN 'validated' WHEN b.held <> '' THEN 'onHold' ELSE 'new' END AS state,
	coalesce(a.remaining, b.gross) AS remaining, CASE WHEN b.run = '' THEN 'offCycle' ELSE 'onCycle' END AS run_type,
	coalesce(a.at, b.posted_at, b.at) AS changed_at, coalesce(b.doc, '') AS doc
	FROM billing_bill b LEFT JOIN billing_afterwards a ON a.tenant = b.tenant AND a.bill = b.id;

-- The lines of bills.
-- sqlite: CREATE VIEW billing_line AS SELECT d.tenant AS tenant, d.bill AS bill, CAST(l.key AS INTEGER) + 1 AS n, l.value AS line FROM billing_document d, json_each(d.doc, '$.lines') l;
-- postgres: CREATE VIEW billing_line AS SELECT d.tenant AS tenant, d.bill AS bill, l.n AS n, CAST(l.line AS TEXT) AS line FROM billing_document d, json_array_elements(CAST(CAST(d.doc AS JSON) -> 'lines' AS JSON)) WITH ORDINALITY AS l (line, n);
