-- How a product is called in messages: facts about its later life do not say.
CREATE TABLE communication_subject (
	tenant TEXT NOT NULL,
	product TEXT COLLATE "C" NOT NULL,
	name TEXT NOT NULL,
	number TEXT NOT NULL,
	PRIMARY KEY (tenant, product)
) STRICT, WITHOUT ROWID;
