-- Where an account stands on its ladder. A cycle begins with the first overdue day and
-- ends when nothing is overdue any more.
CREATE TABLE receivable_dunning (
	tenant TEXT NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	cycle BIGINT NOT NULL,
	level BIGINT NOT NULL, -- the last one that was entered; 0: none
	barred BIGINT NOT NULL CHECK (barred IN (0, 1)), -- its products are to be barred
	paused_to TEXT COLLATE "C" NOT NULL, -- the ladder rests up to and with this day
	pause_reason TEXT NOT NULL,
	PRIMARY KEY (tenant, account)
) STRICT, WITHOUT ROWID;

-- Each level is entered once in a cycle.
CREATE TABLE receivable_action (
	tenant TEXT NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	cycle BIGINT NOT NULL,
	level BIGINT NOT NULL,
	action TEXT NOT NULL,
	overdue BIGINT NOT NULL, -- what was
	currency TEXT NOT NULL,
	oldest TEXT COLLATE "C" NOT NULL, -- the claim due the longest
	on_date TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, account, cycle, level)
) STRICT, WITHOUT ROWID;

-- Products that were barred for debt, and whether the network has said so.
CREATE TABLE receivable_bar (
	tenant TEXT NOT NULL,
	product TEXT COLLATE "C" NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('barring', 'barred', 'lifting', 'lifted')),
	placed TEXT COLLATE "C" NOT NULL, -- the product order
	at BIGINT NOT NULL,
	confirmed_at BIGINT, -- by the element
	PRIMARY KEY (tenant, product)
) STRICT, WITHOUT ROWID;
CREATE INDEX receivable_bar_account ON receivable_bar (tenant, account);

-- Claims a customer disputes: they are not dunned until it is settled.
CREATE TABLE receivable_dispute (
	tenant TEXT NOT NULL,
	claim TEXT COLLATE "C" NOT NULL,
	reason TEXT NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	settled_at BIGINT,
	PRIMARY KEY (tenant, claim)
) STRICT, WITHOUT ROWID;
