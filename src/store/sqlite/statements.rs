//! Every statement of the hot path, prepared at start so that a broken one fails there.

use rusqlite::Connection;

use crate::ledger::RecordKind;

/// The columns of a transaction, in the order in which `rows::transaction` reads them; the table is `t`.
macro_rules! transaction_columns {
    () => {
        "t.no, t.id, t.kind, t.from_user, t.from_name, t.to_user, t.to_name, t.amount, t.currency, t.description, \
         t.reference, t.metadata, t.method, t.decline, t.available, t.idempotency_key, t.created_at, t.capture, t.about, \
         t.status, t.captured, t.refunded, t.note, t.actor, t.from_after, t.to_after"
    };
}

macro_rules! user_columns {
    () => {
        "id, email, name, password_hash, role, frozen, created_at, password_changed_at, password_long, second_factor, \
         new_address_at"
    };
}

macro_rules! session_columns {
    () => {
        "id, user, created_at, last_seen_at, ip, user_agent, access_hash, access_expires_at, refresh_hash, \
         refresh_expires_at, ended_at, ended_why, api_key"
    };
}

/// The columns of a record, in the order in which `records::record` reads them; the table is `r`.
macro_rules! record_columns {
    () => {
        "r.no, r.kind, r.id, r.owner, r.parent, r.lookup, r.due_at, r.created_at, r.updated_at, r.version, r.value"
    };
}

/// The same of a notice.
macro_rules! notice_columns {
    () => {
        "r.no, 'notice', r.id, r.owner, NULL, NULL, NULL, r.created_at, r.created_at, 1, r.value"
    };
}

/// Records and notices, in their common order of numbers. The casts give the columns of both halves the same affinity,
/// without which SQLite puts all of them together before it looks.
macro_rules! all_records {
    () => {
        "(SELECT no, kind, id, owner, parent, lookup, due_at, created_at, updated_at, version, value FROM records \
         UNION ALL SELECT no, CAST('notice' AS TEXT), id, owner, CAST(NULL AS BLOB), CAST(NULL AS BLOB), \
         CAST(NULL AS INTEGER), created_at, created_at, CAST(1 AS INTEGER), value FROM notices)"
    };
}

/// A list of records of a kind after a position that the comparison names.
macro_rules! of_kind {
    ($columns:ident, $from:literal, $compare:literal, $order:literal) => {
        concat!("SELECT ", $columns!(), $from, " AND no ", $compare, " ?2 ORDER BY no ", $order, " LIMIT ?3")
    };
}

/// Likewise of what they belong to.
macro_rules! of_parent {
    ($compare:literal, $order:literal) => {
        concat!(
            "SELECT ",
            record_columns!(),
            " FROM records r WHERE kind = ?1 AND parent = ?4 AND (?5 IS NULL OR owner = ?5) AND no ",
            $compare,
            " ?2 ORDER BY no ",
            $order,
            " LIMIT ?3"
        )
    };
}

/// Likewise of an owner, as far as it is folded, between two positions.
macro_rules! of_owner {
    ($columns:ident, $table:literal, $order:literal) => {
        concat!(
            "SELECT ",
            $columns!(),
            " FROM record_lists l JOIN ",
            $table,
            " r ON r.no = l.no WHERE l.kind = ?1 AND l.owner = ?2 AND l.no > ?3 AND l.no < ?4 ORDER BY l.no ",
            $order,
            " LIMIT ?5"
        )
    };
}

pub(super) const USER: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE id = ?1");
pub(super) const USER_BY_EMAIL: &str =
    concat!("SELECT ", user_columns!(), " FROM users WHERE email_folded = ?1");
pub(super) const USERS: &str =
    concat!("SELECT ", user_columns!(), ", no FROM users WHERE no > ?1 ORDER BY no LIMIT ?2");
