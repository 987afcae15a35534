-- What accounts refer to by number (core.Book): tenants, plans, tariffs,
-- definitions. Rows are only ever added.
CREATE TABLE charging_book (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	kind TEXT NOT NULL CHECK (kind IN ('tenant', 'plan', 'tariff', 'definition')),
	name TEXT COLLATE "C" NOT NULL,
	from_at BIGINT NOT NULL,
	doc JSON NOT NULL,
	UNIQUE (tenant, kind, name)
) STRICT;

-- Wallets. The number says where the account lives: shard number % 256, slot
-- number / 256.
CREATE TABLE charging_account (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	customer TEXT COLLATE "C" NOT NULL,
	billing_account TEXT COLLATE "C" NOT NULL,
	mode BIGINT NOT NULL,
	currency TEXT NOT NULL,
	opened_at BIGINT NOT NULL,
	UNIQUE (tenant, id)
) STRICT;
CREATE INDEX charging_account_customer ON charging_account (tenant, customer);

-- Lines: which product draws on which account, as which of its subscribers.
CREATE TABLE charging_line (
	tenant TEXT NOT NULL,
	product TEXT COLLATE "C" NOT NULL,
	account BIGINT NOT NULL,
	subscriber BIGINT NOT NULL, -- 0 until it is confirmed
	state BIGINT NOT NULL DEFAULT 0, -- core.State, as the journal last said
	offering TEXT COLLATE "C" NOT NULL,
	e164 TEXT COLLATE "C" NOT NULL DEFAULT '', -- what the network calls it by
	imsi TEXT COLLATE "C" NOT NULL DEFAULT '',
	name TEXT COLLATE "C" NOT NULL DEFAULT '',
	PRIMARY KEY (tenant, product)
) STRICT, WITHOUT ROWID;
CREATE INDEX charging_line_e164 ON charging_line (tenant, e164);
CREATE INDEX charging_line_account ON charging_line (tenant, account, subscriber);

-- Buckets, as the journal made them; what is left in them is asked of the engine.
CREATE TABLE charging_bucket (
	tenant TEXT NOT NULL,
	account BIGINT NOT NULL,
	bucket BIGINT NOT NULL,
	definition BIGINT NOT NULL,
	unit TEXT NOT NULL,
	owner BIGINT NOT NULL, -- the subscriber it is for; 0: all of the account
	product TEXT COLLATE "C" NOT NULL, -- the one it came with
	made_at BIGINT NOT NULL,
	ended_at BIGINT,
	PRIMARY KEY (tenant, account, bucket)
) STRICT, WITHOUT ROWID;
CREATE INDEX charging_bucket_product ON charging_bucket (tenant, product);

-- What the business orders of accounts. The number is in the journal record that
-- carries it out, so it is carried out once.
CREATE TABLE charging_command (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	account BIGINT NOT NULL,
	kind TEXT NOT NULL,
	product TEXT COLLATE "C" NOT NULL,
	action TEXT COLLATE "C" NOT NULL DEFAULT '', -- the balance action it is a step of: its kind/id
	doc JSON NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'refused')),
	error TEXT NOT NULL,
	at BIGINT NOT NULL,
	ended_at BIGINT
) STRICT;
CREATE INDEX charging_command_pending ON charging_command (tenant, number) WHERE state = 'pending';
CREATE INDEX charging_command_account ON charging_command (tenant, account, number);

-- How far the projector has written a tenant's part of the journal.
CREATE TABLE charging_cursor (
	tenant TEXT NOT NULL,
	part BIGINT NOT NULL, -- 0: usage of unknown subscribers, kept by the host
	seq BIGINT NOT NULL,
	PRIMARY KEY (tenant, part)
) STRICT, WITHOUT ROWID;

-- Double entry: every move of a balance with its other side. amount is what the
-- bucket gained; the other side lost it.
CREATE TABLE charging_entry (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	account BIGINT NOT NULL,
	bucket BIGINT NOT NULL,
	against TEXT NOT NULL, -- usage, topUp, bonus, voucher, adjustment, refund, transfer, expiry, renewal ...
	amount BIGINT NOT NULL,
	ref TEXT NOT NULL,
	shard BIGINT NOT NULL,
	record BIGINT NOT NULL,
	at BIGINT NOT NULL
) STRICT;
CREATE INDEX charging_entry_account ON charging_entry (tenant, account, bucket, at);

-- Usage records: one for each session, partial record or event, and each rating
-- group in it.
CREATE TABLE charging_usage (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	account BIGINT NOT NULL,
	subscriber BIGINT NOT NULL,
	service BIGINT NOT NULL,
	session TEXT NOT NULL,
	part BIGINT NOT NULL,
	cause TEXT NOT NULL,
	rating_group BIGINT NOT NULL,
	tariff BIGINT NOT NULL,
	rate BIGINT NOT NULL,
	seconds BIGINT NOT NULL,
	octets BIGINT NOT NULL,
	octets_in BIGINT NOT NULL,
	octets_out BIGINT NOT NULL,
	events BIGINT NOT NULL,
	money BIGINT NOT NULL,
	called TEXT NOT NULL,
	network BIGINT NOT NULL,
	first_at BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	shard BIGINT NOT NULL,
	record BIGINT NOT NULL,
	at BIGINT NOT NULL
) STRICT;
CREATE INDEX charging_usage_account ON charging_usage (tenant, account, at);

-- Usage that could not be charged, with the reason, until it is corrected and
-- recycled, or written off.
CREATE TABLE charging_suspense (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	reason TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('open', 'recycled', 'writtenOff')),
	doc JSON NOT NULL,
	shard BIGINT NOT NULL,
	record BIGINT NOT NULL,
	at BIGINT NOT NULL
) STRICT;
CREATE INDEX charging_suspense_open ON charging_suspense (tenant, reason, number) WHERE state = 'open';
