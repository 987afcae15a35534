-- Who uses what on the elements: one service or order, whichever room and tenant it is of. The key holds across tenants on purpose.
CREATE TABLE activation_claim (
	tenant TEXT NOT NULL,
	owner TEXT NOT NULL, -- of the element
	element TEXT COLLATE "C" NOT NULL,
	type TEXT COLLATE "C" NOT NULL,
	key TEXT COLLATE "C" NOT NULL,
	holder TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (element, type, key, owner)
) STRICT, WITHOUT ROWID;

-- What was activated directly before this table. What was ordered claims its places with its next order.
INSERT INTO activation_claim (tenant, owner, element, type, key, holder)
SELECT t.tenant, coalesce((SELECT e.tenant FROM activation_element e WHERE e.tenant = t.tenant AND e.name = t.element),
	(SELECT g.tenant FROM activation_grant g WHERE g.grantee = t.tenant AND g.element = t.element), t.tenant), t.element, t.type, t.key, 'direct:' || t.service
FROM activation_target t WHERE t.change > 0 ON CONFLICT (element, type, key, owner) DO NOTHING;
