-- What a tenant has set of a control: tolerance, patience, owner, correction.
CREATE TABLE revenue_setting (
	tenant TEXT NOT NULL,
	control TEXT COLLATE "C" NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (tenant, control)
) STRICT, WITHOUT ROWID;
