-- One row a tenant: a new mark with every change of a specification. Readers
-- keep decomposition trees as long as the mark stands; writers queue on the row,
-- so that two of them cannot close a cycle together.
CREATE TABLE spec_generation (
	tenant TEXT NOT NULL PRIMARY KEY,
	mark TEXT COLLATE "C" NOT NULL
) STRICT;
