-- A contract with a customer whose price is allocated (IFRS 15). Amounts are minor units
-- without tax. billed and recognised are what was booked of it.
CREATE TABLE recognition_contract (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	product TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	price BIGINT NOT NULL,
	starts TEXT COLLATE "C" NOT NULL,
	ends TEXT COLLATE "C" NOT NULL, -- the day after the last obligation
	state TEXT NOT NULL CHECK (state IN ('active', 'ended', 'settled')),
	version BIGINT NOT NULL, -- of the schedule that holds
	billed BIGINT NOT NULL,
	recognised BIGINT NOT NULL,
	upto TEXT COLLATE "C" NOT NULL, -- recognised before this day; empty: nothing was
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX recognition_contract_account ON recognition_contract (tenant, account);
CREATE INDEX recognition_contract_product ON recognition_contract (tenant, product);
CREATE INDEX recognition_contract_due ON recognition_contract (tenant, entity, upto) WHERE state <> 'settled';

-- What is promised in it, as it is by each version.
CREATE TABLE recognition_obligation (
	tenant TEXT NOT NULL,
	contract TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	name TEXT NOT NULL,
	selling_price BIGINT NOT NULL,
	over_from TEXT NOT NULL,
	over_to TEXT NOT NULL, -- empty: delivered at once
	revenue TEXT NOT NULL,
	PRIMARY KEY (tenant, contract, version, id)
) STRICT, WITHOUT ROWID;

-- The schedule of each version: the amounts come to the price.
CREATE TABLE recognition_slice (
	tenant TEXT NOT NULL,
	contract TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	line BIGINT NOT NULL,
	obligation TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL,
	over_from TEXT NOT NULL,
	over_to TEXT NOT NULL,
	PRIMARY KEY (tenant, contract, version, line)
) STRICT, WITHOUT ROWID;

-- Why there is a version.
CREATE TABLE recognition_change (
	tenant TEXT NOT NULL,
	contract TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	what TEXT NOT NULL CHECK (what IN ('opened', 'prospective', 'catchUp', 'ended', 'settled')),
	on_date TEXT NOT NULL,
	price BIGINT NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, contract, version)
) STRICT, WITHOUT ROWID;

-- What a bill had of a contract: once.
CREATE TABLE recognition_billed (
	tenant TEXT NOT NULL,
	bill TEXT COLLATE "C" NOT NULL,
	contract TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL,
	PRIMARY KEY (tenant, bill, contract)
) STRICT, WITHOUT ROWID;
CREATE INDEX recognition_billed_contract ON recognition_billed (tenant, contract);

-- What was recognised, by month and obligation; upto is the day after the month.
CREATE TABLE recognition_recognised (
	tenant TEXT NOT NULL,
	contract TEXT COLLATE "C" NOT NULL,
	upto TEXT COLLATE "C" NOT NULL,
	obligation TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL,
	PRIMARY KEY (tenant, contract, upto, obligation)
) STRICT, WITHOUT ROWID;
