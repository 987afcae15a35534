-- The mark of what is read a thousand times for each write (catalogues and
-- specifications): a new one with every transaction that changes any of it.
CREATE TABLE tmf_generation (
	tenant TEXT NOT NULL PRIMARY KEY,
	mark TEXT NOT NULL
) STRICT, WITHOUT ROWID;
