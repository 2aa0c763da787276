-- Lists are read by the index of whose or of what kind they are, whoever has how many rows: where one user has nearly all of
-- them, the planner would take everybody for that user, and would walk the table from its end for those who have none. So
-- it is told that hardly two rows have the same owner. Kinds are few; that they seem many keeps their index, too.
ALTER TABLE records ALTER COLUMN kind SET (n_distinct = 1000), ALTER COLUMN owner SET (n_distinct = -1),
    ALTER COLUMN parent SET (n_distinct = -1);
ALTER TABLE transactions ALTER COLUMN from_user SET (n_distinct = -1), ALTER COLUMN to_user SET (n_distinct = -1),
    ALTER COLUMN about SET (n_distinct = -1);
ALTER TABLE security_events ALTER COLUMN user_id SET (n_distinct = -1);
-- It takes effect when a table is looked through. An empty one must not be: the planner would take it for one that stays so.
DO $$ BEGIN
    IF EXISTS (SELECT FROM records) THEN ANALYZE records; END IF;
    IF EXISTS (SELECT FROM transactions) THEN ANALYZE transactions; END IF;
    IF EXISTS (SELECT FROM security_events) THEN ANALYZE security_events; END IF;
END $$;
