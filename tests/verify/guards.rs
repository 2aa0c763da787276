//! What guards the tables is looked for, and what `verify` says puts it back.

use farthing::store::{self, Location};
use rusqlite::Connection;

use crate::maker::{Maker, fill};
use crate::postgres::Postgres;

/// What a discrepancy says that is to be run.
fn cure(discrepancy: &str) -> &str {
    let (_, cure) = discrepancy.split_once("put it back").unwrap();
    cure.split_once(": ").unwrap().1
}

#[tokio::test]
async fn each_trigger_and_index_is_missed_and_can_be_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let maker = Maker::open(folder.path()).await;
    fill(&maker).await;
    maker.store.close().await.unwrap();
    let connection = Connection::open(folder.path().join("farthing.db")).unwrap();
    let sql = "SELECT type, name, tbl_name FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL";
    let mut guards = connection.prepare(sql).unwrap();
    let guards = guards.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let guards: Vec<(String, String, String)> = guards.map(Result::unwrap).collect();
    assert_eq!(guards.iter().filter(|(kind, ..)| kind == "trigger").count(), 10);
    let verify = || store::verify(&Location::Folder(folder.path().into())).unwrap().discrepancies;
    for (kind, name, table) in &guards {
        let drop = format!("DROP {kind} {name};");
        let other = if kind == "trigger" {
            format!("CREATE TRIGGER {name} BEFORE UPDATE ON {table} BEGIN SELECT 1; END;")
        } else {
            format!("CREATE INDEX {name} ON {table} (1);")
        };
        for (damage, how) in [(drop.clone(), "is missing"), (drop + &other, "is not as it was made")] {
            connection.execute_batch(&damage).unwrap();
            let told = verify();
            assert!(told.len() == 1 && told[0].contains(&format!("{name} {how}")), "{damage}: {told:#?}");
            connection.execute_batch(cure(&told[0])).unwrap();
            assert_eq!(verify(), Vec::<String>::new(), "{}", cure(&told[0]));
        }
    }
}

/// What is to be damaged without dropping it, and what must be named.
const POSTGRES_DAMAGE: &[(&str, &str)] = &[
    (
        "ALTER TABLE entries DISABLE TRIGGER entries_are_not_changed",
        "entries_are_not_changed is switched off",
    ),
    (
        "ALTER TABLE blocks ENABLE REPLICA TRIGGER blocks_are_not_changed",
        "blocks_are_not_changed is switched off",
    ),
    ("ALTER TABLE sessions DISABLE TRIGGER ALL", "sessions_user_id_fkey is switched off"),
    (
        "CREATE OR REPLACE TRIGGER events_are_not_changed BEFORE UPDATE ON security_events FOR EACH STATEMENT \
         EXECUTE FUNCTION refuse_change()",
        "trigger events_are_not_changed is not as it was made",
    ),
    (
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "function refuse_change is not as it was made",
    ),
    (
        "ALTER TABLE entries DROP CONSTRAINT entries_amount_check; \
         ALTER TABLE entries ADD CONSTRAINT entries_amount_check CHECK (amount <> 0) NOT VALID",
        "constraint entries_amount_check was not validated",
    ),
    ("GRANT UPDATE ON transactions TO PUBLIC", "PUBLIC was given the right to change it"),
    ("GRANT ALL ON security_events TO {role}", "{role} was given the right to change it"),
    ("GRANT UPDATE (amount) ON entries TO {role}", "{role} was given the right to change it"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_guard_is_missed_and_can_be_put_back_on_postgres() {
    let database = Postgres::shared().database();
    let location = Location::Postgres(store::PostgresSettings {
        migration_url: Some(database.migration_url()),
        ..store::PostgresSettings::at(&database.url())
    });
    let maker = Maker::at(&location).await;
    fill(&maker).await;
    // As the serving role, which sees what it may not touch.
    let verify = async || {
        let location = location.clone();
        tokio::task::spawn_blocking(move || store::verify(&location).unwrap().discrepancies).await.unwrap()
    };
    let guards = database
        .query(
            "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname), conname \
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n' \
                 AND conrelid <> 'schema_migrations'::regclass
             UNION ALL SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass), tgname \
             FROM pg_trigger WHERE NOT tgisinternal
             UNION ALL SELECT format('DROP INDEX %s', indexrelid::regclass), indexrelid::regclass::name \
             FROM pg_index x JOIN pg_class c ON c.oid = indexrelid \
             WHERE indisunique AND c.relnamespace = 'public'::regnamespace \
                 AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)",
        )
        .unwrap();
    let dropped = guards.lines().map(|line| {
        let (drop, name) = line.split_once('|').unwrap();
        (drop.to_owned(), format!("{name} is missing"))
    });
    let role = database.role();
    let others = POSTGRES_DAMAGE
        .iter()
        .map(|(damage, named)| (damage.replace("{role}", &role), named.replace("{role}", &role)));
    let damages: Vec<(String, String)> = dropped.chain(others).collect();
    assert_eq!(damages.len() - POSTGRES_DAMAGE.len(), 51, "each is looked for");
    for (damage, named) in damages {
        database.query(&damage).unwrap();
        let told = verify().await;
        assert!(told.iter().any(|told| told.contains(&named)), "{damage}: {told:#?}");
        for told in &told {
            database.query(cure(told)).unwrap();
        }
        assert_eq!(verify().await, Vec::<String>::new(), "{damage}, put back by {told:#?}");
    }
    maker.store.close().await.unwrap();
}
