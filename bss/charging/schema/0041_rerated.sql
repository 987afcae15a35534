-- What a re-rating changes, record by record: of usage that came by file, by its place
-- in the row. Amounts are 10^-9 of the major unit.
CREATE TABLE charging_rerated (
	tenant TEXT NOT NULL,
	proposal BIGINT NOT NULL,
	usage_number BIGINT NOT NULL,
	place BIGINT NOT NULL,
	account BIGINT NOT NULL,
	was BIGINT NOT NULL,
	becomes BIGINT NOT NULL,
	PRIMARY KEY (tenant, proposal, usage_number, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX charging_rerated_usage ON charging_rerated (tenant, usage_number, place);

-- So far a row was priced anew with all its records; its sums stand at the first.
INSERT INTO charging_rerated (tenant, proposal, usage_number, place, account, was, becomes)
	SELECT d.tenant, d.proposal, d.usage_number, coalesce(n.n, 0), d.account, CASE WHEN coalesce(n.n, 0) = 0 THEN d.was ELSE 0 END, CASE WHEN coalesce(n.n, 0) = 0 THEN d.becomes ELSE 0 END
	FROM charging_rerating d LEFT JOIN charging_usage u ON u.tenant = d.tenant AND u.number = d.usage_number LEFT JOIN charging_place n ON n.n < u.records;
DROP TABLE charging_rerating;
