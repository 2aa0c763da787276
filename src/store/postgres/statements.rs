//! Every statement of this engine, prepared on each connection before its first use.
//!
//! What a batch reads and writes travels in arrays, so that the number of statements does not grow with the batch.

/// The columns of a transaction, in the order in which `rows::transaction` reads them; the table is `t`.
macro_rules! transaction_columns {
    () => {
        "t.no, t.id, t.kind, t.from_user, t.from_name, t.to_user, t.to_name, t.amount, t.currency, t.description, \
         t.reference, t.metadata, t.method, t.decline, t.available, t.idempotency_key, t.created_at, t.capture, t.about, \
         t.status, t.captured, t.refunded, t.note, t.actor, t.from_after, t.to_after"
    };
}

/// What the user $1 had after the transaction `t`, with what is held.
macro_rules! balance_after {
    () => {
        "CASE WHEN t.status IS NULL OR t.status NOT IN ('authorized', 'pending_review', 'voided', 'expired', 'rejected') \
         THEN coalesce(CASE WHEN t.from_user = $1 THEN t.from_after ELSE t.to_after END, \
         (SELECT e.balance_after FROM entries e JOIN accounts a ON a.id = e.account \
         WHERE e.no >= t.no * 8 AND e.no < t.no * 8 + 8 AND a.owner = $1 AND a.kind = 'wallet' ORDER BY e.no LIMIT 1)) END"
    };
}

/// Whether the transaction `x` moved money from one side to the other, and did not only hold or release it.
macro_rules! is_movement {
    () => {
        "(x.status IS NULL OR x.status NOT IN ('authorized', 'pending_review', 'voided', 'expired', 'rejected'))"
    };
}

/// The columns of a user, in the order in which `rows::user` reads them; the table is `u`.
macro_rules! user_columns {
    () => {
        "u.id, u.email, u.name, u.password_hash, u.role, u.frozen, u.created_at, u.password_changed_at, u.password_long, \
         u.second_factor, u.new_address_at"
    };
}

/// The columns of a session, in the order in which `rows::session` reads them; the table is `s`.
macro_rules! session_columns {
    () => {
        "s.id, s.user_id, s.created_at, s.last_seen_at, s.ip, s.user_agent, s.access_hash, s.access_expires_at, \
         s.refresh_hash, s.refresh_expires_at, s.ended_at, s.ended_why, s.api_key"
    };
}

/// The columns of a record, in the order in which `records::record` reads them; the table is `r`.
macro_rules! record_columns {
    () => {
        "r.no, r.kind, r.id, r.owner, r.parent, r.lookup, r.due_at, r.created_at, r.updated_at, r.version, r.value"
    };
}

/// A list of records: of a kind, of an owner, of what they belong to; after a position that the comparison names.
macro_rules! record_lists {
    ($compare:literal, $order:literal) => {
        [
            // The conditions of the indexes 'records_by_kind' and 'records_by_owner', so that they can be used.
            record_list!(
                " AND r.kind <> 'deadline' AND r.kind <> 'payment_request' AND r.kind <> 'delivery'",
                $compare,
                $order
            ),
            record_list!(" AND r.kind <> 'deadline' AND r.owner = $4", $compare, $order),
            record_list!(" AND r.parent = $4 AND ($5::uuid IS NULL OR r.owner = $5)", $compare, $order),
        ]
    };
}

macro_rules! record_list {
    ($condition:literal, $compare:literal, $order:literal) => {
        concat!(
            "SELECT ",
            record_columns!(),
            " FROM records r WHERE r.kind = $1",
            $condition,
            " AND r.no ",
            $compare,
            " $2 ORDER BY r.no ",
            $order,
            " LIMIT $3"
        )
    };
}

/// The columns of a record as parameters: arrays that begin with that one.
macro_rules! record_arrays {
    () => {
        "$1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bigint[], \
         $9::bigint[], $10::text[]"
    };
}

/// The database's time in milliseconds, or the one given.
macro_rules! now_ms {
    () => {
        "coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"
    };
}

// Load. The first takes the locks in the order of ids; whatever follows sees what earlier batches committed.
pub(super) const LOCK_USERS: &str = "SELECT u.id FROM users u WHERE u.id IN ( \
     SELECT unnest($1::uuid[]) \
     UNION SELECT s.user_id FROM sessions s WHERE s.refresh_hash = ANY($2::bytea[]) \
     UNION SELECT s.user_id FROM spent_tokens p JOIN sessions s ON s.id = p.session_id WHERE p.hash = ANY($2::bytea[])) \
     ORDER BY u.id FOR NO KEY UPDATE OF u";