pub(super) const FIND_USERS: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", no FROM users WHERE no < ?1 AND (?3 IS NULL OR instr(email_folded, ?3) > 0 OR instr(coalesce(name, ''), ?4) > 0) \
     AND (?5 IS NULL OR role = ?5) AND (?6 IS NULL OR frozen = ?6) ORDER BY no DESC LIMIT ?2"
);
pub(super) const COUNT_USERS: &str = "SELECT role, count(*), sum(frozen) FROM users GROUP BY role";
pub(super) const COUNT_SESSIONS: &str =
    "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND refresh_expires_at > ?1";
pub(super) const SAVE_USER: &str = "INSERT INTO users (id, email, email_folded, name, password_hash, role, frozen, created_at, \
     password_changed_at, password_long, second_factor, new_address_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
     ON CONFLICT (id) DO UPDATE SET name = ?4, password_hash = ?5, role = ?6, frozen = ?7, password_changed_at = ?9, \
     password_long = ?10, second_factor = ?11, new_address_at = ?12";

pub(super) const SESSION: &str = concat!("SELECT ", session_columns!(), " FROM sessions WHERE id = ?1");
pub(super) const SESSION_BY_ACCESS: &str =
    concat!("SELECT ", session_columns!(), " FROM sessions WHERE access_hash = ?1");
pub(super) const SESSION_BY_REFRESH: &str =
    concat!("SELECT ", session_columns!(), " FROM sessions WHERE refresh_hash = ?1");
pub(super) const SESSION_BY_SPENT: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM sessions WHERE id = (SELECT session FROM spent_tokens WHERE hash = ?1)"
);
pub(super) const LIVE_SESSIONS: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM sessions WHERE user = ?1 AND ended_at IS NULL AND refresh_expires_at > ?2 \
     ORDER BY created_at DESC, id DESC"
);
pub(super) const ADDRESSES_OF: &str = "SELECT DISTINCT ip FROM sessions WHERE user = ?1 AND ip IS NOT NULL";
pub(super) const SAVE_SESSION: &str = "INSERT INTO sessions (id, user, created_at, last_seen_at, ip, user_agent, access_hash, access_expires_at, \
     refresh_hash, refresh_expires_at, ended_at, ended_why, api_key) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
     ON CONFLICT (id) DO UPDATE SET last_seen_at = ?4, access_hash = ?7, access_expires_at = ?8, refresh_hash = ?9, \
     refresh_expires_at = ?10, ended_at = ?11, ended_why = ?12";
pub(super) const SESSIONS_AFTER: &str =
    concat!("SELECT ", session_columns!(), " FROM sessions WHERE id > ?1 ORDER BY id LIMIT ?2");
pub(super) const SPENT_AFTER: &str =
    "SELECT hash, session FROM spent_tokens WHERE hash > ?1 ORDER BY hash LIMIT ?2";
pub(super) const PUT_SPENT_TOKEN: &str =
    "INSERT INTO spent_tokens (hash, session) VALUES (?1, ?2) ON CONFLICT (hash) DO UPDATE SET session = ?2";
pub(super) const SPEND_TOKEN: &str = "INSERT INTO spent_tokens (hash, session) VALUES (?1, ?2)";

pub(super) const ACCOUNT: &str =
    "SELECT no, balance FROM accounts WHERE owner = ?1 AND kind = ?2 AND currency = ?3";
pub(super) const ACCOUNT_BY_NUMBER: &str = "SELECT owner, kind, currency FROM accounts WHERE no = ?1";
pub(super) const ACCOUNTS_OF: &str = "SELECT kind, currency, balance, as_of FROM accounts WHERE owner = ?1";
pub(super) const OPEN_ACCOUNT: &str =
    "INSERT INTO accounts (no, owner, kind, currency, balance, as_of) VALUES (?1, ?2, ?3, ?4, 0, ?5)";
pub(super) const FOLD_ACCOUNT: &str = "UPDATE accounts SET balance = ?2, as_of = ?3 WHERE no = ?1";

pub(super) const TRANSACTION: &str =
    concat!("SELECT ", transaction_columns!(), " FROM transactions t WHERE t.no = ?1");
pub(super) const TRANSACTION_BY_ID: &str =
    concat!("SELECT ", transaction_columns!(), " FROM transactions t WHERE t.id = ?1");
