-- Usage that came by file is written in rows of many records: those of a subscriber
-- at one price, of one day and one file. page holds the records themselves
-- (core.Posted), so that each can be shown and priced alone. File 0: it came by another
-- face, and is one record.
ALTER TABLE charging_usage ADD COLUMN file BIGINT NOT NULL DEFAULT 0;
ALTER TABLE charging_usage ADD COLUMN records BIGINT NOT NULL DEFAULT 1;
ALTER TABLE charging_usage ADD COLUMN page BYTEA;
CREATE INDEX charging_usage_file ON charging_usage (tenant, file) WHERE file > 0;

-- The places in such a row, from 0: a join with them makes a row of each record.
CREATE TABLE charging_place (
	n BIGINT PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO charging_place (n) WITH RECURSIVE places (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM places WHERE n < 999) SELECT n FROM places;

-- Of the last row of usage in a file of records, how many of its records are out.
ALTER TABLE charging_cdr_file ADD COLUMN after_place BIGINT NOT NULL DEFAULT 1;
ALTER TABLE charging_cdr_file ADD COLUMN upto_place BIGINT NOT NULL DEFAULT 1;
