-- What the network confirmed of each product, once per fact: makes hearing
-- idempotent, and is the history of the product.
CREATE TABLE subscription_history (
	tenant TEXT NOT NULL,
	product TEXT COLLATE "C" NOT NULL,
	service TEXT COLLATE "C" NOT NULL,
	what TEXT NOT NULL CHECK (what IN ('active', 'changed', 'suspended', 'resumed', 'terminated')),
	at BIGINT NOT NULL,
	heard_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, product, service, what, at)
) STRICT, WITHOUT ROWID;
