-- One item of a service order with the graph it asks for: the plan, and once
-- completed the service as it was built (the newest completed item of a service).
CREATE TABLE fulfilment_item (
	tenant TEXT NOT NULL,
	service_order TEXT COLLATE "C" NOT NULL,
	item TEXT NOT NULL,
	n BIGINT NOT NULL,
	service TEXT COLLATE "C" NOT NULL,
	action TEXT NOT NULL,
	step TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('pending', 'inProgress', 'held', 'completed', 'failed', 'cancelled', 'pendingCancellation')),
	open_tasks BIGINT NOT NULL CHECK (open_tasks >= 0),
	arrows BIGINT NOT NULL CHECK (arrows IN (0, 1)),
	graph JSON,
	before JSON,
	external JSON,
	ends_in TEXT NOT NULL,
	reason TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, service_order, item)
) STRICT;

CREATE INDEX fulfilment_item_service ON fulfilment_item (tenant, service, at);

-- At most one order works on a service at a time.
CREATE TABLE fulfilment_claim (
	tenant TEXT NOT NULL,
	service TEXT COLLATE "C" NOT NULL,
	service_order TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, service)
) STRICT;

-- What is to be done on elements: the intent, written before anything is sent.
CREATE TABLE fulfilment_task (
	tenant TEXT NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	service_order TEXT COLLATE "C" NOT NULL,
	item TEXT NOT NULL,
	n BIGINT NOT NULL,
	element TEXT NOT NULL,
	resource TEXT NOT NULL,
	desired JSON NOT NULL,
	undo JSON NOT NULL,
	undoing BIGINT NOT NULL CHECK (undoing IN (0, 1)),
	waits_for BIGINT NOT NULL CHECK (waits_for >= 0),
	state TEXT NOT NULL CHECK (state IN ('waiting', 'ready', 'done', 'fallen', 'skipped', 'cancelled', 'undone')),
	attempt BIGINT NOT NULL,
	class TEXT NOT NULL,
	cause TEXT NOT NULL,
	evidence TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

CREATE INDEX fulfilment_task_order ON fulfilment_task (tenant, service_order, n);

-- after waits for before: the arrows of the task graph.
CREATE TABLE fulfilment_arrow (
	tenant TEXT NOT NULL,
	before TEXT COLLATE "C" NOT NULL,
	after TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, before, after)
) STRICT, WITHOUT ROWID;

-- Cancellation tasks that wait for their order to end.
CREATE TABLE fulfilment_cancel (
	tenant TEXT NOT NULL,
	service_order TEXT COLLATE "C" NOT NULL,
	task TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, service_order, task)
) STRICT, WITHOUT ROWID;
