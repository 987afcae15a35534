-- The elements an operator owns, and how they may be used. rate is operations a second (0: no limit), concurrency operations at
-- once (0: a default).
CREATE TABLE activation_element (
	tenant TEXT NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	type TEXT COLLATE "C" NOT NULL,
	address TEXT NOT NULL,
	vty TEXT NOT NULL,
	rate BIGINT NOT NULL CHECK (rate >= 0),
	concurrency BIGINT NOT NULL CHECK (concurrency BETWEEN 0 AND 256),
	enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
	note TEXT NOT NULL,
	PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- Wholesale: the host (tenant) lets another operator (grantee) use its element, for resources whose key begins with prefix.
CREATE TABLE activation_grant (
	tenant TEXT NOT NULL,
	element TEXT COLLATE "C" NOT NULL,
	grantee TEXT NOT NULL,
	prefix TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, element, grantee),
	FOREIGN KEY (tenant, element) REFERENCES activation_element (tenant, name)
) STRICT, WITHOUT ROWID;

-- An operator sees one element under a name.
CREATE UNIQUE INDEX activation_grant_grantee ON activation_grant (grantee, element);

-- What a directly activated service shall be on its element. change counts requests: who finds it moved has not the last word.
-- sealed is its secrets, encrypted.
CREATE TABLE activation_target (
	tenant TEXT NOT NULL,
	service TEXT COLLATE "C" NOT NULL,
	element TEXT COLLATE "C" NOT NULL,
	type TEXT COLLATE "C" NOT NULL,
	key TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('active', 'inactive', 'terminated', 'deleted')),
	change BIGINT NOT NULL CHECK (change > 0),
	sealed BYTEA,
	PRIMARY KEY (tenant, service)
) STRICT, WITHOUT ROWID;

-- Two services must not pull one resource in two directions.
CREATE UNIQUE INDEX activation_target_key ON activation_target (tenant, element, type, key);
