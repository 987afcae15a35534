-- What of a claim is disputed; 0: all of it. id is that of its resource.
ALTER TABLE receivable_dispute ADD COLUMN amount BIGINT NOT NULL DEFAULT 0;
ALTER TABLE receivable_dispute ADD COLUMN id TEXT NOT NULL DEFAULT '';

-- What was arranged with a customer who cannot pay now: a plan of instalments, or a
-- promise. One at a time for an account.
CREATE TABLE receivable_arrangement (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	sort TEXT NOT NULL CHECK (sort IN ('plan', 'promise')),
	account TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	owed BIGINT NOT NULL CHECK (owed > 0), -- open of its claims when it was made
	grace BIGINT NOT NULL CHECK (grace >= 0), -- days that an instalment may be late
	state TEXT NOT NULL CHECK (state IN ('active', 'kept', 'broken', 'cancelled')),
	at BIGINT NOT NULL,
	ended_at BIGINT,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receivable_arrangement_active ON receivable_arrangement (tenant, account) WHERE state = 'active';
CREATE INDEX receivable_arrangement_account ON receivable_arrangement (tenant, account, at);

CREATE TABLE receivable_arranged_claim (
	tenant TEXT NOT NULL,
	arrangement TEXT COLLATE "C" NOT NULL,
	claim TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, arrangement, claim)
) STRICT, WITHOUT ROWID;
CREATE INDEX receivable_arranged_claim_claim ON receivable_arranged_claim (tenant, claim);

CREATE TABLE receivable_instalment (
	tenant TEXT NOT NULL,
	arrangement TEXT COLLATE "C" NOT NULL,
	line BIGINT NOT NULL,
	due TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0),
	PRIMARY KEY (tenant, arrangement, line)
) STRICT, WITHOUT ROWID;

-- Claims that a collection agency works on: we do not dun them.
CREATE TABLE receivable_agency_case (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL, -- the reference the agency is given
	file TEXT COLLATE "C" NOT NULL,
	claim TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0), -- open when it was placed
	state TEXT NOT NULL CHECK (state IN ('placed', 'paid', 'recalled', 'closed')),
	reason TEXT NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	ended_at BIGINT,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receivable_agency_case_placed ON receivable_agency_case (tenant, claim) WHERE state = 'placed';
CREATE INDEX receivable_agency_case_file ON receivable_agency_case (tenant, file);
CREATE INDEX receivable_agency_case_account ON receivable_agency_case (tenant, account);
