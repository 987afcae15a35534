-- How far each bill takes usage, wallet by wallet: all of the wallet that was written up to a
-- number and used before an instant, while it was billed on the account. Wallet 0 stands for
-- all that have no row of their own: so it was kept before.
CREATE TABLE billing_usage_wallet (
	tenant TEXT NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	wallet BIGINT NOT NULL, -- its number in charging
	before_at BIGINT NOT NULL,
	bill TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL, -- of usage
	entry BIGINT NOT NULL, -- of the ledger of balances
	charged_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, account, wallet, before_at, bill)
) STRICT, WITHOUT ROWID;
INSERT INTO billing_usage_wallet (tenant, account, wallet, before_at, bill, number, entry, charged_at)
	SELECT tenant, account, 0, before_at, bill, number, entry, charged_at FROM billing_usage_upto;
DROP TABLE billing_usage_upto;
ALTER TABLE billing_usage_wallet RENAME TO billing_usage_upto;
CREATE INDEX billing_usage_upto_bill ON billing_usage_upto (tenant, bill);
