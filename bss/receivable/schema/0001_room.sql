-- What a customer owes: a bill, a fee, interest; a credit note is a negative claim.
-- open is what of it is neither paid nor written off.
CREATE TABLE receivable_claim (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL, -- of the bill, or of the fee
	sort TEXT NOT NULL CHECK (sort IN ('bill', 'creditNote', 'fee', 'interest')),
	number TEXT COLLATE "C" NOT NULL, -- as the customer knows it
	entity TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	concerns TEXT COLLATE "C" NOT NULL, -- the bill that a credit note credits, or a fee is for
	currency TEXT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount <> 0),
	open BIGINT NOT NULL,
	on_date TEXT COLLATE "C" NOT NULL,
	due TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id),
	CHECK (amount > 0 AND open >= 0 AND open <= amount OR amount < 0 AND open <= 0 AND open >= amount)
) STRICT, WITHOUT ROWID;
CREATE INDEX receivable_claim_open ON receivable_claim (tenant, account, due) WHERE open <> 0;
CREATE INDEX receivable_claim_due ON receivable_claim (tenant, due) WHERE open > 0;
CREATE INDEX receivable_claim_account ON receivable_claim (tenant, account, on_date);
CREATE INDEX receivable_claim_number ON receivable_claim (tenant, number);

-- Money that came in. open is what of it pays nothing yet and was not given back.
CREATE TABLE receivable_payment (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0),
	open BIGINT NOT NULL CHECK (open >= 0 AND open <= amount),
	by_way TEXT NOT NULL CHECK (by_way IN ('cash', 'transfer', 'directDebit', 'card', 'wallet', 'voucher')),
	through TEXT NOT NULL, -- account of the ledger that has the money
	external TEXT COLLATE "C" NOT NULL, -- of the bank or gateway: taken once
	received TEXT COLLATE "C" NOT NULL,
	returned BIGINT NOT NULL CHECK (returned >= 0 AND returned <= amount), -- taken back, or given back
	recovered BIGINT NOT NULL CHECK (recovered >= 0), -- paid what was written off
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receivable_payment_external ON receivable_payment (tenant, by_way, external) WHERE external <> '';
CREATE INDEX receivable_payment_open ON receivable_payment (tenant, account) WHERE open > 0;
CREATE INDEX receivable_payment_account ON receivable_payment (tenant, account, received);

-- Which money pays which claim. A wrong one is undone by another with the amount
-- turned; source is a payment, or a credit note.
CREATE TABLE receivable_allocation (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	source TEXT COLLATE "C" NOT NULL,
	source_sort TEXT NOT NULL CHECK (source_sort IN ('payment', 'creditNote')),
	claim TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL CHECK (amount <> 0),
	undoes BIGINT NOT NULL, -- the allocation it undoes; 0: none
	on_date TEXT COLLATE "C" NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL
) STRICT;
CREATE INDEX receivable_allocation_source ON receivable_allocation (tenant, source);
CREATE INDEX receivable_allocation_claim ON receivable_allocation (tenant, claim);
CREATE UNIQUE INDEX receivable_allocation_undoes ON receivable_allocation (tenant, undoes) WHERE undoes <> 0;

-- What took an amount off claims other than by payment.
CREATE TABLE receivable_write_off (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	claim TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0),
	recovered BIGINT NOT NULL CHECK (recovered >= 0 AND recovered <= amount), -- paid all the same
	reason TEXT NOT NULL,
	on_date TEXT COLLATE "C" NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX receivable_write_off_claim ON receivable_write_off (tenant, claim);
