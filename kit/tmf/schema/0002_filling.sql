-- Which of the columns (and attributes of lists) not all stored resources have yet:
-- a node that ends while it fills them leaves the rest to the next start.
ALTER TABLE tmf_kind ADD COLUMN filling TEXT NOT NULL DEFAULT '';
