-- Every closing of an entity's books, also those that were opened again. number counts
-- them: what is exported of a month names the closing that it rests on.
CREATE TABLE ledger_closed (
	tenant TEXT NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL CHECK (number > 0),
	closed_to TEXT COLLATE "C" NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	reopened_by TEXT NOT NULL, -- empty: it holds
	reopened_at BIGINT NOT NULL,
	reason TEXT NOT NULL, -- why it was opened again
	PRIMARY KEY (tenant, entity, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX ledger_closed_once ON ledger_closed (tenant, entity, closed_to) WHERE reopened_by = '';

INSERT INTO ledger_closed (tenant, entity, number, closed_to, actor, at, reopened_by, reopened_at, reason)
	SELECT tenant, entity, row_number() OVER (PARTITION BY tenant, entity ORDER BY closed_to), closed_to, actor, at, '', 0, ''
	FROM (SELECT tenant, entity, closed_to, min(actor) AS actor, min(at) AS at FROM ledger_closing GROUP BY tenant, entity, closed_to) AS was;

-- The chart of accounts as it was at a closing: what is exported later has the same codes.
CREATE TABLE ledger_closed_chart (
	tenant TEXT NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	gl_account TEXT NOT NULL,
	name TEXT NOT NULL,
	PRIMARY KEY (tenant, entity, number, account)
) STRICT, WITHOUT ROWID;

-- Bookings that were to stand in a month that was closed, and stand on the first open day.
CREATE TABLE ledger_late (
	tenant TEXT NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	dated TEXT COLLATE "C" NOT NULL, -- when it happened
	PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
