-- Tokens that are over are deleted when others are made.
CREATE INDEX selfcare_token_expires ON selfcare_token (tenant, expires_at);
