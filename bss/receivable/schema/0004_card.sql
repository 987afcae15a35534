-- Ways of paying that a customer has left with us (TMF670). token stands for a card at
-- the gateway: the resource shows its end only.
CREATE TABLE receivable_method (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL, -- billing account
	sort TEXT NOT NULL CHECK (sort IN ('card', 'directDebit')),
	token TEXT NOT NULL, -- of a card
	automatic BIGINT NOT NULL CHECK (automatic IN (0, 1)), -- what falls due is charged by itself
	active BIGINT NOT NULL CHECK (active IN (0, 1)),
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receivable_method_automatic ON receivable_method (tenant, account) WHERE automatic = 1 AND active = 1;

-- Every movement of money at a gateway: minted and stored before it is asked for. The
-- gateway moves money at most once for an id. minted: nothing was sent; sent: perhaps it
-- was, and the gateway is asked.
CREATE TABLE receivable_attempt (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	sort TEXT NOT NULL CHECK (sort IN ('payment', 'refund')),
	document TEXT COLLATE "C" NOT NULL, -- the payment, or the refund
	payment TEXT COLLATE "C" NOT NULL, -- that a refund gives back
	method TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	entity TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0),
	automatic BIGINT NOT NULL CHECK (automatic IN (0, 1)), -- nobody pressed a button
	correlator TEXT COLLATE "C" NOT NULL, -- of the client: once
	back_to TEXT NOT NULL, -- page the customer comes back to; none: he is not at the screen
	state TEXT NOT NULL CHECK (state IN ('minted', 'sent', 'confirm', 'pending', 'succeeded', 'declined', 'cancelled')),
	gateway TEXT COLLATE "C" NOT NULL, -- its id of the payment
	revision BIGINT NOT NULL, -- of the gateway's news
	code TEXT NOT NULL, -- why it was declined
	ends BIGINT NOT NULL, -- it is cancelled then
	at BIGINT NOT NULL,
	ended_at BIGINT,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receivable_attempt_automatic ON receivable_attempt (tenant, account) WHERE automatic = 1 AND ended_at IS NULL;
CREATE UNIQUE INDEX receivable_attempt_correlator ON receivable_attempt (tenant, sort, correlator) WHERE correlator <> '';
CREATE UNIQUE INDEX receivable_attempt_document ON receivable_attempt (tenant, sort, document);
CREATE INDEX receivable_attempt_gateway ON receivable_attempt (tenant, gateway) WHERE gateway <> '';

-- What of an attempt is meant for which claim.
CREATE TABLE receivable_attempt_share (
	tenant TEXT NOT NULL,
	attempt TEXT COLLATE "C" NOT NULL,
	claim TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL CHECK (amount >= 0), -- 0: as much as is open of it then
	PRIMARY KEY (tenant, attempt, claim)
) STRICT, WITHOUT ROWID;
CREATE INDEX receivable_attempt_share_claim ON receivable_attempt_share (tenant, claim);

-- The inbox of what gateways tell, each message once, whatever the order.
CREATE TABLE receivable_gateway_event (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL, -- the gateway's
	sort TEXT NOT NULL,
	attempt TEXT COLLATE "C" NOT NULL,
	dispute TEXT COLLATE "C" NOT NULL,
	gateway TEXT COLLATE "C" NOT NULL, -- its id of the payment
	currency TEXT NOT NULL,
	amount BIGINT NOT NULL,
	fee BIGINT NOT NULL,
	reason TEXT NOT NULL,
	answer_by BIGINT NOT NULL, -- evidence is taken until then; 0: not said
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- Payments that card holders took back through their bank.
CREATE TABLE receivable_chargeback (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL, -- the gateway's
	payment TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	currency TEXT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0),
	fee BIGINT NOT NULL CHECK (fee >= 0),
	reason TEXT NOT NULL,
	answer_by BIGINT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('opened', 'won', 'lost')),
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- Payments that were used for what was written off.
CREATE TABLE receivable_recovery (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	write_off TEXT COLLATE "C" NOT NULL,
	payment TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0),
	undone BIGINT NOT NULL CHECK (undone IN (0, 1)),
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX receivable_recovery_payment ON receivable_recovery (tenant, payment) WHERE undone = 0;
