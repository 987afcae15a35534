-- How far the journal of a tenant was held against its usage rows and tariffs, and
-- what it said up to there: that part of it may be gone.
CREATE TABLE charging_audited (
	tenant TEXT NOT NULL PRIMARY KEY,
	seq BIGINT NOT NULL,
	number BIGINT NOT NULL, -- of charging_usage, the last of that part
	unjudged BIGINT NOT NULL,
	rows BIGINT NOT NULL,
	seconds BIGINT NOT NULL,
	octets BIGINT NOT NULL,
	events BIGINT NOT NULL,
	money BIGINT NOT NULL,
	chains JSON NOT NULL -- rating groups with partial records that go on
) STRICT, WITHOUT ROWID;
