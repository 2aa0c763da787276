//! What guards the tables: triggers, constraints and rights. Verification looks whether all of it is in force and says how
//! to put back what is not.
//!
//! Of a constraint only its name counts, since PostgreSQL's versions write conditions in their own ways.

use std::collections::BTreeMap;

use deadpool_postgres::Object;

use super::fault::Fault;
use super::migrate;
use super::rows::get;

/// A statement for each guard.
const GUARDS: &str = include_str!("guards.sql");
/// What triggers call.
pub(super) const FUNCTIONS: [&str; 2] = ["refuse_change", "check_entries"];
/// Tables that are only appended to.
const JOURNAL: [&str; 4] = ["transactions", "entries", "security_events", "blocks"];

/// Constraints, unique indexes and triggers of tables that are found, each with what is wrong with it, and a trigger's text.
const FOUND: &str = "
    SELECT c.relname::text, n.conname::text, CASE WHEN NOT n.convalidated THEN 'was not validated' END, NULL::text
    FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid WHERE pg_table_is_visible(c.oid)
    UNION ALL
    SELECT c.relname::text, i.relname::text, CASE WHEN NOT x.indisvalid THEN 'is not valid' END, NULL::text
    FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indisunique AND pg_table_is_visible(c.oid)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint n WHERE n.conindid = i.oid)
    UNION ALL
    SELECT c.relname::text, t.tgname::text, NULL::text, pg_get_triggerdef(t.oid, true)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal AND pg_table_is_visible(c.oid)";
/// Triggers that are switched off; PostgreSQL's own ones carry the foreign keys.
const SWITCHED_OFF: &str = "
    SELECT DISTINCT c.relname::text, CASE WHEN t.tgisinternal THEN k.conname ELSE t.tgname END::text,
        CASE WHEN t.tgisinternal THEN 'ALL' ELSE quote_ident(t.tgname) END
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint
    WHERE t.tgenabled NOT IN ('O', 'A') AND pg_table_is_visible(c.oid) ORDER BY 1, 2";
/// Who was given the right to change the journal: a role's name as a statement takes it, and the rights.
const CHANGERS: &str = "
    SELECT c.relname::text, coalesce(quote_ident(r.rolname), 'PUBLIC'), string_agg(DISTINCT a.privilege_type, ', ')
    FROM pg_class c
    CROSS JOIN LATERAL (
        SELECT * FROM aclexplode(c.relacl)
        UNION ALL
        SELECT x.* FROM pg_attribute b CROSS JOIN LATERAL aclexplode(b.attacl) x WHERE b.attrelid = c.oid
    ) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE c.relname = ANY ($1) AND pg_table_is_visible(c.oid) AND a.grantee <> c.relowner
      AND a.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
    GROUP BY 1, 2 ORDER BY 1, 2";
const SOURCE: &str =
    "SELECT prosrc FROM pg_proc WHERE proname = $1 AND pronargs = 0 AND pg_function_is_visible(oid)";

/// Says which guards are missing, switched off or not as they were made, and who may change the journal; each with its cure.
pub(super) async fn discrepancies(connection: &Object) -> Result<Vec<String>, Fault> {
    let mut wrong = functions(connection).await?;
    let mut found: BTreeMap<(String, String), (Option<String>, Option<String>)> = BTreeMap::new();
    for row in connection.query(FOUND, &[]).await? {
        found.insert((get(&row, 0)?, get(&row, 1)?), (get(&row, 2)?, get(&row, 3)?));
    }
    for guard in GUARDS.lines().filter_map(Guard::read) {
        let Guard { kind, table, name, statement } = guard;
        match found.get(&(table.to_owned(), name.to_owned())) {
            None => wrong.push(format!("{table}: {kind} {name} is missing; put it back: {statement}")),
            Some((None, None)) => {}
            Some((None, Some(text))) if text == statement => {}
            Some((fault, _)) => {
                let how = fault.as_deref().unwrap_or("is not as it was made");
                let drop = guard.drop();
                wrong.push(format!("{table}: {kind} {name} {how}; put it back: {drop}; {statement}"));
            }
        }
    }
    for row in connection.query(SWITCHED_OFF, &[]).await? {
        let (table, name, which): (&str, &str, &str) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
        wrong.push(format!(
            "{table}: {name} is switched off; put it back: ALTER TABLE {table} ENABLE TRIGGER {which}"
        ));
    }
    for row in connection.query(CHANGERS, &[&JOURNAL.as_slice()]).await? {
        let (table, role, rights): (&str, &str, &str) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
        wrong.push(format!(
            "{table}: {role} was given the right to change it; put it back: REVOKE {rights} ON {table} FROM {role}"
        ));
    }
    Ok(wrong)
}

/// Functions that are missing or not as the first migration makes them.
async fn functions(connection: &Object) -> Result<Vec<String>, Fault> {
    let mut wrong = Vec::new();
    for name in FUNCTIONS {
        let begin = format!("CREATE FUNCTION {name}()");
        let made = migrate::MIGRATIONS.iter().find_map(|(_, sql)| {
            let (_, rest) = sql.split_once(&begin)?;
            rest.split_once("$$;").map(|(rest, _)| one_line(&format!("{begin}{rest}$$")))
        });
        let made = made.ok_or_else(|| Fault::Damaged(format!("no migration makes {name}")))?;
        let found = connection.query_opt(SOURCE, &[&name]).await?;
        let how = match found.as_ref().map(|row| get::<&str>(row, 0)).transpose()? {
            Some(source) if made.ends_with(&one_line(&format!("$${source}$$"))) => continue,
            Some(_) => "is not as it was made",
            None => "is missing",
        };
        let cure = made.replacen("CREATE", "CREATE OR REPLACE", 1);
        wrong.push(format!("function {name} {how}; put it back: {cure}"));
    }
    Ok(wrong)
}

/// A guard of a table, and the statement that makes it.
struct Guard<'a> {
    kind: &'static str,
    table: &'a str,
    name: &'a str,
    statement: &'a str,
}

impl<'a> Guard<'a> {
    /// Reads a line; none if it is a comment.
    fn read(line: &'a str) -> Option<Self> {
        let statement = line.strip_suffix(';')?;
        let words: Vec<&str> = statement.split(' ').collect();
        let (kind, name) = match words.as_slice() {
            ["ALTER", "TABLE", _, "ADD", "CONSTRAINT", name, ..] => ("constraint", name),
            ["CREATE", "UNIQUE", "INDEX", name, ..] => ("index", name),
            ["CREATE", "TRIGGER", name, ..] => ("trigger", name),
            _ => return None,
        };
        let before_table = if kind == "constraint" { "TABLE" } else { "ON" };
        let table = words.iter().skip_while(|word| **word != before_table).nth(1)?;
        Some(Self { kind, table, name, statement })
    }

    fn drop(&self) -> String {
        let Self { kind, table, name, .. } = self;
        match *kind {
            "constraint" => format!("ALTER TABLE {table} DROP CONSTRAINT {name}"),
            "trigger" => format!("DROP TRIGGER {name} ON {table}"),
            _ => format!("DROP INDEX {name}"),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
