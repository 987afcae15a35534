-- What final credit notes gave back of items' service periods, line by line: no correction
-- of a period gives it back once more.
CREATE TABLE billing_credited (
	tenant TEXT NOT NULL,
	item TEXT COLLATE "C" NOT NULL,
	idx BIGINT NOT NULL, -- of the service period
	note TEXT COLLATE "C" NOT NULL, -- the credit note
	line TEXT COLLATE "C" NOT NULL, -- of it
	amount BIGINT NOT NULL, -- compute.Line's Amount: with tax where the price includes it
	corrects BIGINT NOT NULL CHECK (corrects IN (0, 1)), -- 1: the bill was wrong; 0: it is given for its own sake
	tax_category TEXT NOT NULL,
	tax_num BIGINT NOT NULL,
	tax_den BIGINT NOT NULL,
	tax_included BIGINT NOT NULL CHECK (tax_included IN (0, 1)),
	PRIMARY KEY (tenant, item, idx, note, line)
) STRICT, WITHOUT ROWID;

-- Those that were posted before.
-- sqlite: INSERT INTO billing_credited (tenant, item, idx, note, line, amount, corrects, tax_category, tax_num, tax_den, tax_included) SELECT c.tenant, json_extract(l.line, '$.item'), coalesce(json_extract(l.line, '$.index'), 0), c.note, json_extract(l.line, '$.id'), json_extract(l.line, '$.amount'), CASE WHEN json_extract(d.doc, '$.reason') IN ('goodwill', 'serviceLevel', 'outage') THEN 0 ELSE 1 END, json_extract(l.line, '$.taxCategory'), json_extract(l.line, '$.taxPercent[0]'), json_extract(l.line, '$.taxPercent[1]'), coalesce(json_extract(l.line, '$.taxIncluded'), 0) FROM billing_credit_of c JOIN billing_document d ON d.tenant = c.tenant AND d.bill = c.note JOIN billing_line l ON l.tenant = c.tenant AND l.bill = c.note WHERE c.rebill = 0 AND json_extract(l.line, '$.item') IS NOT NULL;
-- postgres: INSERT INTO billing_credited (tenant, item, idx, note, line, amount, corrects, tax_category, tax_num, tax_den, tax_included) SELECT x.tenant, x.line ->> 'item', coalesce(CAST(x.line ->> 'index' AS BIGINT), 0), x.note, x.line ->> 'id', CAST(x.line ->> 'amount' AS BIGINT), CASE WHEN x.reason IN ('goodwill', 'serviceLevel', 'outage') THEN 0 ELSE 1 END, x.line ->> 'taxCategory', CAST(x.line -> 'taxPercent' ->> 0 AS BIGINT), CAST(x.line -> 'taxPercent' ->> 1 AS BIGINT), CASE WHEN x.line ->> 'taxIncluded' = 'true' THEN 1 ELSE 0 END FROM (SELECT c.tenant AS tenant, c.note AS note, CAST(d.doc AS JSON) ->> 'reason' AS reason, CAST(l.line AS JSON) AS line FROM billing_credit_of c JOIN billing_document d ON d.tenant = c.tenant AND d.bill = c.note JOIN billing_line l ON l.tenant = c.tenant AND l.bill = c.note WHERE c.rebill = 0) x WHERE x.line ->> 'item' IS NOT NULL;
