-- The billing accounts that a wallet was billed on before the one of its row: until when.
-- The first of them had it from the beginning.
CREATE TABLE charging_payer (
	tenant TEXT NOT NULL,
	account BIGINT NOT NULL, -- number of the wallet
	until_at BIGINT NOT NULL,
	billing_account TEXT COLLATE "C" NOT NULL, -- empty: it named none
	PRIMARY KEY (tenant, account, until_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX charging_payer_former ON charging_payer (tenant, billing_account);
