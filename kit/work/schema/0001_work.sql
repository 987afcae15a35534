-- Jobs until their outcome is written. owner is who runs the job ('' nobody),
-- epoch counts claims, again_at is when to run once more after the present run
-- (0: not). done is only seen within the transaction that finishes the job.
CREATE TABLE work_job (
	id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	key TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('open', 'parked')),
	run_at BIGINT NOT NULL,
	again_at BIGINT NOT NULL,
	attempt BIGINT NOT NULL,
	lease_until BIGINT NOT NULL,
	owner TEXT NOT NULL,
	epoch BIGINT NOT NULL,
	done BIGINT NOT NULL,
	payload JSON NOT NULL,
	last_error TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	UNIQUE (tenant, kind, key)
) STRICT;

CREATE INDEX work_job_due ON work_job (kind, run_at, id) WHERE state = 'open';
CREATE INDEX work_job_parked ON work_job (tenant, kind, id) WHERE state = 'parked';

-- Parked jobs that an operator gave up, with who and why.
CREATE TABLE work_dropped (
	tenant TEXT NOT NULL,
	id BIGINT NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	key TEXT COLLATE "C" NOT NULL,
	payload JSON NOT NULL,
	attempt BIGINT NOT NULL,
	last_error TEXT NOT NULL,
	actor TEXT NOT NULL,
	reason TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;
