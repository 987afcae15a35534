-- One row per login at the access server of this node; the tenant is the host, whose
-- element it is. sealed is the password, bound to tenant and name. doc holds the
-- attributes of the driver's type as JSON; ipv4 is one of them, for its index.
CREATE TABLE radius_user (
  tenant TEXT NOT NULL,
  name   TEXT COLLATE "C" NOT NULL,
  ipv4   TEXT NOT NULL,
  doc    TEXT NOT NULL,
  sealed BYTEA NOT NULL,
  at     BIGINT NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT;
CREATE UNIQUE INDEX radius_user_ipv4 ON radius_user (tenant, ipv4) WHERE ipv4 <> '';
