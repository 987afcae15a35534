-- Which service order item realises which part of a product order item.
CREATE TABLE order_line (
	tenant TEXT NOT NULL,
	product_order TEXT COLLATE "C" NOT NULL,
	line TEXT NOT NULL,
	lines BIGINT NOT NULL,
	item TEXT NOT NULL,
	action TEXT NOT NULL,
	product TEXT COLLATE "C" NOT NULL,
	service_order TEXT COLLATE "C" NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('open', 'completed', 'failed', 'cancelled')),
	reason TEXT NOT NULL,
	PRIMARY KEY (tenant, product_order, line)
) STRICT;

CREATE INDEX order_line_product ON order_line (tenant, product);

-- Cancellation tasks that wait for their order to end.
CREATE TABLE order_cancel (
	tenant TEXT NOT NULL,
	product_order TEXT COLLATE "C" NOT NULL,
	task TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, product_order, task)
) STRICT, WITHOUT ROWID;
