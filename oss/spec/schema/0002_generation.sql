-- The mark of the specifications is tmf_generation now, together with the catalogue's.
DROP TABLE spec_generation;
