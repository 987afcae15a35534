-- The bill run asks for the wallets of billing accounts, a page of them at a time.
CREATE INDEX charging_account_payer ON charging_account (tenant, billing_account);
