-- How far each bill takes usage: all that was written up to a number and used before an
-- instant. One row for each account whose usage a bill has: the payer's, and those it pays for.
CREATE TABLE billing_usage_upto (
	tenant TEXT NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	before_at BIGINT NOT NULL,
	bill TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL, -- of usage
	entry BIGINT NOT NULL, -- of the ledger of balances
	charged_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, account, before_at, bill)
) STRICT, WITHOUT ROWID;
CREATE INDEX billing_usage_upto_bill ON billing_usage_upto (tenant, bill);
