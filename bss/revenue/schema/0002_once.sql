-- The run of controls that is under way: one of a tenant.
CREATE TABLE revenue_turn (
	tenant TEXT NOT NULL,
	run TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant)
) STRICT, WITHOUT ROWID;

-- When what nobody knows the beginning of was first seen, until it has stood for the
-- patience of its control.
CREATE TABLE revenue_first (
	tenant TEXT NOT NULL,
	control TEXT COLLATE "C" NOT NULL,
	finding TEXT COLLATE "C" NOT NULL,
	first_at BIGINT NOT NULL,
	seen_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, control, finding)
) STRICT, WITHOUT ROWID;
