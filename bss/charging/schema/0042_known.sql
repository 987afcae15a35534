-- The files whose records a new one is compared with: those being taken too.
CREATE INDEX charging_file_known ON charging_file (tenant, source, last_at) WHERE state IN ('taking', 'taken');
