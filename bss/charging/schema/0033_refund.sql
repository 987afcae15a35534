-- What was given back of a usage, or is about to be: a record of a file by its row
-- and its place in it.
CREATE TABLE charging_refund (
	tenant TEXT NOT NULL,
	usage_row BIGINT NOT NULL,
	place BIGINT NOT NULL,
	action TEXT COLLATE "C" NOT NULL, -- the adjustment that gives it back
	amount BIGINT NOT NULL,
	PRIMARY KEY (tenant, usage_row, place, action)
) STRICT, WITHOUT ROWID;
CREATE INDEX charging_refund_action ON charging_refund (tenant, action);
