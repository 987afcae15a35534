-- The frozen list of accounts of a bill run, in pages. Page 0 has none: bills that are
-- made one by one belong to it.
CREATE TABLE billing_run_page (
	tenant TEXT NOT NULL,
	run TEXT COLLATE "C" NOT NULL,
	page BIGINT NOT NULL,
	stage TEXT NOT NULL CHECK (stage IN ('scoped', 'computed', 'posted', 'discarded')),
	accounts TEXT NOT NULL, -- ids with a line feed between them, in their order
	PRIMARY KEY (tenant, run, page)
) STRICT;

-- A bill as it was worked out, without what is on it (billing_document). Bills of an
-- account are numbered: each rests on the ones before, so no two can be made of the same
-- state of things, and the last one is discarded first. What is posted is not changed.
CREATE TABLE billing_draft (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL CHECK (account <> ''),
	turn BIGINT NOT NULL CHECK (turn > 0), -- of the account's bills: 1, 2, ...
	run TEXT COLLATE "C" NOT NULL, -- empty: made by itself
	page BIGINT NOT NULL,
	entity TEXT COLLATE "C" NOT NULL CHECK (entity <> ''),
	kind TEXT NOT NULL CHECK (kind IN ('invoice', 'creditNote')),
	idx BIGINT NOT NULL, -- of the billing period
	currency TEXT NOT NULL,
	net BIGINT NOT NULL,
	tax BIGINT NOT NULL,
	gross BIGINT NOT NULL,
	bill_date TEXT COLLATE "C" NOT NULL,
	next_date TEXT COLLATE "C" NOT NULL, -- the bill date of the period after; empty: it is in no cycle
	due_days BIGINT NOT NULL,
	held TEXT NOT NULL, -- why it is not to be posted before somebody has looked at it; empty: it is not held
	entries TEXT NOT NULL, -- what is booked: accounts and amounts, see entriesOf
	digest TEXT NOT NULL, -- SHA-256 of the document
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id),
	UNIQUE (tenant, account, turn),
	CHECK (net + tax = gross)
) STRICT, WITHOUT ROWID;
CREATE INDEX billing_draft_page ON billing_draft (tenant, run, page);
CREATE INDEX billing_draft_held ON billing_draft (tenant, run, id) WHERE held <> '';

-- What stands on a bill: Document in its canonical JSON.
CREATE TABLE billing_document (
	tenant TEXT NOT NULL,
	bill TEXT COLLATE "C" NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (tenant, bill)
) STRICT;
-- postgres: ALTER TABLE billing_document ALTER COLUMN doc SET STORAGE EXTERNAL;

-- A bill that was posted: its number, and the hash that ties it to the one before.
CREATE TABLE billing_posted (
	tenant TEXT NOT NULL,
	series TEXT COLLATE "C" NOT NULL,
	seq BIGINT NOT NULL CHECK (seq > 0),
	bill TEXT COLLATE "C" NOT NULL,
	number TEXT COLLATE "C" NOT NULL,
	issue_date TEXT COLLATE "C" NOT NULL, -- in a series it never goes backwards
	due_date TEXT COLLATE "C" NOT NULL,
	hash TEXT NOT NULL,
	posted_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, series, seq),
	UNIQUE (tenant, bill)
) STRICT, WITHOUT ROWID;
CREATE INDEX billing_posted_number ON billing_posted (tenant, number);

-- A series of numbers without a gap: one for each entity, kind and year.
CREATE TABLE billing_series (
	tenant TEXT NOT NULL,
	series TEXT COLLATE "C" NOT NULL,
	format TEXT COLLATE "C" NOT NULL, -- of its numbers, see LegalEntity
	last BIGINT NOT NULL CHECK (last >= 0), -- number
	last_date TEXT COLLATE "C" NOT NULL, -- of issue
	hash TEXT NOT NULL, -- of the last bill; of an empty series its name's
	PRIMARY KEY (tenant, series)
) STRICT;

-- What was billed of an item's service period, line by line. The key is the identity of
-- what is billed: no run can bill it twice.
CREATE TABLE billing_billed (
	tenant TEXT NOT NULL,
	item TEXT COLLATE "C" NOT NULL,
	idx BIGINT NOT NULL, -- of the service period
	version BIGINT NOT NULL, -- how many lines the period had before
	bill TEXT COLLATE "C" NOT NULL,
	net BIGINT NOT NULL, -- compute.Line's Amount: with tax where the price includes it
	tax_category TEXT NOT NULL,
	tax_num BIGINT NOT NULL,
	tax_den BIGINT NOT NULL,
	tax_included BIGINT NOT NULL, -- 1: net is with tax
	revision BIGINT NOT NULL, -- of the item
	PRIMARY KEY (tenant, item, idx, version)
) STRICT, WITHOUT ROWID;

