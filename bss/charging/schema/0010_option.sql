-- Options: products that give a line of another product something on top, such as a
-- pack of data. They draw on no account of their own.
CREATE TABLE charging_option (
	tenant TEXT NOT NULL,
	product TEXT COLLATE "C" NOT NULL, -- the option
	line TEXT COLLATE "C" NOT NULL, -- the product it is for
	account BIGINT NOT NULL,
	offering TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, product)
) STRICT, WITHOUT ROWID;
CREATE INDEX charging_option_line ON charging_option (tenant, line);