pub(super) const LOCK_RECORDS: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records r WHERE r.no IN ( \
     SELECT k.no FROM unnest($1::text[], $2::uuid[]) w (kind, id) JOIN records k ON k.kind = w.kind AND k.id = w.id \
     UNION SELECT k.no FROM unnest($3::text[], $4::bytea[]) w (kind, lookup) \
     JOIN records k ON k.kind = w.kind AND k.lookup = w.lookup) ORDER BY r.kind, r.id FOR UPDATE"
);
/// Wallets. What is held of one is written under the lock of the wallet, and is read in a later statement.
pub(super) const LOCK_WALLETS: &str = "SELECT a.owner, a.kind, a.currency, a.balance FROM accounts a \
     WHERE a.id = ANY($1::uuid[]) ORDER BY a.id FOR NO KEY UPDATE";
/// The same, with the wallets of both sides of payments. A payment's later steps all wait at its payer's wallet.
pub(super) const LOCK_WALLETS_AND_SIDES: &str = "SELECT a.owner, a.kind, a.currency, a.balance FROM accounts a \
     WHERE a.id IN (SELECT unnest($1::uuid[]) UNION SELECT s.id FROM transactions t JOIN accounts s \
     ON s.owner IN (t.from_user, t.to_user) AND s.kind = 'wallet' AND s.currency = t.currency \
     WHERE t.id = ANY($2::uuid[])) ORDER BY a.id FOR NO KEY UPDATE";
/// Payments without their entries, where the newest later step left each, and what is held of both sides.
pub(super) const PAYMENTS_BY_ID: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    ", s.status, s.captured, s.refunded, f.balance, g.balance FROM transactions t \
     LEFT JOIN LATERAL (SELECT l.status, l.captured, l.refunded FROM transactions l WHERE l.about = t.id \
     ORDER BY l.no DESC LIMIT 1) s ON true \
     LEFT JOIN accounts f ON f.owner = t.from_user AND f.kind = 'holds' AND f.currency = t.currency \
     LEFT JOIN accounts g ON g.owner = t.to_user AND g.kind = 'holds' AND g.currency = t.currency \
     WHERE t.id = ANY($1::uuid[]) AND t.kind = 'payment'"
);
/// Where the newest later step left each of these payments.
pub(super) const STATES_OF: &str = "SELECT DISTINCT ON (t.about) t.about, t.status, t.captured, t.refunded FROM transactions t \
     WHERE t.about = ANY($1::uuid[]) ORDER BY t.about, t.no DESC";
/// The rows about a payment after its first one.
pub(super) const STEPS_OF: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM transactions t WHERE t.about = $1 ORDER BY t.no LIMIT $2"
);
/// What most commands look at, each by its own list: sessions, users, what is held of wallets, and the numbers of the
/// transactions whose keys are given again; beside them the batch's time and where the journal ends. One row at least, and
/// a row of the result says nothing but what its lists have at that place: one statement costs less than four.
pub(super) const LOAD: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", ",
    user_columns!(),
    ", a.owner, a.kind, a.currency, a.balance, t.no, n.now, n.last FROM (SELECT greatest(c.at, ",
    now_ms!(),
    ") AS now, c.last_transaction AS last FROM chain c) n \
     LEFT JOIN unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[]) \
     w (session, user_id, holds, owner, key) ON true \
     LEFT JOIN sessions s ON s.id = w.session LEFT JOIN users u ON u.id = w.user_id \
     LEFT JOIN accounts a ON a.id = w.holds \
     LEFT JOIN transactions t ON t.owner = w.owner AND t.idempotency_key = w.key"
);
pub(super) const USERS_BY_ID: &str =
    concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = ANY($1::uuid[])");
pub(super) const USERS_BY_EMAIL: &str =
    concat!("SELECT ", user_columns!(), " FROM users u WHERE u.email_folded = ANY($1::text[])");
pub(super) const SESSIONS_BY_REFRESH: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", s.refresh_hash, false, ",
    user_columns!(),
    " FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.refresh_hash = ANY($1::bytea[]) \
     UNION ALL SELECT ",
    session_columns!(),
    ", p.hash, true, ",
    user_columns!(),
    " FROM spent_tokens p JOIN sessions s ON s.id = p.session_id JOIN users u ON u.id = s.user_id \
     WHERE p.hash = ANY($1::bytea[])"
);
pub(super) const OPEN_SESSIONS_OF: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM sessions s WHERE s.user_id = ANY($1::uuid[]) AND s.ended_at IS NULL \
     ORDER BY s.created_at DESC, s.id DESC"
);
pub(super) const TRANSACTIONS_BY_NO: &str =
    concat!("SELECT ", transaction_columns!(), " FROM transactions t WHERE t.no = ANY($1::bigint[])");
