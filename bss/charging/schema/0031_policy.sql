-- Where policy counters stand, as the journal last said: for nodes that do not decide
-- for the account.
CREATE TABLE charging_policy_counter (
	tenant TEXT NOT NULL,
	account BIGINT NOT NULL,
	definition BIGINT NOT NULL,
	owner BIGINT NOT NULL, -- the subscriber; 0: all of the account
	step BIGINT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, account, definition, owner)
) STRICT, WITHOUT ROWID;

-- Who in the network wants to hear of the counters of a subscriber (TS 29.594).
CREATE TABLE charging_policy_subscription (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	account BIGINT NOT NULL,
	owner BIGINT NOT NULL,
	version BIGINT NOT NULL, -- of each change
	doc JSON NOT NULL,
	told JSON NOT NULL, -- the status of each counter, as it was told
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX charging_policy_subscription_account ON charging_policy_subscription (tenant, account);
CREATE INDEX charging_line_imsi ON charging_line (tenant, imsi);
