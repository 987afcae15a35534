-- Every service, resource and site once: ids are unique across the three.
CREATE TABLE inventory_node (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	class TEXT NOT NULL CHECK (class IN ('service', 'resource', 'physical', 'logical', 'site')),
	name TEXT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- From what carries to what is carried. Owner is the resource that states it.
CREATE TABLE inventory_edge (
	tenant TEXT NOT NULL,
	from_id TEXT COLLATE "C" NOT NULL,
	to_id TEXT COLLATE "C" NOT NULL,
	type TEXT NOT NULL CHECK (type IN ('supports', 'contains', 'connects', 'protects', 'backsUp', 'locates', 'relates')),
	role TEXT NOT NULL,
	owner TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, from_id, to_id, type, role, owner),
	FOREIGN KEY (tenant, from_id) REFERENCES inventory_node (tenant, id),
	FOREIGN KEY (tenant, to_id) REFERENCES inventory_node (tenant, id),
	CHECK (from_id <> to_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX inventory_edge_to ON inventory_edge (tenant, to_id, type);

-- One row a tenant on which those queue who could close a cycle together.
CREATE TABLE inventory_graph (
	tenant TEXT NOT NULL PRIMARY KEY,
	changes BIGINT NOT NULL
) STRICT;

CREATE TABLE inventory_pool (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	host TEXT NOT NULL, -- tenant whose network the numbers belong to
	quarantine BIGINT NOT NULL CHECK (quarantine >= 0), -- seconds
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- The key holds across tenants on purpose: no number can be in two hands.
CREATE TABLE inventory_number (
	kind TEXT NOT NULL,
	value TEXT COLLATE "C" NOT NULL,
	tenant TEXT NOT NULL,
	pool TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('available', 'reserved', 'assigned', 'quarantined')),
	holder TEXT COLLATE "C" NOT NULL,
	until BIGINT NOT NULL, -- end of reservation or quarantine; 0: none
	PRIMARY KEY (kind, value),
	FOREIGN KEY (tenant, pool) REFERENCES inventory_pool (tenant, id),
	CHECK ((holder <> '') = (state IN ('reserved', 'assigned'))),
	CHECK ((until > 0) = (state IN ('reserved', 'quarantined')))
) STRICT, WITHOUT ROWID;

-- The next free number is the first entry of its state here, however many are taken.
CREATE INDEX inventory_number_free ON inventory_number (tenant, pool, state, value);
CREATE INDEX inventory_number_until ON inventory_number (tenant, until) WHERE until > 0;
CREATE INDEX inventory_number_holder ON inventory_number (tenant, holder) WHERE holder <> '';

-- SIM cards and eSIM profiles; keys across tenants as above.
CREATE TABLE inventory_sim (
	iccid TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	imsi TEXT COLLATE "C" NOT NULL UNIQUE,
	tenant TEXT NOT NULL,
	pool TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('available', 'reserved', 'assigned', 'quarantined')),
	holder TEXT COLLATE "C" NOT NULL,
	until BIGINT NOT NULL,
	form TEXT NOT NULL CHECK (form IN ('removable', 'esim')),
	algorithm TEXT NOT NULL,
	sealed BYTEA NOT NULL, -- key material, opaque to this room
	FOREIGN KEY (tenant, pool) REFERENCES inventory_pool (tenant, id),
	CHECK ((holder <> '') = (state IN ('reserved', 'assigned'))),
	CHECK ((until > 0) = (state IN ('reserved', 'quarantined')))
) STRICT, WITHOUT ROWID;

CREATE INDEX inventory_sim_free ON inventory_sim (tenant, pool, state, iccid);
CREATE INDEX inventory_sim_until ON inventory_sim (tenant, until) WHERE until > 0;
CREATE INDEX inventory_sim_holder ON inventory_sim (tenant, holder) WHERE holder <> '';