/// The latest payments of each shape within the window that did not come to nothing, by the shape's place in the arrays,
/// newest first: one, and one more for each payment that the batch may undo.
pub(super) const RECENT_PAYMENTS: &str = concat!(
    "SELECT w.place, r.id, r.created_at FROM (SELECT coalesce((SELECT b.last_transaction FROM blocks b WHERE b.at <= \
     greatest((SELECT c.at FROM chain c), ",
    now_ms!(),
    ") - $2::bigint ORDER BY b.at DESC, b.no DESC LIMIT 1), 0) AS after) f \
     CROSS JOIN unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::text[]) \
     WITH ORDINALITY w (payer, payee, amount, currency, description, reference, place) \
     CROSS JOIN LATERAL (SELECT t.id, t.created_at FROM transactions t WHERE t.from_user = w.payer AND t.no > f.after \
     AND t.kind = 'payment' AND t.decline IS NULL AND t.to_user = w.payee AND t.amount = w.amount \
     AND t.currency = w.currency AND t.description = w.description AND t.reference = w.reference \
     AND NOT EXISTS (SELECT 1 FROM transactions s WHERE s.about = t.id AND s.status IN ('rejected', 'voided', 'expired')) \
     ORDER BY t.no DESC LIMIT $9::bigint) r"
);
/// What risk rules remember of payers and of payees, oldest first, of each after the transaction up to which it is known:
/// at most as much as [`REMEMBERED`](crate::ledger::REMEMBERED). Where everything is known nothing is looked for.
pub(super) const ACTIVITY: &str = "SELECT p.of_user, p.no, p.is_out, p.other, p.kind, p.amount, p.currency, p.description, p.reference, \
     p.decline IS NOT NULL, p.status, p.created_at FROM ( \
     SELECT w.id AS of_user, TRUE AS is_out, t.to_user AS other, t.* FROM unnest($1::uuid[], $2::bigint[]) w (id, known) \
     JOIN chain c ON c.last_transaction > w.known CROSS JOIN LATERAL ( \
     SELECT f.* FROM transactions f WHERE f.from_user = w.id AND f.no > w.known AND f.kind IN ('payment', 'approval') \
     ORDER BY f.no DESC LIMIT 32) t \
     UNION ALL SELECT w.id, FALSE, t.from_user, t.* FROM unnest($3::uuid[], $4::bigint[]) w (id, known) \
     JOIN chain c ON c.last_transaction > w.known CROSS JOIN LATERAL ( \
     SELECT g.* FROM transactions g WHERE g.to_user = w.id AND g.no > w.known AND g.kind = 'payment' \
     AND g.decline IS NULL ORDER BY g.no DESC LIMIT 32) t) p ORDER BY p.no";
pub(super) const ENTRIES_OF: &str = "SELECT e.transaction_no, a.owner, a.kind, a.currency, e.amount, e.balance_after \
     FROM unnest($1::bigint[]) w (no) JOIN entries e ON e.no >= w.no * 8 AND e.no < w.no * 8 + 8 \
     JOIN accounts a ON a.id = e.account ORDER BY e.no";

// Write.
pub(super) const ADD_BATCH: &str = "INSERT INTO batches (id) VALUES ($1)";
pub(super) const UPDATE_USERS: &str = "UPDATE users u SET name = w.name, password_hash = w.password_hash, role = w.role, \
     frozen = w.frozen, password_changed_at = w.changed, password_long = w.long, second_factor = w.factor, \
     new_address_at = w.new_address FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[], \
     $6::bigint[], $7::boolean[], $8::text[], $9::bigint[]) \
     w (id, name, password_hash, role, frozen, changed, long, factor, new_address) WHERE u.id = w.id";
pub(super) const SAVE_SESSIONS: &str = "INSERT INTO sessions (id, user_id, created_at, last_seen_at, ip, user_agent, access_hash, access_expires_at, \
     refresh_hash, refresh_expires_at, ended_at, ended_why, api_key) \
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], \
     $8::bigint[], $9::bytea[], $10::bigint[], $11::bigint[], $12::text[], $13::text[]) \
     ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at, access_hash = excluded.access_hash, \
     access_expires_at = excluded.access_expires_at, refresh_hash = excluded.refresh_hash, \
     refresh_expires_at = excluded.refresh_expires_at, ended_at = excluded.ended_at, ended_why = excluded.ended_why";
pub(super) const SPEND_TOKENS: &str =
    "INSERT INTO spent_tokens (hash, session_id) SELECT * FROM unnest($1::bytea[], $2::uuid[])";
