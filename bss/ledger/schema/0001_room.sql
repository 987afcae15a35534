-- A transaction of the books, by the name of what it books: that is booked once.
CREATE TABLE ledger_transaction (
	tenant TEXT NOT NULL,
	name TEXT COLLATE "C" NOT NULL CHECK (name <> ''),
	entity TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	on_date TEXT COLLATE "C" NOT NULL, -- of the books: decides the accounting period
	what TEXT NOT NULL,
	reverses TEXT COLLATE "C" NOT NULL, -- the transaction that this one undoes
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX ledger_transaction_reverses ON ledger_transaction (tenant, reverses) WHERE reverses <> '';

-- Its entries: debit positive, credit negative, in minor units. entity, currency and
-- date are those of the transaction: sums need no join.
CREATE TABLE ledger_entry (
	tenant TEXT NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	line BIGINT NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	on_date TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL CHECK (account <> ''),
	party TEXT COLLATE "C" NOT NULL, -- whose: a billing account; empty for accounts without
	amount BIGINT NOT NULL,
	PRIMARY KEY (tenant, name, line)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_entry_party ON ledger_entry (tenant, party, account, on_date) WHERE party <> '';
CREATE INDEX ledger_entry_date ON ledger_entry (tenant, entity, on_date);

-- The books of a legal entity. Nothing is booked on a date up to closed_to; who books
-- holds the row shared, who closes alone, so that no entry slips into a closed month.
CREATE TABLE ledger_book (
	tenant TEXT NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	closed_to TEXT COLLATE "C" NOT NULL, -- last day of the last closed month; empty: none is
	PRIMARY KEY (tenant, entity)
) STRICT, WITHOUT ROWID;

-- Sums of all entries up to the end of a closed month.
CREATE TABLE ledger_closing (
	tenant TEXT NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	closed_to TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	amount BIGINT NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, entity, closed_to, account, currency)
) STRICT, WITHOUT ROWID;

-- What is booked is never changed or taken away, by nobody: it is reversed.
-- sqlite: CREATE TRIGGER ledger_transaction_kept BEFORE UPDATE ON ledger_transaction BEGIN SELECT RAISE(ABORT, 'what is booked is not changed: reverse it'); END;
-- sqlite: CREATE TRIGGER ledger_transaction_stays BEFORE DELETE ON ledger_transaction BEGIN SELECT RAISE(ABORT, 'what is booked is not deleted: reverse it'); END;
-- sqlite: CREATE TRIGGER ledger_entry_kept BEFORE UPDATE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'what is booked is not changed: reverse it'); END;
-- sqlite: CREATE TRIGGER ledger_entry_stays BEFORE DELETE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'what is booked is not deleted: reverse it'); END;
-- postgres: CREATE FUNCTION ledger_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'what is booked is not changed or deleted: reverse it'; END $$;
-- postgres: CREATE TRIGGER ledger_transaction_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transaction FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
-- postgres: CREATE TRIGGER ledger_entry_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
