-- Zone and calendar of an account that was billed, as they were until an instant: bills go by
-- them up to the end of the billing period that they were changed in.
CREATE TABLE billing_calendar_was (
	tenant TEXT NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL, -- until then
	zone TEXT NOT NULL, -- IANA
	origin TEXT NOT NULL,
	step TEXT NOT NULL, -- ISO 8601
	day BIGINT NOT NULL,
	next_date TEXT COLLATE "C" NOT NULL, -- of the first bill after the change
	PRIMARY KEY (tenant, account, at)
) STRICT, WITHOUT ROWID;