pub(super) const OPEN_ACCOUNTS: &str = "INSERT INTO accounts (id, owner, kind, currency, balance) \
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[])";
pub(super) const REMOVE_RECORDS: &str = "DELETE FROM records r USING unnest($1::text[], $2::uuid[]) w (kind, id) \
     WHERE r.kind = w.kind AND r.id = w.id";
pub(super) const UPDATE_RECORDS: &str = concat!(
    "UPDATE records r SET owner = w.owner, parent = w.parent, lookup = w.lookup, due_at = w.due_at, \
     updated_at = w.updated_at, version = w.version, value = w.value FROM unnest(",
    record_arrays!(),
    ") w (kind, id, owner, parent, lookup, due_at, created_at, updated_at, version, value) \
     WHERE r.kind = w.kind AND r.id = w.id AND r.created_at = w.created_at"
);
/// New records, numbered after the last one there ever was. Their arrays are taken apart as [`APPEND`]'s are.
pub(super) const ADD_RECORDS: &str = "WITH numbered AS (UPDATE properties SET value = (value::bigint + cardinality($2::uuid[]))::text \
     WHERE name = 'last_record' RETURNING value::bigint AS last) \
     INSERT INTO records (no, kind, id, owner, parent, lookup, due_at, created_at, updated_at, version, value) \
     SELECT n.last - cardinality($2::uuid[]) + w.place, w.kind, w.id, w.owner, w.parent, w.lookup, w.due_at, \
     w.created_at, w.updated_at, w.version, w.value FROM numbered n, (SELECT generate_series(1, cardinality($2::uuid[])) \
     AS place, unnest($1::text[]) AS kind, unnest($2::uuid[]) AS id, unnest($3::uuid[]) AS owner, \
     unnest($4::uuid[]) AS parent, unnest($5::bytea[]) AS lookup, unnest($6::bigint[]) AS due_at, \
     unnest($7::bigint[]) AS created_at, unnest($8::bigint[]) AS updated_at, unnest($9::bigint[]) AS version, \
     unnest($10::text[]) AS value) w";
/// Sets balances, then takes the chain's head, numbers the new rows after it, appends them, names the batch and links the
/// block. Whoever waits for the head waits for what comes after it, so the balances come first. One whose account is gone
/// divides by zero, so that nothing is committed. Arrays are taken apart where rows are selected: a function in FROM would
/// first write every column down by itself.
pub(super) const APPEND: &str = "WITH moved AS ( \
     UPDATE accounts a SET balance = w.balance FROM unnest($1::uuid[], $2::bigint[]) w (id, balance) \
     WHERE a.id = w.id RETURNING 1), \
   head AS (UPDATE chain c SET block = c.block + 1, last_transaction = c.last_transaction + cardinality($9::uuid[]), \
       last_event = c.last_event + $7::bigint, last_user = c.last_user + $8::bigint, at = greatest(c.at, $4::bigint), \
       hash = sha256(c.hash || $5::bytea || int8send(greatest(c.at, $4::bigint))) \
     WHERE 1 / (CASE WHEN (SELECT count(*) FROM moved) = cardinality($1::uuid[]) THEN 1 ELSE 0 END) = 1 \
     RETURNING c.block, c.last_transaction, c.last_event, c.at, c.hash), \
   new_transactions AS (INSERT INTO transactions (no, id, kind, from_user, from_name, to_user, to_name, owner, amount, \
       currency, description, reference, metadata, method, decline, available, idempotency_key, created_at, capture, \
       about, status, captured, refunded, note, actor, from_after, to_after) \
     SELECT h.last_transaction - cardinality($9::uuid[]) + w.place, w.id, w.kind, w.from_user, w.from_name, w.to_user, \
       w.to_name, w.owner, w.amount, w.currency, w.description, w.reference, w.metadata, w.method, w.decline, w.available, \
       w.key, h.at, w.capture, w.about, w.status, w.captured, w.refunded, w.note, w.actor, w.from_after, w.to_after \
     FROM head h, (SELECT generate_series(1, cardinality($9::uuid[])) AS place, unnest($9::uuid[]) AS id, \
       unnest($10::text[]) AS kind, unnest($11::uuid[]) AS from_user, unnest($12::text[]) AS from_name, \
       unnest($13::uuid[]) AS to_user, unnest($14::text[]) AS to_name, unnest($15::uuid[]) AS owner, \
       unnest($16::bigint[]) AS amount, unnest($17::text[]) AS currency, unnest($18::text[]) AS description, \
       unnest($19::text[]) AS reference, unnest($20::text[]) AS metadata, unnest($21::text[]) AS method, \
       unnest($22::text[]) AS decline, unnest($23::bigint[]) AS available, unnest($24::text[]) AS key, \
       unnest($25::text[]) AS capture, unnest($26::uuid[]) AS about, unnest($27::text[]) AS status, \
       unnest($28::bigint[]) AS captured, unnest($29::bigint[]) AS refunded, unnest($30::text[]) AS note, \
       unnest($31::uuid[]) AS actor, unnest($32::bigint[]) AS from_after, unnest($33::bigint[]) AS to_after) w), \
   new_entries AS (INSERT INTO entries (no, transaction_no, account, amount, balance_after) \
     SELECT (h.last_transaction - cardinality($9::uuid[]) + w.transaction) * 8 + w.index, \
       h.last_transaction - cardinality($9::uuid[]) + w.transaction, w.account, w.amount, w.balance_after \
     FROM head h, (SELECT unnest($34::bigint[]) AS transaction, unnest($35::bigint[]) AS index, \
       unnest($36::uuid[]) AS account, unnest($37::bigint[]) AS amount, unnest($38::bigint[]) AS balance_after) w), \
   named AS (INSERT INTO batches (id) VALUES ($3::uuid)), \
   new_block AS (INSERT INTO blocks (no, last_transaction, last_event, at, digest, hash, batch, marks) \
     SELECT h.block, h.last_transaction, h.last_event, h.at, $5::bytea, h.hash, $3::uuid, $6::bytea FROM head h) \
   SELECT h.block, h.last_transaction, h.at FROM head h";
