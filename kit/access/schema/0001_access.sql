-- Operator brands. The tenant column is the tenant's own id.
CREATE TABLE access_tenant (
	tenant TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	role TEXT NOT NULL CHECK (role IN ('host', 'tenant')),
	status TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
	created_at BIGINT NOT NULL
) STRICT;

-- The host (tenant) lets the guest's services run on one of its resources.
CREATE TABLE access_wholesale (
	tenant TEXT COLLATE "C" NOT NULL REFERENCES access_tenant (tenant),
	guest TEXT COLLATE "C" NOT NULL REFERENCES access_tenant (tenant),
	resource TEXT COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, guest, resource),
	CHECK (guest <> tenant)
) STRICT;

-- hash is argon2id in the PHC text form: parameters, salt, digest.
CREATE TABLE access_user (
	tenant TEXT COLLATE "C" NOT NULL REFERENCES access_tenant (tenant),
	id TEXT COLLATE "C" NOT NULL,
	full_name TEXT NOT NULL,
	hash TEXT NOT NULL,
	status TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
	created_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

-- Failed logins by name, whether a user has that name or not. name is a digest.
CREATE TABLE access_failure (
	tenant TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	failures BIGINT NOT NULL,
	locked_until BIGINT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, name)
) STRICT;

-- sum is the SHA-256 of the token; the token itself is nowhere.
CREATE TABLE access_token (
	tenant TEXT COLLATE "C" NOT NULL REFERENCES access_tenant (tenant),
	id TEXT COLLATE "C" NOT NULL,
	kind TEXT NOT NULL CHECK (kind IN ('session', 'api')),
	subject TEXT COLLATE "C" NOT NULL,
	sum TEXT COLLATE "C" NOT NULL UNIQUE,
	prefix TEXT NOT NULL,
	note TEXT NOT NULL,
	expires_at BIGINT NOT NULL,
	used_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	created_by TEXT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

CREATE INDEX access_token_subject ON access_token (tenant, subject);

-- Roles a tenant made itself; the built-in ones come with the program.
CREATE TABLE access_role (
	tenant TEXT COLLATE "C" NOT NULL REFERENCES access_tenant (tenant),
	id TEXT COLLATE "C" NOT NULL,
	title TEXT NOT NULL,
	permissions JSON NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

-- Who has which role; subject is user:<id> or token:<id>.
CREATE TABLE access_grant (
	tenant TEXT COLLATE "C" NOT NULL REFERENCES access_tenant (tenant),
	subject TEXT COLLATE "C" NOT NULL,
	role TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, subject, role)
) STRICT;

-- Every change, without secrets. Only appended to.
CREATE TABLE access_audit (
	seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	subject TEXT NOT NULL,
	before JSON,
	after JSON
) STRICT;

CREATE INDEX access_audit_tenant ON access_audit (tenant, seq);
