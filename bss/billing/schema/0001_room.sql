-- The hard facts of every billable item. to_at is NULL until the item has ended.
CREATE TABLE billing_charge (
	tenant TEXT NOT NULL,
	item TEXT COLLATE "C" NOT NULL,
	product TEXT COLLATE "C" NOT NULL CHECK (product <> ''),
	price TEXT COLLATE "C" NOT NULL CHECK (price <> ''),
	account TEXT COLLATE "C" NOT NULL CHECK (account <> ''),
	confirmed_by TEXT COLLATE "C" NOT NULL CHECK (confirmed_by <> ''),
	from_at BIGINT NOT NULL CHECK (from_at > 0),
	to_at BIGINT CHECK (to_at >= from_at),
	PRIMARY KEY (tenant, item)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX billing_charge_open ON billing_charge (tenant, product, price) WHERE to_at IS NULL;
CREATE INDEX billing_charge_price ON billing_charge (tenant, product, price, from_at);
CREATE INDEX billing_charge_account ON billing_charge (tenant, account);

-- Facts that were heard, so that hearing is idempotent.
CREATE TABLE billing_heard (
	tenant TEXT NOT NULL,
	product TEXT COLLATE "C" NOT NULL,
	what TEXT NOT NULL,
	service TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	heard_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, product, what, service, at)
) STRICT, WITHOUT ROWID;
