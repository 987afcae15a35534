-- The clearing account that an entry settles: what a gateway or an agency pays out, cash
-- that was paid in. Who pays out once is known the next time.
ALTER TABLE receivable_bank_entry ADD COLUMN clearing TEXT NOT NULL DEFAULT '';
CREATE INDEX receivable_bank_entry_clearing ON receivable_bank_entry (tenant, clearing, entity) WHERE clearing <> '';
