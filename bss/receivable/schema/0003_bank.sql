-- The account at a bank that a mandate lets us collect from: its resource shows it
-- masked only. former is the account the bank knew before, until a collection says so.
CREATE TABLE receivable_debtor (
	tenant TEXT NOT NULL,
	mandate TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL, -- billing account
	iban TEXT COLLATE "C" NOT NULL,
	former TEXT COLLATE "C" NOT NULL,
	active BIGINT NOT NULL CHECK (active IN (0, 1)),
	used BIGINT NOT NULL CHECK (used IN (0, 1)), -- a collection under it was settled
	last_use TEXT COLLATE "C" NOT NULL, -- day of its last collection, or of its signature
	PRIMARY KEY (tenant, mandate)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receivable_debtor_active ON receivable_debtor (tenant, account) WHERE active = 1;
CREATE INDEX receivable_debtor_iban ON receivable_debtor (tenant, iban);

-- Files for the bank, as they were handed in.
CREATE TABLE receivable_sepa_file (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL, -- message id
	content BYTEA NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

-- A claim that was given to the bank to collect. hold: not again before a person says so.
CREATE TABLE receivable_collection (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL, -- end-to-end reference
	file TEXT COLLATE "C" NOT NULL,
	batch TEXT COLLATE "C" NOT NULL,
	mandate TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	iban TEXT COLLATE "C" NOT NULL,
	claim TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0), -- cents
	sequence TEXT NOT NULL CHECK (sequence IN ('FRST', 'RCUR', 'OOFF', 'FNAL')),
	due TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('sent', 'rejected', 'paid', 'returned')),
	reason TEXT NOT NULL, -- code of the bank
	hold BIGINT NOT NULL CHECK (hold IN (0, 1)),
	payment TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receivable_collection_sent ON receivable_collection (tenant, claim) WHERE state = 'sent';
CREATE INDEX receivable_collection_claim ON receivable_collection (tenant, claim);
CREATE INDEX receivable_collection_file ON receivable_collection (tenant, file, batch);
CREATE INDEX receivable_collection_mandate ON receivable_collection (tenant, mandate);

-- Statements of our accounts at banks, in the order they were taken: each once. A bank
-- may begin its numbers anew every year, so the day is part of its name.
CREATE TABLE receivable_statement (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	bank TEXT COLLATE "C" NOT NULL, -- IBAN
	id TEXT COLLATE "C" NOT NULL, -- the bank's, with its page
	day TEXT COLLATE "C" NOT NULL, -- of the closing balance
	currency TEXT NOT NULL,
	opening BIGINT NOT NULL,
	closing BIGINT NOT NULL,
	at BIGINT NOT NULL
) STRICT;
CREATE UNIQUE INDEX receivable_statement_id ON receivable_statement (tenant, bank, id, day);

-- Each payment on a statement: the inbox, and the list of those that a person assigns.
CREATE TABLE receivable_bank_entry (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL, -- statement, line and place: what the bank never tells twice
	statement TEXT COLLATE "C" NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	bank TEXT COLLATE "C" NOT NULL,
	day TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	amount BIGINT NOT NULL, -- positive when the account grew; fees inside
	charges BIGINT NOT NULL, -- of amount, what are fees
	end_to_end TEXT COLLATE "C" NOT NULL,
	payer TEXT NOT NULL,
	payer_iban TEXT COLLATE "C" NOT NULL,
	reference TEXT NOT NULL,
	about TEXT NOT NULL,
	reason TEXT NOT NULL, -- code of a return
	state TEXT NOT NULL CHECK (state IN ('settled', 'returned', 'matched', 'open', 'assigned', 'charges')),
	how TEXT NOT NULL, -- it was recognised, or why it was not
	account TEXT COLLATE "C" NOT NULL, -- billing account
	payment TEXT COLLATE "C" NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receivable_bank_entry_name ON receivable_bank_entry (tenant, name);
CREATE INDEX receivable_bank_entry_open ON receivable_bank_entry (tenant, state, id);
CREATE INDEX receivable_bank_entry_payer ON receivable_bank_entry (tenant, payer_iban) WHERE payer_iban <> '';

-- Numbers of claims as payers write them: letters and digits only.
CREATE INDEX receivable_claim_compact ON receivable_claim (tenant, (upper(replace(replace(replace(replace(number, '-', ''), '/', ''), '.', ''), '_', ''))));