/// What is rarer than payments follows the head that the batch holds by then.
pub(super) const ADD_USERS: &str = "INSERT INTO users (no, id, email, email_folded, name, password_hash, role, frozen, created_at, \
     password_changed_at, password_long) \
     SELECT c.last_user - cardinality($1::uuid[]) + w.place, w.id, w.email, w.folded, w.name, w.hash, w.role, w.frozen, \
       w.created, w.changed, w.long \
     FROM chain c, unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], \
       $8::bigint[], $9::bigint[], $10::boolean[]) \
       WITH ORDINALITY w (id, email, folded, name, hash, role, frozen, created, changed, long, place)";
pub(super) const ADD_EVENTS: &str = "INSERT INTO security_events (no, id, at, event, severity, user_id, ip, user_agent, request, detail) \
     SELECT c.last_event - cardinality($1::uuid[]) + w.place, w.id, c.at, w.event, w.severity, w.user_id, w.ip, \
       w.user_agent, w.request, w.detail \
     FROM chain c, unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::text[]) \
       WITH ORDINALITY w (id, event, severity, user_id, ip, user_agent, request, detail, place)";
pub(super) const BLOCK_OF_BATCH: &str =
    "SELECT b.no, b.last_transaction, b.at FROM blocks b WHERE b.batch = $1 ORDER BY b.no DESC LIMIT 1";

// Read.
pub(super) const SESSIONS_BY_ACCESS: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", ",
    user_columns!(),
    " FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.access_hash = ANY($1::bytea[])"
);
pub(super) const USERS: &str =
    concat!("SELECT ", user_columns!(), ", u.no FROM users u WHERE u.no > $1 ORDER BY u.no LIMIT $2");
pub(super) const FIND_USERS: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", u.no FROM users u WHERE u.no < $1 AND ($3::text IS NULL OR strpos(u.email_folded, $3) > 0 \
     OR strpos(coalesce(u.name, ''), $4::text) > 0) AND ($5::text IS NULL OR u.role = $5) \
     AND ($6::boolean IS NULL OR u.frozen = $6) ORDER BY u.no DESC LIMIT $2"
);
pub(super) const COUNT_USERS: &str =
    "SELECT role, count(*), count(*) FILTER (WHERE frozen) FROM users GROUP BY role";
pub(super) const COUNT_SESSIONS: &str =
    "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND refresh_expires_at > $1";
pub(super) const FIND_TRANSACTIONS: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM transactions t WHERE t.no < $1 AND t.from_user <> $3 AND t.to_user <> $3 \
     AND ($4::text IS NULL OR t.currency = $4) AND ($5::text IS NULL OR t.kind = $5) \
     AND ($6::boolean IS NULL OR (t.decline IS NOT NULL) = $6) AND ($7::bigint IS NULL OR t.created_at >= $7) \
     AND ($8::bigint IS NULL OR t.created_at < $8) ORDER BY t.no DESC LIMIT $2"
);
pub(super) const COUNT_PAYMENTS: &str = "SELECT t.currency, count(*) FILTER (WHERE t.decline IS NULL), \
     coalesce(sum(t.amount) FILTER (WHERE t.decline IS NULL), 0)::text, count(t.decline) FROM transactions t \
     WHERE t.no > coalesce((SELECT b.last_transaction FROM blocks b WHERE b.at < $1::bigint \
     ORDER BY b.at DESC, b.no DESC LIMIT 1), 0) AND t.kind = 'payment' GROUP BY t.currency ORDER BY t.currency COLLATE \"C\"";
