-- The heart: users, sessions, the journal, its chain, and what is folded out of it.
-- Times are milliseconds since 1970 UTC, amounts are minor units, ids are the 16 bytes of a UUID.

-- What the ledger is: one row per property, written when it is made ('folded_to' is moved by each fold).
CREATE TABLE properties (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    email TEXT NOT NULL,
    email_folded TEXT NOT NULL UNIQUE,
    name TEXT,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('customer', 'support', 'cashier', 'auditor', 'admin')),
    frozen INTEGER NOT NULL CHECK (frozen IN (0, 1)),
    created_at INTEGER NOT NULL,
    password_changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    user BLOB NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    ip TEXT,
    user_agent TEXT,
    access_hash BLOB NOT NULL UNIQUE CHECK (length(access_hash) = 32),
    access_expires_at INTEGER NOT NULL,
    refresh_hash BLOB NOT NULL UNIQUE CHECK (length(refresh_hash) = 32),
    refresh_expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    ended_why TEXT,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user, ip);

-- Refresh tokens that were swapped: one shown again tells of theft.
CREATE TABLE spent_tokens (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    session BLOB NOT NULL REFERENCES sessions (id)
) STRICT, WITHOUT ROWID;

-- The journal. Rows are appended in the order of commits and never changed.
CREATE TABLE transactions (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind TEXT NOT NULL,
    from_user BLOB NOT NULL CHECK (length(from_user) = 16),
    from_name TEXT,
    to_user BLOB NOT NULL CHECK (length(to_user) = 16),
    to_name TEXT,
    amount INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 999999999999),
    currency TEXT NOT NULL CHECK (length(currency) = 3),
    description TEXT NOT NULL,
    reference TEXT NOT NULL,
    metadata TEXT NOT NULL,
    method TEXT,
    decline TEXT,
    available INTEGER,
    idempotency_key TEXT,
    created_at INTEGER NOT NULL
) STRICT;

-- The entries of transaction n have the numbers 8n, 8n + 1 and so on.
CREATE TABLE entries (
    no INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount <> 0),
    balance_after INTEGER NOT NULL
) STRICT;

CREATE TABLE security_events (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    severity TEXT NOT NULL,
    user BLOB,
    ip TEXT,
    user_agent TEXT,
    request BLOB NOT NULL CHECK (length(request) = 16),
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX security_events_by_user ON security_events (user, no) WHERE user IS NOT NULL;

-- The hash chain: a block for each batch that wrote transactions or events, up to and with these numbers.
CREATE TABLE blocks (
    no INTEGER PRIMARY KEY,
    last_transaction INTEGER NOT NULL,
    last_event INTEGER NOT NULL,
    at INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- Folded out of the journal. An account's balance counts its entries up to and with transaction 'as_of'.
CREATE TABLE accounts (
    no INTEGER PRIMARY KEY,
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    kind TEXT NOT NULL CHECK (kind IN ('wallet', 'holds')),
    currency TEXT NOT NULL CHECK (length(currency) = 3),
    balance INTEGER NOT NULL,
    as_of INTEGER NOT NULL,
    UNIQUE (owner, kind, currency)
) STRICT;

-- Folded out of the journal: which transactions a user sees, valid up to and with 'folded_to'.
CREATE TABLE movements (
    user BLOB NOT NULL CHECK (length(user) = 16),
    txn INTEGER NOT NULL,
    balance_after INTEGER,
    PRIMARY KEY (user, txn)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER transactions_are_not_updated BEFORE UPDATE ON transactions BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER transactions_are_not_deleted BEFORE DELETE ON transactions BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER entries_are_not_updated BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER entries_are_not_deleted BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON security_events BEGIN SELECT RAISE(ABORT, 'security events are append-only'); END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON security_events BEGIN SELECT RAISE(ABORT, 'security events are append-only'); END;
CREATE TRIGGER blocks_are_not_updated BEFORE UPDATE ON blocks BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
CREATE TRIGGER blocks_are_not_deleted BEFORE DELETE ON blocks BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
