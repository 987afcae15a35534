-- Who takes money asks what is under way on the account, and for which method a mandate is.
CREATE INDEX receivable_attempt_open ON receivable_attempt (tenant, account) WHERE ended_at IS NULL;
CREATE INDEX receivable_method_mandate ON receivable_method (tenant, token) WHERE sort = 'directDebit';
