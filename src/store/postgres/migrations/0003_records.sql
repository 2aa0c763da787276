-- Records: everything small that changes and is not money, a user or a session. What is in 'value' is the ledger's
-- business. Numbers only ever grow, in the order of commits: whoever adds records holds the property's row until then.
CREATE TABLE records (
    no bigint PRIMARY KEY,
    kind text NOT NULL,
    id uuid NOT NULL,
    owner uuid NOT NULL,
    parent uuid,
    lookup bytea CHECK (length(lookup) = 32),
    due_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    value text NOT NULL,
    CONSTRAINT records_key UNIQUE (kind, id)
);
CREATE UNIQUE INDEX records_by_lookup ON records (kind, lookup) WHERE lookup IS NOT NULL;
CREATE INDEX records_by_kind ON records (kind, no);
CREATE INDEX records_by_owner ON records (kind, owner, no);
CREATE INDEX records_by_parent ON records (kind, parent, no) WHERE parent IS NOT NULL;
CREATE INDEX records_by_due ON records (kind, due_at, no) WHERE due_at IS NOT NULL;
INSERT INTO properties (name, value) VALUES ('last_record', '0');
