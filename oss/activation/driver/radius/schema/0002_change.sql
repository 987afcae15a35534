-- The logins that were changed or removed, for the nodes that have gateways: each reads
-- on from where it was. A day of them is kept.
CREATE TABLE radius_change (
  seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant TEXT NOT NULL,
  name   TEXT COLLATE "C" NOT NULL,
  at     BIGINT NOT NULL
) STRICT;