pub(super) const TRANSACTIONS_BETWEEN: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM transactions t WHERE t.no > ?1 AND t.no <= ?2 ORDER BY t.no"
);
pub(super) const FIND_TRANSACTIONS: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM transactions t WHERE t.no < ?1 AND t.from_user <> ?3 AND t.to_user <> ?3 AND (?4 IS NULL OR t.currency = ?4) \
     AND (?5 IS NULL OR t.kind = ?5) AND (?6 IS NULL OR (t.decline IS NOT NULL) = ?6) \
     AND (?7 IS NULL OR t.created_at >= ?7) AND (?8 IS NULL OR t.created_at < ?8) ORDER BY t.no DESC LIMIT ?2"
);
/// The halves of the sum apart: together they may be more than 64 bits hold.
pub(super) const COUNT_PAYMENTS: &str = "SELECT currency, count(*) FILTER (WHERE decline IS NULL), \
     coalesce(sum(amount >> 32) FILTER (WHERE decline IS NULL), 0), \
     coalesce(sum(amount & 4294967295) FILTER (WHERE decline IS NULL), 0), count(decline) \
     FROM transactions WHERE no > ?1 AND kind = 'payment' GROUP BY currency ORDER BY currency";
pub(super) const CREATED_AT: &str = "SELECT created_at FROM transactions WHERE no = ?1";
pub(super) const ADD_TRANSACTION: &str = "INSERT INTO transactions (no, id, kind, from_user, from_name, to_user, to_name, amount, currency, description, \
     reference, metadata, method, decline, available, idempotency_key, created_at, capture, about, status, captured, \
     refunded, note, actor, from_after, to_after) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
     ?24, ?25, ?26)";
/// Where the newest row about a payment leaves it: status, captured, refunded.
pub(super) const STATE_OF: &str =
    "SELECT status, captured, refunded FROM transactions WHERE about = ?1 ORDER BY no DESC LIMIT 1";
/// The rows about a payment after its first one.
pub(super) const STEPS_OF: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM transactions t WHERE t.about = ?1 ORDER BY t.no LIMIT ?2"
);
pub(super) const HOLDING: &str = "SELECT owner, kind, currency FROM accounts WHERE kind = 'holds'";
pub(super) const ENTRIES_OF: &str = "SELECT a.owner, a.kind, a.currency, e.amount, e.balance_after \
     FROM entries e JOIN accounts a ON a.no = e.account WHERE e.no >= ?1 AND e.no < ?2 ORDER BY e.no";
pub(super) const ENTRIES_FROM: &str =
    "SELECT no, account, amount, balance_after FROM entries WHERE no >= ?1 ORDER BY no";
pub(super) const ADD_ENTRY: &str =
    "INSERT INTO entries (no, account, amount, balance_after) VALUES (?1, ?2, ?3, ?4)";

pub(super) const NUMBER: &str = "SELECT value FROM properties WHERE name = ?1";
pub(super) const SET_NUMBER: &str = "UPDATE properties SET value = ?2 WHERE name = ?1";
pub(super) const ADD_MOVEMENT: &str =
    "INSERT OR REPLACE INTO movements (user, txn, balance_after) VALUES (?1, ?2, ?3)";
pub(super) const HISTORY: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    ", m.balance_after FROM movements m JOIN transactions t ON t.no = m.txn \
     WHERE m.user = ?1 AND m.txn < ?2 AND (?4 IS NULL OR t.currency = ?4) AND instr(?5, t.kind || ',') > 0 \
     AND (?6 IS NULL OR (t.decline IS NOT NULL) = ?6) AND (?7 IS NULL OR t.created_at >= ?7) \
     AND (?8 IS NULL OR t.created_at < ?8) \
     AND (?9 OR t.status IS NULL OR t.status NOT IN ('authorized', 'pending_review')) ORDER BY m.txn DESC LIMIT ?3"
);
pub(super) const WALLET_MOVEMENTS: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    ", m.balance_after FROM movements m JOIN transactions t ON t.no = m.txn WHERE m.user = ?1 AND m.txn > ?2 \
     AND m.txn <= ?3 AND m.balance_after IS NOT NULL AND t.currency = ?4 ORDER BY m.txn LIMIT ?5"
);

