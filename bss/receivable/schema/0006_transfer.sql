-- Money that is given back by bank transfer. waiting: the next file takes it.
CREATE TABLE receivable_transfer (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL, -- end-to-end reference
	refund TEXT COLLATE "C" NOT NULL,
	payment TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	name TEXT NOT NULL,
	iban TEXT COLLATE "C" NOT NULL,
	bic TEXT COLLATE "C" NOT NULL,
	about TEXT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0), -- cents
	file TEXT COLLATE "C" NOT NULL,
	batch TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'paid', 'rejected', 'returned')),
	reason TEXT NOT NULL, -- code of the bank
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receivable_transfer_refund ON receivable_transfer (tenant, refund);
CREATE INDEX receivable_transfer_waiting ON receivable_transfer (tenant, entity, id) WHERE state = 'waiting';
CREATE INDEX receivable_transfer_file ON receivable_transfer (tenant, file) WHERE file <> '';

-- What customers were told of collections: which claim, and not before which day.
CREATE TABLE receivable_prenotice (
	tenant TEXT NOT NULL,
	claim TEXT COLLATE "C" NOT NULL,
	mandate TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL,
	collect_on TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, claim)
) STRICT, WITHOUT ROWID;
