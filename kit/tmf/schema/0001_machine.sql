-- Values of array attributes that are filtered on: any element matches.
CREATE TABLE tmf_multi (
	tenant TEXT NOT NULL,
	tbl TEXT NOT NULL,
	attr TEXT NOT NULL,
	value TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, tbl, attr, value, id)
) STRICT, WITHOUT ROWID;

-- One row for each write of a resource: the audit, and the source of events.
CREATE TABLE tmf_change (
	seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	api TEXT NOT NULL,
	kind TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	rev BIGINT NOT NULL,
	op TEXT NOT NULL CHECK (op IN ('create', 'change', 'state', 'delete')),
	at BIGINT NOT NULL,
	actor TEXT NOT NULL,
	before JSON
) STRICT;

CREATE INDEX tmf_change_resource ON tmf_change (id, seq);

-- Which promoted columns each resource table has.
CREATE TABLE tmf_kind (
	tbl TEXT NOT NULL PRIMARY KEY,
	columns TEXT NOT NULL
) STRICT;

-- Who listens (TMF630 Part 1, notification): a subscription with its place in the changes.
CREATE TABLE tmf_hub (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	api TEXT NOT NULL,
	callback TEXT NOT NULL,
	query TEXT NOT NULL,
	owner TEXT NOT NULL,
	cursor BIGINT NOT NULL,
	attempt BIGINT NOT NULL,
	next_at BIGINT NOT NULL,
	lease_until BIGINT NOT NULL,
	last_error TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

-- Events that could not be delivered: visible, and delivered again on request.
CREATE TABLE tmf_dead_letter (
	tenant TEXT NOT NULL,
	hub TEXT COLLATE "C" NOT NULL,
	seq BIGINT NOT NULL,
	event JSON NOT NULL,
	error TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, hub, seq)
) STRICT;
