-- What a client names a balance action by, so that it is done once.
CREATE TABLE charging_action_key (
	tenant TEXT NOT NULL,
	name TEXT COLLATE "C" NOT NULL, -- kind/id:... or kind/external:...
	action TEXT COLLATE "C" NOT NULL,
	digest TEXT NOT NULL,
	PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- Vouchers, by a keyed MAC of their PIN: the PIN itself is nowhere.
CREATE TABLE charging_voucher (
	tenant TEXT NOT NULL,
	serial TEXT COLLATE "C" NOT NULL,
	batch TEXT COLLATE "C" NOT NULL,
	mac BYTEA NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('made', 'active', 'used', 'void', 'expired')),
	PRIMARY KEY (tenant, serial),
	UNIQUE (tenant, mac)
) STRICT, WITHOUT ROWID;
CREATE INDEX charging_voucher_batch ON charging_voucher (tenant, batch, state);

-- A voucher is redeemed once: the key says so.
CREATE TABLE charging_redemption (
	tenant TEXT NOT NULL,
	serial TEXT COLLATE "C" NOT NULL,
	action TEXT COLLATE "C" NOT NULL,
	account BIGINT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, serial)
) STRICT, WITHOUT ROWID;

-- Wrong PINs in a row, by who tried.
CREATE TABLE charging_guess (
	tenant TEXT NOT NULL,
	who TEXT COLLATE "C" NOT NULL,
	failures BIGINT NOT NULL,
	locked_until BIGINT NOT NULL,
	PRIMARY KEY (tenant, who)
) STRICT, WITHOUT ROWID;
