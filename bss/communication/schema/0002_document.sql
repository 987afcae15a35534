-- Documents of other rooms that travel with a message: they are made when it is delivered, and
-- are not stored with it. Only rooms name them, never who posts a message.
CREATE TABLE communication_document (
	tenant TEXT NOT NULL,
	message TEXT COLLATE "C" NOT NULL,
	document TEXT COLLATE "C" NOT NULL CHECK (document <> ''),
	PRIMARY KEY (tenant, message)
) STRICT, WITHOUT ROWID;
