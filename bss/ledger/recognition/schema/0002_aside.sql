-- What could not be done with a contract, in words: billing goes on without it, and the next
-- run of its legal entity says so, once.
CREATE TABLE recognition_aside (
	tenant TEXT NOT NULL,
	contract TEXT COLLATE "C" NOT NULL,
	what TEXT COLLATE "C" NOT NULL, -- opened, changed, ended, or the bill
	on_date TEXT COLLATE "C" NOT NULL,
	entity TEXT COLLATE "C" NOT NULL, -- empty: not known
	reason TEXT NOT NULL,
	run TEXT COLLATE "C" NOT NULL, -- that has said so; empty: none yet
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, contract, what, on_date)
) STRICT, WITHOUT ROWID;
CREATE INDEX recognition_aside_new ON recognition_aside (tenant, entity) WHERE run = '';

-- When the contract was to end as the bill was taken: lines for service before that were
-- taken, and so are what corrects them. Empty: taken before this was kept.
ALTER TABLE recognition_billed ADD COLUMN ends TEXT NOT NULL DEFAULT '';
