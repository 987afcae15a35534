-- How far the counters of sessions of nobody were is known to the engine, which says
-- of each report only what it adds.
DROP TABLE charging_reported;