pub(super) const FIND_EVENTS: &str = "SELECT no, id, at, event, severity, user_id, ip, user_agent, request, detail FROM security_events \
     WHERE no < $1 AND ($3::text IS NULL OR event = $3) AND ($4::text IS NULL OR severity = $4) \
     AND ($5::uuid IS NULL OR user_id = $5) AND ($6::bigint IS NULL OR at >= $6) AND ($7::bigint IS NULL OR at < $7) \
     ORDER BY no DESC LIMIT $2";
pub(super) const ADDRESSES_OF: &str =
    "SELECT DISTINCT s.ip FROM sessions s WHERE s.user_id = $1 AND s.ip IS NOT NULL";
pub(super) const ACCOUNTS_OF: &str = "SELECT a.owner, a.kind, a.currency, a.balance FROM accounts a WHERE a.owner = $1 ORDER BY a.kind, a.currency";
pub(super) const TRANSACTION_BY_ID: &str =
    concat!("SELECT ", transaction_columns!(), " FROM transactions t WHERE t.id = $1");
/// A history: what the user gave and what the user got, each from its own index, newest first. Nobody but its owner
/// sees what was declined. A transaction within one user's own accounts has both sides and is taken from the first.
pub(super) const HISTORY: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    ", ",
    balance_after!(),
    " \
     FROM (SELECT f.no FROM (SELECT coalesce((SELECT b.last_transaction FROM blocks b WHERE b.at < $7::bigint \
     ORDER BY b.at DESC, b.no DESC LIMIT 1), 0) AS after) r CROSS JOIN LATERAL ( \
     (SELECT x.no FROM transactions x WHERE x.from_user = $1 AND x.no < $2 AND x.no > r.after \
     AND (x.decline IS NULL OR x.kind NOT IN ('topup', 'grant', 'deposit')) \
     AND ($4::text IS NULL OR x.currency = $4) AND x.kind = ANY($5::text[]) \
     AND ($9::boolean OR x.status IS NULL OR x.status NOT IN ('authorized', 'pending_review')) \
     AND ($6::boolean IS NULL OR (x.decline IS NOT NULL) = $6) AND ($8::bigint IS NULL OR x.created_at < $8) \
     ORDER BY x.no DESC LIMIT $3) UNION ALL \
     (SELECT x.no FROM transactions x WHERE x.to_user = $1 AND x.from_user <> $1 AND x.no < $2 AND x.no > r.after \
     AND (x.decline IS NULL OR x.kind IN ('topup', 'grant', 'deposit')) \
     AND ($4::text IS NULL OR x.currency = $4) AND x.kind = ANY($5::text[]) \
     AND ($9::boolean OR x.status IS NULL OR x.status NOT IN ('authorized', 'pending_review')) \
     AND ($6::boolean IS NULL OR (x.decline IS NOT NULL) = $6) AND ($8::bigint IS NULL OR x.created_at < $8) \
     ORDER BY x.no DESC LIMIT $3)) f ORDER BY f.no DESC LIMIT $3) h \
     JOIN transactions t ON t.no = h.no ORDER BY t.no DESC"
);
/// What moved a wallet between two numbers, oldest first.
pub(super) const WALLET_MOVEMENTS: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    ", ",
    balance_after!(),
    " FROM ( \
     (SELECT x.no FROM transactions x WHERE x.from_user = $1 AND x.no > $2 AND x.no <= $3 AND x.decline IS NULL \
     AND ",
    is_movement!(),
    " AND x.currency = $4 ORDER BY x.no LIMIT $5) UNION \
     (SELECT x.no FROM transactions x WHERE x.to_user = $1 AND x.no > $2 AND x.no <= $3 AND x.decline IS NULL \
     AND ",
    is_movement!(),
    " AND x.currency = $4 ORDER BY x.no LIMIT $5) ORDER BY no LIMIT $5) h \
     JOIN transactions t ON t.no = h.no ORDER BY t.no"
);
/// What was declined is seen by the one side alone that would have given, or topped up.
pub(super) const MOVEMENTS_AFTER: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM ( \
     (SELECT x.no FROM transactions x WHERE x.from_user = $1 AND x.no > $2 \
     AND (x.decline IS NULL OR x.kind NOT IN ('topup', 'grant', 'deposit')) ORDER BY x.no LIMIT $3) UNION \
     (SELECT x.no FROM transactions x WHERE x.to_user = $1 AND x.no > $2 \
     AND (x.decline IS NULL OR x.kind IN ('topup', 'grant', 'deposit')) ORDER BY x.no LIMIT $3) ORDER BY no LIMIT $3) h \
     JOIN transactions t ON t.no = h.no ORDER BY t.no"
);
pub(super) const EVENTS_OF: &str = "SELECT no, id, at, event, severity, user_id, ip, user_agent, request, detail FROM security_events \
     WHERE user_id = $1 AND no < $2 ORDER BY no DESC LIMIT $3";
