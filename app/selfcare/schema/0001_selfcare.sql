-- Tokens of customers. sum is the SHA-256 of the token; the token itself is nowhere.
CREATE TABLE selfcare_token (
	tenant TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	customer TEXT COLLATE "C" NOT NULL,
	sum TEXT COLLATE "C" NOT NULL UNIQUE,
	expires_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	created_by TEXT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX selfcare_token_customer ON selfcare_token (tenant, customer);
