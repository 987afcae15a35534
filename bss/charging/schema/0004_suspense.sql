-- Where a use stood in its journal record; -1: it was written before this was kept.
ALTER TABLE charging_suspense ADD COLUMN place BIGINT NOT NULL DEFAULT -1;

-- What a use was as it came, and where in its request: a case of the same session,
-- number and digest is the same report. 0: unknown.
ALTER TABLE charging_case ADD COLUMN digest BIGINT NOT NULL DEFAULT 0;

-- How far the counters of sessions of nobody were, by the client that counts since
-- the session began: the next report is a case of what they grew by.
CREATE TABLE charging_reported (
	tenant TEXT NOT NULL,
	source TEXT COLLATE "C" NOT NULL,
	session TEXT COLLATE "C" NOT NULL,
	rating_group BIGINT NOT NULL,
	seconds BIGINT NOT NULL,
	octets_in BIGINT NOT NULL,
	octets_out BIGINT NOT NULL,
	at BIGINT NOT NULL, -- of the report, by the client's clock
	seen_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, source, session, rating_group)
) STRICT, WITHOUT ROWID;
CREATE INDEX charging_reported_seen ON charging_reported (tenant, seen_at);
