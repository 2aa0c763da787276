-- Nobody lists deadlines by owner: a payment that waits for its capture adds to the file's end alone.
DROP INDEX records_by_owner;
CREATE INDEX records_by_owner ON records (kind, owner, no) WHERE kind <> 'deadline';
