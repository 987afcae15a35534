-- One line a log. Whoever changes terms or leases of the log holds it meanwhile.
CREATE TABLE journal_log (
	log TEXT COLLATE "C" NOT NULL PRIMARY KEY
) STRICT;

-- A term is the time in which a holder gains shards and loses none; when it loses
-- one, the term ends and its line goes. Numbers are never used twice.
CREATE TABLE journal_term (
	term BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	log TEXT COLLATE "C" NOT NULL,
	holder TEXT COLLATE "C" NOT NULL,
	address TEXT NOT NULL,
	expires_at BIGINT NOT NULL
) STRICT;

-- In which term each shard is held; 0 for none.
CREATE TABLE journal_lease (
	log TEXT COLLATE "C" NOT NULL,
	shard BIGINT NOT NULL CHECK (shard BETWEEN 0 AND 255),
	term BIGINT NOT NULL,
	PRIMARY KEY (log, shard)
) STRICT;

-- The batches, only ever added and pruned. shards_0 has the bits of shards 0-63
-- and so on. The small columns stand first: they are read without the blob.
CREATE TABLE journal_batch (
	seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	log TEXT COLLATE "C" NOT NULL,
	term BIGINT NOT NULL,
	shards_0 BIGINT NOT NULL,
	shards_1 BIGINT NOT NULL,
	shards_2 BIGINT NOT NULL,
	shards_3 BIGINT NOT NULL,
	records BIGINT NOT NULL,
	first_at BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	at BIGINT NOT NULL,
	blob BYTEA NOT NULL
) STRICT;

-- Blobs are packed by their writer: trying to press them smaller is lost time.
-- postgres: ALTER TABLE journal_batch ALTER COLUMN blob SET STORAGE EXTERNAL;

-- Snapshot pages. mark is the caller's; rows of the log below low are contained.
CREATE TABLE journal_page (
	log TEXT COLLATE "C" NOT NULL,
	shard BIGINT NOT NULL CHECK (shard BETWEEN 0 AND 255),
	number BIGINT NOT NULL,
	mark BIGINT NOT NULL,
	low BIGINT NOT NULL,
	blob BYTEA NOT NULL,
	PRIMARY KEY (log, shard, number)
) STRICT;

-- postgres: ALTER TABLE journal_page ALTER COLUMN blob SET STORAGE EXTERNAL;

CREATE INDEX journal_page_low ON journal_page (log, shard, low);
