-- Whose turn it is to change the configuration of a DHCP server; the tenant is the host.
-- Times are microseconds of the database's clock. holder has the turn before until. next
-- waits for it, and asked for it last at asked: who has had it lets next go first. written
-- says that all that was set is on the server's disk; it is 0 during a turn, and was is
-- what it was before.
CREATE TABLE kea_turn (
	tenant TEXT NOT NULL,
	address TEXT COLLATE "C" NOT NULL, -- of the control agent
	holder TEXT COLLATE "C" NOT NULL,
	until BIGINT NOT NULL,
	next TEXT COLLATE "C" NOT NULL,
	asked BIGINT NOT NULL,
	written BIGINT NOT NULL CHECK (written IN (0, 1)),
	was BIGINT NOT NULL CHECK (was IN (0, 1)),
	PRIMARY KEY (tenant, address)
) STRICT, WITHOUT ROWID;
