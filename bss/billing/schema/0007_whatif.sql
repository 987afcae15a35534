-- The frozen list of bills of a comparison, in pages.
CREATE TABLE billing_compare_page (
	tenant TEXT NOT NULL,
	comparison TEXT COLLATE "C" NOT NULL,
	page BIGINT NOT NULL,
	bills TEXT NOT NULL, -- ids with a line feed between them, in their order
	done BIGINT NOT NULL CHECK (done IN (0, 1)),
	PRIMARY KEY (tenant, comparison, page)
) STRICT;

-- A bill of a comparison that would come to another amount, or that could not be worked out.
-- Amounts are minor units, negative in the customer's favour.
CREATE TABLE billing_compared (
	tenant TEXT NOT NULL,
	comparison TEXT COLLATE "C" NOT NULL,
	bill TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	number TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	lines BIGINT NOT NULL, -- that change
	net BIGINT NOT NULL,
	tax BIGINT NOT NULL,
	gross BIGINT NOT NULL,
	new_net BIGINT NOT NULL,
	new_tax BIGINT NOT NULL,
	new_gross BIGINT NOT NULL,
	code TEXT COLLATE "C" NOT NULL, -- changed; else why it could not be worked out
	reason TEXT NOT NULL,
	PRIMARY KEY (tenant, comparison, bill)
) STRICT, WITHOUT ROWID;
CREATE INDEX billing_compared_account ON billing_compared (tenant, comparison, account);

-- A line that would change: net amounts, without tax.
CREATE TABLE billing_difference (
	tenant TEXT NOT NULL,
	comparison TEXT COLLATE "C" NOT NULL,
	bill TEXT COLLATE "C" NOT NULL,
	n BIGINT NOT NULL, -- of the bill: 1, 2, ...
	account TEXT COLLATE "C" NOT NULL,
	item TEXT COLLATE "C" NOT NULL, -- empty for usage
	product TEXT COLLATE "C" NOT NULL,
	offering TEXT COLLATE "C" NOT NULL,
	name TEXT NOT NULL,
	sort TEXT NOT NULL,
	currency TEXT NOT NULL,
	was BIGINT NOT NULL,
	becomes BIGINT NOT NULL,
	code TEXT COLLATE "C" NOT NULL,
	reason TEXT NOT NULL,
	PRIMARY KEY (tenant, comparison, bill, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX billing_difference_offering ON billing_difference (tenant, comparison, offering);

-- What the lines of a page come to, by offering: those that change and those that do not.
CREATE TABLE billing_compare_total (
	tenant TEXT NOT NULL,
	comparison TEXT COLLATE "C" NOT NULL,
	page BIGINT NOT NULL,
	offering TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	name TEXT NOT NULL,
	lines BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	was BIGINT NOT NULL,
	becomes BIGINT NOT NULL,
	PRIMARY KEY (tenant, comparison, page, offering, currency)
) STRICT, WITHOUT ROWID;