pub(super) const MOVEMENTS_AFTER: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM movements m JOIN transactions t ON t.no = m.txn WHERE m.user = ?1 AND m.txn > ?2 \
     AND m.txn <= ?3 ORDER BY m.txn LIMIT ?4"
);

pub(super) const ADD_EVENT: &str = "INSERT INTO security_events (no, id, at, event, severity, user, ip, user_agent, request, detail) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
/// A user's events: of those that are not listed yet there are few enough to look at each.
pub(super) const EVENTS_OF: &str = "SELECT e.no, e.id, e.at, e.event, e.severity, e.user, e.ip, e.user_agent, e.request, e.detail FROM \
     (SELECT no FROM security_events WHERE no > (SELECT value FROM properties WHERE name = 'events_listed_to') \
     AND no < ?2 AND user = ?1 UNION ALL \
     SELECT no FROM (SELECT no FROM event_lists WHERE user = ?1 AND no < ?2 ORDER BY no DESC LIMIT ?3)) l \
     CROSS JOIN security_events e ON e.no = l.no ORDER BY e.no DESC LIMIT ?3";
pub(super) const LIST_EVENTS: &str = "INSERT INTO event_lists (user, no) SELECT user, no FROM security_events \
     WHERE no > ?1 AND no <= ?2 AND user IS NOT NULL ORDER BY user, no";

pub(super) const FIND_EVENTS: &str = "SELECT no, id, at, event, severity, user, ip, user_agent, request, detail FROM security_events \
     WHERE no < ?1 AND (?3 IS NULL OR event = ?3) AND (?4 IS NULL OR severity = ?4) AND (?5 IS NULL OR user = ?5) \
     AND (?6 IS NULL OR at >= ?6) AND (?7 IS NULL OR at < ?7) ORDER BY no DESC LIMIT ?2";

pub(super) const ADD_BLOCK: &str = "INSERT INTO blocks (no, last_transaction, last_event, at, digest, hash, marks) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const LAST_BLOCK: &str =
    "SELECT no, last_transaction, last_event, at, hash FROM blocks ORDER BY no DESC LIMIT 1";

/// What is asked of a table of records. The same statement has the same values on each.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) by_key: &'static str,
    pub(super) by_number: &'static str,
    pub(super) number: &'static str,
    pub(super) add: &'static str,
    pub(super) remove: &'static str,
    pub(super) newest_of_kind: &'static str,
    pub(super) oldest_of_kind: &'static str,
    pub(super) newest_of_owner: &'static str,
    pub(super) oldest_of_owner: &'static str,
}

/// The table that has records of that kind.
pub(super) const fn table(kind: RecordKind) -> &'static Table {
    if matches!(kind, RecordKind::Notice) { &NOTICES } else { &RECORDS }
}

/// The condition of the index `records_by_kind` is repeated so that it can be used.
macro_rules! records_of_kind {
    ($compare:literal, $order:literal) => {
        of_kind!(
            record_columns,
            " FROM records r WHERE kind = ?1 AND kind <> 'deadline' AND kind <> 'payment_request' AND kind <> 'delivery'",
            $compare,
            $order
        )
    };
}

pub(super) const RECORDS: Table = Table {
    name: "records",
    by_key: concat!("SELECT ", record_columns!(), " FROM records r WHERE kind = ?1 AND id = ?2"),
    by_number: concat!("SELECT ", record_columns!(), " FROM records r WHERE no = ?1"),
    number: "SELECT no FROM records WHERE kind = ?1 AND id = ?2",
    add: "INSERT INTO records (no, kind, id, owner, parent, lookup, due_at, created_at, updated_at, version, value) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    remove: "DELETE FROM records WHERE no = ?1",
    newest_of_kind: records_of_kind!("<", "DESC"),
    oldest_of_kind: records_of_kind!(">", "ASC"),
    newest_of_owner: of_owner!(record_columns, "records", "DESC"),
    oldest_of_owner: of_owner!(record_columns, "records", "ASC"),
};

