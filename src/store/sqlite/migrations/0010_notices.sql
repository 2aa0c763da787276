-- Notices have a table of their own, which only grows at its end: many come, none changes, and all are read in the order of
-- their numbers. Among the records each would write to two indexes more, and in the midst of them. Both tables share one
-- sequence of numbers.
CREATE TABLE notices (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    created_at INTEGER NOT NULL,
    value TEXT NOT NULL
) STRICT;
-- Those that there are stay listed.
DROP TRIGGER records_are_unlisted;
INSERT INTO notices (no, id, owner, created_at, value)
SELECT no, id, owner, created_at, value FROM records WHERE kind = 'notice' ORDER BY no;
DELETE FROM records WHERE kind = 'notice';
CREATE TRIGGER records_are_unlisted AFTER DELETE ON records WHEN old.kind <> 'deadline' BEGIN
    DELETE FROM record_lists WHERE owner = old.owner AND kind = old.kind AND no = old.no;
END;
CREATE TRIGGER notices_are_unlisted AFTER DELETE ON notices BEGIN
    DELETE FROM record_lists WHERE owner = old.owner AND kind = 'notice' AND no = old.no;
END;
