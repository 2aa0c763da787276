-- Records: everything small that changes and is not money, a user or a session. What is in 'value' is the ledger's
-- business. Numbers only ever grow: the property has the last that was given.
CREATE TABLE records (
    no INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    parent BLOB CHECK (length(parent) = 16),
    lookup BLOB CHECK (length(lookup) = 32),
    due_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    value TEXT NOT NULL,
    UNIQUE (kind, id)
) STRICT;
CREATE UNIQUE INDEX records_by_lookup ON records (kind, lookup) WHERE lookup IS NOT NULL;
CREATE INDEX records_by_kind ON records (kind, no);
CREATE INDEX records_by_owner ON records (kind, owner, no);
CREATE INDEX records_by_parent ON records (kind, parent, no) WHERE parent IS NOT NULL;
CREATE INDEX records_by_due ON records (kind, due_at, no) WHERE due_at IS NOT NULL;
INSERT INTO properties (name, value) VALUES ('last_record', 0);