pub(super) const RECORDS_BY_KEY: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM unnest($1::text[], $2::uuid[]) w (kind, id) JOIN records r ON r.kind = w.kind AND r.id = w.id"
);
pub(super) const RECORDS_BY_LOOKUP: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM unnest($1::text[], $2::bytea[]) w (kind, lookup) JOIN records r ON r.kind = w.kind AND r.lookup = w.lookup"
);
pub(super) const NEWEST_RECORDS: [&str; 3] = record_lists!("<", "DESC");
pub(super) const OLDEST_RECORDS: [&str; 3] = record_lists!(">", "ASC");
pub(super) const DUE_RECORDS: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records r WHERE r.kind = $1 AND r.due_at <= $2 ORDER BY r.due_at, r.no LIMIT $3"
);
pub(super) const RECORDS_AFTER: &str =
    concat!("SELECT ", record_columns!(), " FROM records r WHERE r.no > $1 ORDER BY r.no LIMIT $2");
pub(super) const IMPORT_RECORDS: &str = concat!(
    "INSERT INTO records (kind, id, owner, parent, lookup, due_at, created_at, updated_at, version, value, no) \
     SELECT * FROM unnest(",
    record_arrays!(),
    ", $11::bigint[])"
);
pub(super) const TRANSACTIONS_BETWEEN: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    ", t.owner FROM transactions t WHERE t.no > $1 AND t.no <= $2 ORDER BY t.no"
);
pub(super) const EVENTS_BETWEEN: &str = "SELECT no, id, at, event, severity, user_id, ip, user_agent, request, detail \
     FROM security_events WHERE no > $1 AND no <= $2 ORDER BY no";
pub(super) const IMPORT_ACCOUNTS: &str = "INSERT INTO accounts (id, owner, kind, currency, balance) \
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[]) \
     ON CONFLICT (id) DO UPDATE SET balance = excluded.balance";
pub(super) const IMPORT_TRANSACTIONS: &str = "INSERT INTO transactions (no, id, kind, from_user, from_name, to_user, to_name, owner, \
     amount, currency, description, reference, metadata, method, decline, available, idempotency_key, created_at, capture, \
     about, status, captured, refunded, note, actor, from_after, to_after) \
     SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::uuid[], \
     $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::text[], \
     $18::bigint[], $19::text[], $20::uuid[], $21::text[], $22::bigint[], $23::bigint[], $24::text[], $25::uuid[], \
     $26::bigint[], $27::bigint[])";
pub(super) const IMPORT_ENTRIES: &str = "INSERT INTO entries (no, transaction_no, account, amount, balance_after) \
     SELECT w.no * 8 + w.index, w.no, w.account, w.amount, w.balance FROM \
     unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[]) w (no, index, account, amount, balance)";
pub(super) const IMPORT_EVENTS: &str = "INSERT INTO security_events (no, at, id, event, severity, user_id, ip, user_agent, request, detail) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[], \
     $9::uuid[], $10::text[])";
pub(super) const IMPORT_BLOCKS: &str = "INSERT INTO blocks (no, last_transaction, last_event, at, digest, hash, marks, batch) \
     SELECT w.*, '00000000-0000-0000-0000-000000000000' FROM \
     unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[]) w";
pub(super) const IMPORT_HEAD: &str =
    "UPDATE chain SET block = $1, last_transaction = $2, last_event = $3, at = $4, hash = $5";
pub(super) const IMPORT_USERS: &str = "INSERT INTO users (no, id, email, email_folded, name, password_hash, role, frozen, created_at, \
     password_changed_at, password_long, second_factor, new_address_at) SELECT * FROM unnest($1::bigint[], $2::uuid[], \
     $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::bigint[], $10::bigint[], \
     $11::boolean[], $12::text[], $13::bigint[]) \
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, password_hash = excluded.password_hash, role = excluded.role, \
     frozen = excluded.frozen, password_changed_at = excluded.password_changed_at, \
     password_long = excluded.password_long, second_factor = excluded.second_factor, \
     new_address_at = excluded.new_address_at";
