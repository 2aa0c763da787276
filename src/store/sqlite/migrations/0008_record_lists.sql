-- Folded out of the records: which ones an owner has, valid up to and with 'listed_to'. Owners come in no order, so that an
-- index would dirty a page of its own for each new record. Deadlines are listed by nobody. Numbers and owners of records
-- never change; one that is taken away is listed no more in the same moment.
CREATE TABLE record_lists (
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    kind TEXT NOT NULL,
    no INTEGER NOT NULL,
    PRIMARY KEY (owner, kind, no)
) STRICT, WITHOUT ROWID;
INSERT INTO record_lists (owner, kind, no)
SELECT owner, kind, no FROM records WHERE kind <> 'deadline' ORDER BY owner, kind, no;
INSERT INTO properties (name, value) SELECT 'listed_to', value FROM properties WHERE name = 'last_record';
CREATE TRIGGER records_are_unlisted AFTER DELETE ON records WHEN old.kind <> 'deadline' BEGIN
    DELETE FROM record_lists WHERE owner = old.owner AND kind = old.kind AND no = old.no;
END;
DROP INDEX records_by_owner;
-- Nobody lists all records of these kinds, of which there are many.
DROP INDEX records_by_kind;
CREATE INDEX records_by_kind ON records (kind, no)
WHERE kind <> 'deadline' AND kind <> 'payment_request' AND kind <> 'delivery';
