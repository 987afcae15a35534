-- What happened, in the order told. Only pruned, never changed.
CREATE TABLE outbox_fact (
	seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	key TEXT COLLATE "C" NOT NULL,
	body JSON NOT NULL,
	at BIGINT NOT NULL
) STRICT;

-- How far each hearer has come. The row with the empty name says up to where
-- facts were pruned, which is where a new hearer begins. retry_at is when the
-- next parked fact of the hearer is due, 0 if it has none.
CREATE TABLE outbox_cursor (
	hearer TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	seq BIGINT NOT NULL,
	retry_at BIGINT NOT NULL,
	moved_at BIGINT NOT NULL
) STRICT;

INSERT INTO outbox_cursor (hearer, seq, retry_at, moved_at) VALUES ('', 0, 0, 0);

-- Facts a hearer could not handle, and those that wait behind them: these have
-- next_at 9223372036854775807 and become due when the one before them is gone.
CREATE TABLE outbox_parked (
	tenant TEXT NOT NULL,
	hearer TEXT COLLATE "C" NOT NULL,
	seq BIGINT NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	key TEXT COLLATE "C" NOT NULL,
	body JSON NOT NULL,
	told_at BIGINT NOT NULL,
	error TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	next_at BIGINT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, hearer, seq)
) STRICT;

CREATE INDEX outbox_parked_due ON outbox_parked (hearer, next_at, seq);
CREATE INDEX outbox_parked_key ON outbox_parked (hearer, key, seq);

-- Parked facts that an operator gave up, with who and why.
CREATE TABLE outbox_dropped (
	tenant TEXT NOT NULL,
	hearer TEXT COLLATE "C" NOT NULL,
	seq BIGINT NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	key TEXT COLLATE "C" NOT NULL,
	body JSON NOT NULL,
	error TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	actor TEXT NOT NULL,
	reason TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, hearer, seq)
) STRICT;