pub(super) const NOTICES: Table = Table {
    name: "notices",
    by_key: concat!("SELECT ", notice_columns!(), " FROM notices r WHERE ?1 = 'notice' AND id = ?2"),
    by_number: concat!("SELECT ", notice_columns!(), " FROM notices r WHERE no = ?1"),
    number: "SELECT no FROM notices WHERE ?1 = 'notice' AND id = ?2",
    add: "INSERT INTO notices (no, id, owner, created_at, value) VALUES (?1, ?3, ?4, ?8, ?11)",
    remove: "DELETE FROM notices WHERE no = ?1",
    newest_of_kind: of_kind!(notice_columns, " FROM notices r WHERE ?1 = 'notice'", "<", "DESC"),
    oldest_of_kind: of_kind!(notice_columns, " FROM notices r WHERE ?1 = 'notice'", ">", "ASC"),
    newest_of_owner: of_owner!(notice_columns, "notices", "DESC"),
    oldest_of_owner: of_owner!(notice_columns, "notices", "ASC"),
};

pub(super) const RECORD_BY_LOOKUP: &str =
    concat!("SELECT ", record_columns!(), " FROM records r WHERE kind = ?1 AND lookup = ?2");
pub(super) const NEWEST_OF_PARENT: &str = of_parent!("<", "DESC");
pub(super) const OLDEST_OF_PARENT: &str = of_parent!(">", "ASC");
pub(super) const DUE_RECORDS: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records r WHERE kind = ?1 AND due_at <= ?2 ORDER BY due_at, no LIMIT ?3"
);
pub(super) const RECORDS_AFTER: &str =
    concat!("SELECT ", record_columns!(), " FROM ", all_records!(), " r WHERE no > ?1 ORDER BY no LIMIT ?2");
pub(super) const UNFOLDED_RECORDS: &str =
    concat!("SELECT no, kind, owner FROM ", all_records!(), " WHERE no > ?1 ORDER BY no");
pub(super) const COUNT_RECORDS: &str =
    "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM notices)";
/// Records that should be listed by their owner and are not; rows of the list that no record explains.
pub(super) const UNLISTED_RECORDS: &str = concat!(
    "SELECT no FROM ",
    all_records!(),
    " r WHERE kind <> 'deadline' AND no <= (SELECT value FROM properties WHERE name = 'listed_to') AND NOT EXISTS \
     (SELECT 1 FROM record_lists l WHERE l.owner = r.owner AND l.kind = r.kind AND l.no = r.no) ORDER BY no"
);
pub(super) const UNEXPLAINED_LISTS: &str = concat!(
    "SELECT no FROM record_lists l WHERE kind = 'deadline' OR NOT EXISTS (SELECT 1 FROM ",
    all_records!(),
    " r WHERE r.no = l.no AND r.owner = l.owner AND r.kind = l.kind) ORDER BY no"
);
/// The last record that there ever was: of those that are there, or the last when one was taken away.
pub(super) const LAST_RECORD: &str = "SELECT max((SELECT value FROM properties WHERE name = 'last_record'), \
     (SELECT coalesce(max(no), 0) FROM records), (SELECT coalesce(max(no), 0) FROM notices))";
/// A record that is folded already stays as it is.
pub(super) const LIST_RECORD: &str =
    "INSERT INTO record_lists (owner, kind, no) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
pub(super) const UPDATE_RECORD: &str = "UPDATE records SET updated_at = ?7, version = ?8, value = ?9 \
     WHERE kind = ?1 AND id = ?2 AND owner = ?3 AND parent IS ?4 AND lookup IS ?5 AND due_at IS ?6";
pub(super) const MOVE_RECORD: &str = "UPDATE records SET parent = ?4, lookup = ?5, due_at = ?6, updated_at = ?7, version = ?8, value = ?9 \
     WHERE kind = ?1 AND id = ?2 AND owner = ?3";