-- Accounts that a run could not bill, with a sentence that says what to do.
CREATE TABLE billing_parked (
	tenant TEXT NOT NULL,
	run TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	code TEXT NOT NULL,
	reason TEXT NOT NULL CHECK (reason <> ''),
	attempts BIGINT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, run, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX billing_parked_account ON billing_parked (tenant, account);

-- A bill with all that is known of it.
CREATE VIEW billing_bill AS SELECT d.tenant, d.id, d.account, d.turn, d.run, d.page, d.entity, d.kind, d.idx, d.currency, d.net, d.tax, d.gross,
	d.bill_date, d.next_date, d.due_days, d.held, d.digest, d.at,
	CASE WHEN p.bill IS NOT NULL THEN 'posted' WHEN d.held <> '' THEN 'held' ELSE 'draft' END AS state,
	t.doc, p.series, p.seq, p.number, p.issue_date, p.due_date, p.hash, p.posted_at
	FROM billing_draft d LEFT JOIN billing_document t ON t.tenant = d.tenant AND t.bill = d.id LEFT JOIN billing_posted p ON p.tenant = d.tenant AND p.bill = d.id;

-- What is posted stays as it is, whoever asks: a credit note corrects it.
-- sqlite: CREATE TRIGGER billing_posted_kept BEFORE UPDATE ON billing_posted BEGIN SELECT RAISE(ABORT, 'a posted bill is not changed: a credit note corrects it'); END;
-- sqlite: CREATE TRIGGER billing_posted_stays BEFORE DELETE ON billing_posted BEGIN SELECT RAISE(ABORT, 'a posted bill is not deleted: a credit note corrects it'); END;
-- sqlite: CREATE TRIGGER billing_draft_kept BEFORE UPDATE ON billing_draft WHEN EXISTS (SELECT 1 FROM billing_posted p WHERE p.tenant = OLD.tenant AND p.bill = OLD.id) BEGIN SELECT RAISE(ABORT, 'a posted bill is not changed: a credit note corrects it'); END;
-- sqlite: CREATE TRIGGER billing_draft_stays BEFORE DELETE ON billing_draft WHEN EXISTS (SELECT 1 FROM billing_posted p WHERE p.tenant = OLD.tenant AND p.bill = OLD.id) BEGIN SELECT RAISE(ABORT, 'a posted bill is not deleted: a credit note corrects it'); END;
-- sqlite: CREATE TRIGGER billing_document_kept BEFORE UPDATE ON billing_document WHEN EXISTS (SELECT 1 FROM billing_posted p WHERE p.tenant = OLD.tenant AND p.bill = OLD.bill) BEGIN SELECT RAISE(ABORT, 'a posted bill is not changed: a credit note corrects it'); END;
-- sqlite: CREATE TRIGGER billing_document_stays BEFORE DELETE ON billing_document WHEN EXISTS (SELECT 1 FROM billing_posted p WHERE p.tenant = OLD.tenant AND p.bill = OLD.bill) BEGIN SELECT RAISE(ABORT, 'a posted bill is not deleted: a credit note corrects it'); END;
-- sqlite: CREATE TRIGGER billing_billed_kept BEFORE UPDATE ON billing_billed BEGIN SELECT RAISE(ABORT, 'what was billed is not changed'); END;
-- sqlite: CREATE TRIGGER billing_billed_stays BEFORE DELETE ON billing_billed WHEN EXISTS (SELECT 1 FROM billing_posted p WHERE p.tenant = OLD.tenant AND p.bill = OLD.bill) BEGIN SELECT RAISE(ABORT, 'a posted bill is not deleted: a credit note corrects it'); END;
-- sqlite: CREATE TRIGGER billing_series_grows BEFORE UPDATE ON billing_series WHEN NEW.last < OLD.last OR NEW.last_date < OLD.last_date BEGIN SELECT RAISE(ABORT, 'a series of numbers does not go backwards'); END;
-- sqlite: CREATE TRIGGER billing_series_stays BEFORE DELETE ON billing_series BEGIN SELECT RAISE(ABORT, 'a series of numbers is not deleted'); END;
-- postgres: CREATE FUNCTION billing_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a posted bill is not changed or deleted: a credit note corrects it'; END $$;
-- postgres: CREATE FUNCTION billing_kept_if_posted() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE mine TEXT; BEGIN IF TG_TABLE_NAME = 'billing_draft' THEN mine := OLD.id; ELSE mine := OLD.bill; END IF; IF EXISTS (SELECT 1 FROM billing_posted p WHERE p.tenant = OLD.tenant AND p.bill = mine) THEN RAISE EXCEPTION 'a posted bill is not changed or deleted: a credit note corrects it'; END IF; IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$;
-- postgres: CREATE FUNCTION billing_series_grows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.last < OLD.last OR NEW.last_date < OLD.last_date THEN RAISE EXCEPTION 'a series of numbers does not go backwards'; END IF; RETURN NEW; END $$;
-- postgres: CREATE TRIGGER billing_series_grows BEFORE UPDATE ON billing_series FOR EACH ROW EXECUTE FUNCTION billing_series_grows();
-- postgres: CREATE TRIGGER billing_posted_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_posted FOR EACH STATEMENT EXECUTE FUNCTION billing_kept();
-- postgres: CREATE TRIGGER billing_draft_kept BEFORE UPDATE OR DELETE ON billing_draft FOR EACH ROW EXECUTE FUNCTION billing_kept_if_posted();
-- postgres: CREATE TRIGGER billing_document_kept BEFORE UPDATE OR DELETE ON billing_document FOR EACH ROW EXECUTE FUNCTION billing_kept_if_posted();
-- postgres: CREATE TRIGGER billing_billed_kept BEFORE UPDATE OR DELETE ON billing_billed FOR EACH ROW EXECUTE FUNCTION billing_kept_if_posted();
-- postgres: CREATE TRIGGER billing_draft_stays BEFORE TRUNCATE ON billing_draft FOR EACH STATEMENT EXECUTE FUNCTION billing_kept();
-- postgres: CREATE TRIGGER billing_document_stays BEFORE TRUNCATE ON billing_document FOR EACH STATEMENT EXECUTE FUNCTION billing_kept();
-- postgres: CREATE TRIGGER billing_billed_stays BEFORE TRUNCATE ON billing_billed FOR EACH STATEMENT EXECUTE FUNCTION billing_kept();
-- postgres: CREATE TRIGGER billing_series_stays BEFORE DELETE OR TRUNCATE ON billing_series FOR EACH STATEMENT EXECUTE FUNCTION billing_kept();
