-- Files of usage that were offered: taken wholly or not at all.
CREATE TABLE charging_file (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	source TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	format TEXT NOT NULL,
	sequence BIGINT NOT NULL, -- of the source; -1: its files have none
	hash TEXT COLLATE "C" NOT NULL,
	size BIGINT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('taking', 'taken', 'duplicate', 'refused')),
	reason TEXT NOT NULL,
	records BIGINT NOT NULL,
	skipped BIGINT NOT NULL,
	charged BIGINT NOT NULL,
	duplicates BIGINT NOT NULL,
	suspended BIGINT NOT NULL, -- uses that could not be charged
	late BIGINT NOT NULL,
	missing BIGINT NOT NULL, -- sequence numbers between it and the one before
	first_at BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	progress BIGINT NOT NULL, -- all records up to here are dealt with, and counted
	marked_at BIGINT NOT NULL, -- when progress was made
	seen_at BIGINT NOT NULL,
	ended_at BIGINT
) STRICT;
CREATE UNIQUE INDEX charging_file_hash ON charging_file (tenant, hash) WHERE state IN ('taking', 'taken');
CREATE UNIQUE INDEX charging_file_sequence ON charging_file (tenant, source, sequence) WHERE sequence >= 0 AND state IN ('taking', 'taken');
CREATE INDEX charging_file_times ON charging_file (tenant, source, last_at) WHERE state = 'taken';

-- The identities and digests of the records of a file, 16 octets each, sorted.
CREATE TABLE charging_file_keys (
	tenant TEXT NOT NULL,
	file BIGINT NOT NULL,
	keys BYTEA NOT NULL,
	PRIMARY KEY (tenant, file)
) STRICT, WITHOUT ROWID;

-- Usage that could not be charged and waits to be corrected and charged again, or
-- written off. part is the place of the use in its record.
CREATE TABLE charging_case (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	source TEXT COLLATE "C" NOT NULL,
	session TEXT COLLATE "C" NOT NULL,
	record_number BIGINT NOT NULL,
	part BIGINT NOT NULL,
	reason TEXT NOT NULL,
	first_reason TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('open', 'recycling', 'charged', 'writtenOff')),
	doc JSON NOT NULL,
	attempts BIGINT NOT NULL,
	file BIGINT NOT NULL, -- 0: it came by another face
	at BIGINT NOT NULL,
	changed_at BIGINT NOT NULL,
	UNIQUE (tenant, source, session, record_number, part)
) STRICT;
CREATE INDEX charging_case_open ON charging_case (tenant, state, number) WHERE state IN ('open', 'recycling');

-- What is to be done only when a second person agrees: write-offs and re-rating.
CREATE TABLE charging_proposal (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	kind TEXT NOT NULL CHECK (kind IN ('writeOff', 'rerate')),
	doc JSON NOT NULL,
	report JSON NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('proposed', 'approved', 'rejected')),
	proposed_by TEXT NOT NULL,
	decided_by TEXT NOT NULL,
	at BIGINT NOT NULL,
	decided_at BIGINT
) STRICT;

-- What a re-rating changes, record by record. amounts are 10^-9 of the major unit.
CREATE TABLE charging_rerating (
	tenant TEXT NOT NULL,
	proposal BIGINT NOT NULL,
	usage_number BIGINT NOT NULL,
	account BIGINT NOT NULL,
	was BIGINT NOT NULL,
	becomes BIGINT NOT NULL,
	PRIMARY KEY (tenant, proposal, usage_number)
) STRICT, WITHOUT ROWID;

-- Files of records that were written, by stream and sequence without holes.
-- planned: what is in it is settled; ready: it is whole under its temporary name;
-- written: it has its name.
CREATE TABLE charging_cdr_file (
	tenant TEXT NOT NULL,
	stream TEXT COLLATE "C" NOT NULL,
	sequence BIGINT NOT NULL,
	after_number BIGINT NOT NULL, -- of charging_usage
	upto_number BIGINT NOT NULL,
	records BIGINT NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	closing BIGINT NOT NULL,
	hash TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('planned', 'ready', 'written')),
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, stream, sequence)
) STRICT, WITHOUT ROWID;

-- Usage in the order it was written, of one tenant: what files of records follow.
CREATE INDEX charging_usage_number ON charging_usage (tenant, number);