pub(super) const FORGET_RECORDS: &str = "DELETE FROM records; DELETE FROM notices";
/// The block with that number, or the last one before.
pub(super) const BLOCK: &str =
    "SELECT no, last_transaction, last_event, at, hash FROM blocks WHERE no <= ?1 ORDER BY no DESC LIMIT 1";

pub(super) const WRITER: &[&str] = &[
    RECORDS.by_key,
    NOTICES.by_key,
    RECORD_BY_LOOKUP,
    RECORDS.add,
    NOTICES.add,
    UPDATE_RECORD,
    MOVE_RECORD,
    RECORDS.number,
    NOTICES.number,
    RECORDS.remove,
    NOTICES.remove,
    UNFOLDED_RECORDS,
    LAST_RECORD,
    LIST_RECORD,
    USER,
    USER_BY_EMAIL,
    SAVE_USER,
    SESSION,
    SESSION_BY_REFRESH,
    SESSION_BY_SPENT,
    LIVE_SESSIONS,
    SAVE_SESSION,
    SPEND_TOKEN,
    ACCOUNT,
    ACCOUNT_BY_NUMBER,
    OPEN_ACCOUNT,
    FOLD_ACCOUNT,
    TRANSACTION,
    TRANSACTION_BY_ID,
    STATE_OF,
    HOLDING,
    TRANSACTIONS_BETWEEN,
    CREATED_AT,
    ADD_TRANSACTION,
    ENTRIES_OF,
    ENTRIES_FROM,
    ADD_ENTRY,
    NUMBER,
    SET_NUMBER,
    LIST_EVENTS,
    ADD_MOVEMENT,
    ADD_EVENT,
    ADD_BLOCK,
    LAST_BLOCK,
];

pub(super) const READER: &[&str] = &[
    RECORDS.by_key,
    NOTICES.by_key,
    RECORD_BY_LOOKUP,
    RECORDS.by_number,
    NOTICES.by_number,
    RECORDS.newest_of_kind,
    NOTICES.newest_of_kind,
    RECORDS.oldest_of_kind,
    NOTICES.oldest_of_kind,
    RECORDS.newest_of_owner,
    NOTICES.newest_of_owner,
    RECORDS.oldest_of_owner,
    NOTICES.oldest_of_owner,
    NEWEST_OF_PARENT,
    OLDEST_OF_PARENT,
    DUE_RECORDS,
    BLOCK,
    USER,
    USER_BY_EMAIL,
    USERS,
    SESSION_BY_ACCESS,
    LIVE_SESSIONS,
    FIND_USERS,
    COUNT_USERS,
    COUNT_SESSIONS,
    FIND_TRANSACTIONS,
    COUNT_PAYMENTS,
    FIND_EVENTS,
    CREATED_AT,
    LAST_BLOCK,
    ADDRESSES_OF,
    ACCOUNTS_OF,
    TRANSACTION,
    TRANSACTION_BY_ID,
    ENTRIES_OF,
    NUMBER,
    HISTORY,
    STATE_OF,
    STEPS_OF,
    WALLET_MOVEMENTS,
    MOVEMENTS_AFTER,
    TRANSACTIONS_BETWEEN,
    EVENTS_OF,
];

/// Prepares the statements and leaves them in the connection's cache.
pub(super) fn prepare_all(connection: &Connection, statements: &[&str]) -> rusqlite::Result<()> {
    statements.iter().try_for_each(|sql| connection.prepare_cached(sql).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::super::connect;
    use super::{READER, WRITER};

    #[test]
    fn no_statement_is_prepared_anew_for_other_values() {
        let folder = tempfile::tempdir().unwrap();
        let connection = connect::writer(folder.path()).unwrap();
        for sql in READER.iter().chain(WRITER) {
            let mut statement = connection.prepare(sql).unwrap();
            if !statement.readonly() {
                continue;
            }
            for value in [1_i64, 2, 3] {
                for place in 1..=statement.parameter_count() {
                    statement.raw_bind_parameter(place, value).unwrap();
                }
                let mut rows = statement.raw_query();
                while rows.next().unwrap().is_some() {}
            }
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
        }
    }
}
