-- The heart: users, sessions, accounts, the journal and its chain.
-- Times are milliseconds since 1970 UTC, amounts are minor units. Numbers are those of the commit sequence: the last
-- statement of a batch takes them from the chain's head, so that their order is the order of commits.

-- What the ledger is: one row per property, written when it is made.
CREATE TABLE properties (
    name text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    no bigint NOT NULL UNIQUE,
    email text NOT NULL,
    email_folded text NOT NULL CONSTRAINT users_email UNIQUE,
    name text,
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('customer', 'support', 'cashier', 'auditor', 'admin')),
    frozen boolean NOT NULL,
    created_at bigint NOT NULL,
    password_changed_at bigint NOT NULL
);

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED,
    created_at bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    ip text,
    user_agent text,
    access_hash bytea NOT NULL UNIQUE CHECK (length(access_hash) = 32),
    access_expires_at bigint NOT NULL,
    refresh_hash bytea NOT NULL UNIQUE CHECK (length(refresh_hash) = 32),
    refresh_expires_at bigint NOT NULL,
    ended_at bigint,
    ended_why text,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
CREATE INDEX sessions_by_user ON sessions (user_id, ip);

-- Refresh tokens that were swapped: one shown again tells of theft.
CREATE TABLE spent_tokens (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    session_id uuid NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED
);

-- What each account holds. Its id follows from owner, kind and currency. Only the outside world (the sandbox and the
-- cash desk) may be below zero.
CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('wallet', 'holds')),
    currency text NOT NULL CHECK (length(currency) = 3),
    balance bigint NOT NULL,
    CONSTRAINT accounts_key UNIQUE (owner, kind, currency),
    CONSTRAINT accounts_are_not_below_zero CHECK (
        balance >= 0
        OR owner IN ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000003')
    )
) WITH (fillfactor = 70);

-- The journal. Rows are appended in the order of commits and never changed.
CREATE TABLE transactions (
    no bigint PRIMARY KEY,
    id uuid NOT NULL CONSTRAINT transactions_id UNIQUE,
    kind text NOT NULL,
    from_user uuid NOT NULL,
    from_name text,
    to_user uuid NOT NULL,
    to_name text,
    owner uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 999999999999),
    currency text NOT NULL CHECK (length(currency) = 3),
    description text NOT NULL,
    reference text NOT NULL,
    metadata text NOT NULL,
    method text,
    decline text,
    available bigint,
    idempotency_key text,
    created_at bigint NOT NULL,
    CHECK (owner IN (from_user, to_user))
);
CREATE UNIQUE INDEX transactions_key ON transactions (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX transactions_from ON transactions (from_user, no);
CREATE INDEX transactions_to ON transactions (to_user, no);

-- The entries of transaction n have the numbers 8n, 8n + 1 and so on.
CREATE TABLE entries (
    no bigint PRIMARY KEY,
    transaction_no bigint NOT NULL,
    account uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0),
    balance_after bigint NOT NULL,
    CHECK (no >= transaction_no * 8 AND no < transaction_no * 8 + 8)
);

-- What would be foreign keys of each row, and a rule that no constraint can express, looked at once for all rows of a
-- batch: every entry has its transaction and its account, and those of a transaction sum to zero in its currency.
CREATE FUNCTION check_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM new_entries e
        LEFT JOIN accounts a ON a.id = e.account
        LEFT JOIN transactions t ON t.no = e.transaction_no
        GROUP BY e.transaction_no, t.no, a.currency
        HAVING sum(e.amount) <> 0 OR t.no IS NULL OR a.currency IS NULL OR a.currency <> min(t.currency)
    ) THEN
        RAISE EXCEPTION 'entries without transaction or account, or whose sum is not zero'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER entries_are_sound AFTER INSERT ON entries REFERENCING NEW TABLE AS new_entries
    FOR EACH STATEMENT EXECUTE FUNCTION check_entries();

CREATE TABLE security_events (
    no bigint PRIMARY KEY,
    id uuid NOT NULL,
    at bigint NOT NULL,
    event text NOT NULL,
    severity text NOT NULL,
    user_id uuid,
    ip text,
    user_agent text,
    request uuid NOT NULL,
    detail text NOT NULL
);
CREATE INDEX security_events_by_user ON security_events (user_id, no) WHERE user_id IS NOT NULL;

-- The hash chain: a block for each batch that wrote transactions or events, up to and with these numbers.
CREATE TABLE blocks (
    no bigint PRIMARY KEY,
    last_transaction bigint NOT NULL,
    last_event bigint NOT NULL,
    at bigint NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    batch uuid NOT NULL
);
CREATE INDEX blocks_by_time ON blocks (at, no);

-- Where the journal ends: the one row that every batch that writes the journal takes, last, just before it commits.
CREATE TABLE chain (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    block bigint NOT NULL,
    last_transaction bigint NOT NULL,
    last_event bigint NOT NULL,
    last_user bigint NOT NULL,
    at bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
INSERT INTO chain (block, last_transaction, last_event, last_user, at, hash)
VALUES (0, 0, 0, 0, 0, decode(repeat('00', 32), 'hex'));

-- A row for each batch: whoever lost the answer to a COMMIT inserts the same id, and learns from the constraint whether
-- the batch came to be. Rows older than an hour are of no use and are deleted.
CREATE TABLE batches (
    id uuid CONSTRAINT batches_id PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX batches_by_time ON batches (at);

-- What the nodes' throttles counted, for each other; of use for a few seconds. Lost in a crash, and no harm done.
CREATE UNLOGGED TABLE throttle_news (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    what text NOT NULL,
    account bytea NOT NULL CHECK (length(account) = 16),
    network text NOT NULL
);
CREATE INDEX throttle_news_by_time ON throttle_news (at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER transactions_are_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entries_are_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON security_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER blocks_are_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON blocks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