pub(super) const IMPORT_LAST_USER: &str =
    "UPDATE chain SET last_user = greatest(last_user, (SELECT coalesce(max(no), 0) FROM users))";
pub(super) const IMPORT_TOKENS: &str = "INSERT INTO spent_tokens (hash, session_id) \
     SELECT * FROM unnest($1::bytea[], $2::uuid[]) ON CONFLICT (hash) DO NOTHING";
pub(super) const SESSIONS_AFTER: &str =
    concat!("SELECT ", session_columns!(), " FROM sessions s WHERE s.id > $1 ORDER BY s.id LIMIT $2");
pub(super) const HEAD: &str = "SELECT c.block, c.last_transaction, c.at, c.tableoid, \
     pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' FROM chain c";
/// The block with that number, or the last one before.
pub(super) const BLOCK: &str = "SELECT no, last_transaction, last_event, at, hash FROM blocks \
     WHERE no <= $1 ORDER BY no DESC LIMIT 1";
/// Which ledger it is, and which of its lives.
pub(super) const NAME: &str = "SELECT p.value, (SELECT value FROM properties WHERE name = 'epoch') \
     FROM properties p WHERE p.name = 'ledger_id'";
/// Batches older than an hour: nobody waits for their outcome any more.
pub(super) const FORGET_BATCHES: &str = "DELETE FROM batches WHERE at < now() - interval '1 hour'";

pub(super) const TELL_NEWS: &str = "INSERT INTO throttle_news (node, what, account, network, times) \
     SELECT $1::uuid, w.* FROM unnest($2::text[], $3::bytea[], $4::text[], $5::integer[]) w (what, account, network, times)";
/// What the others told lately. A row may become visible after a later one, so a look reaches back over the last ones.
pub(super) const HEAR_NEWS: &str = "SELECT no, what, account, network, times FROM throttle_news \
     WHERE at > now() - interval '10 seconds' AND node <> $1 ORDER BY no LIMIT 20000";
pub(super) const FORGET_NEWS: &str = "DELETE FROM throttle_news WHERE at < now() - interval '1 minute'";

/// What a writing connection needs.
pub(super) const WRITER: &[&str] = &[
    LOCK_USERS,
    ADD_RECORDS,
    LOCK_RECORDS,
    RECORDS_BY_KEY,
    RECORDS_BY_LOOKUP,
    LOCK_WALLETS,
    LOCK_WALLETS_AND_SIDES,
    PAYMENTS_BY_ID,
    REMOVE_RECORDS,
    UPDATE_RECORDS,
    LOAD,
    USERS_BY_EMAIL,
    SESSIONS_BY_REFRESH,
    OPEN_SESSIONS_OF,
    TRANSACTIONS_BY_NO,
    RECENT_PAYMENTS,
    ACTIVITY,
    ENTRIES_OF,
    ADD_BATCH,
    UPDATE_USERS,
    SAVE_SESSIONS,
    SPEND_TOKENS,
    OPEN_ACCOUNTS,
    APPEND,
    ADD_USERS,
    ADD_EVENTS,
    BLOCK_OF_BATCH,
];

/// What a reading connection needs.
pub(super) const READER: &[&str] = &[
    RECORDS_BY_KEY,
    RECORDS_BY_LOOKUP,
    NEWEST_RECORDS[0],
    NEWEST_RECORDS[1],
    NEWEST_RECORDS[2],
    OLDEST_RECORDS[0],
    OLDEST_RECORDS[1],
    OLDEST_RECORDS[2],
    DUE_RECORDS,
    SESSIONS_BY_ACCESS,
    USERS_BY_ID,
    USERS_BY_EMAIL,
    USERS,
    OPEN_SESSIONS_OF,
    FIND_USERS,
    COUNT_USERS,
    COUNT_SESSIONS,
    FIND_TRANSACTIONS,
    COUNT_PAYMENTS,
    FIND_EVENTS,
    ADDRESSES_OF,
    ACCOUNTS_OF,
    TRANSACTION_BY_ID,
    ENTRIES_OF,
    HISTORY,
    STATES_OF,
    STEPS_OF,
    WALLET_MOVEMENTS,
    MOVEMENTS_AFTER,
    TRANSACTIONS_BETWEEN,
    EVENTS_OF,
    HEAD,
    FORGET_BATCHES,
    BLOCK,
    NAME,
    TELL_NEWS,
    HEAR_NEWS,
    FORGET_NEWS,
];
