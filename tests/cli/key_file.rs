//! The key file: a ledger opens with its own alone, on both engines, and who comes second makes none.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use rusqlite::Connection;

use super::support::count;
use super::support::postgres::{Database, Postgres};
use super::{command, ended, farthing, stderr};

const CREATE: [&str; 4] = ["admin", "create", "--email", "ann@example.com"];

fn create<'a>(email: &'a str, data: &'a str) -> [&'a str; 6] {
    ["admin", "create", "--email", email, "--data", data]
}

#[test]
fn a_ledger_opens_with_its_own_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    for data in ["data", "other"] {
        ended(&farthing(folder.path(), &[], &create("ann@example.com", data)), 0, "made a new ledger");
    }
    let key = folder.path().join("data/farthing.key");
    let own = fs::read(&key).unwrap();
    fs::copy(folder.path().join("other/farthing.key"), &key).unwrap();
    for args in
        [&["serve", "--listen", "127.0.0.1:0", "--data", "data"][..], &create("ben@example.com", "data")]
    {
        let output = farthing(folder.path(), &[], args);
        ended(&output, 3, "the key file data/farthing.key is of another ledger");
        ended(&output, 3, "put the key file of this ledger in its place");
        assert!(!stderr(&output).contains(std::str::from_utf8(&own).unwrap()), "no key is told");
    }
    fs::write(&key, own).unwrap();
    ended(&farthing(folder.path(), &[], &create("ben@example.com", "data")), 0, "");
}

#[test]
fn a_ledger_that_names_no_key_yet_takes_the_one_that_it_is_opened_with() {
    let folder = tempfile::tempdir().unwrap();
    ended(&farthing(folder.path(), &[], &create("ann@example.com", "data")), 0, "");
    let database = folder.path().join("data/farthing.db");
    let fingerprint = || -> Option<String> {
        let sql = "SELECT max(value) FROM properties WHERE name = 'key_fingerprint'";
        Connection::open(&database).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let named = fingerprint();
    assert!(named.is_some());
    let forget = "DELETE FROM properties WHERE name = 'key_fingerprint'";
    Connection::open(&database).unwrap().execute_batch(forget).unwrap();
    ended(&farthing(folder.path(), &[], &create("ben@example.com", "data")), 0, "");
    assert_eq!(fingerprint(), named);
}

/// A node's command: its data folder is its own, the database everybody's.
fn node(database: &Database, folder: &Path, data: &str, args: &[&str]) -> std::process::Command {
    let (url, migration_url) = (database.url(), database.migration_url());
    let variables = [
        ("FARTHING_DATABASE_URL", url.as_str()),
        ("FARTHING_DATABASE_MIGRATION_URL", migration_url.as_str()),
        ("FARTHING_DATA", data),
    ];
    let mut command = command(folder, &variables, args);
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_node_of_a_ledger_on_postgresql_needs_a_copy_of_its_key_file() {
    let (database, folder) = (Postgres::shared().database(), tempfile::tempdir().unwrap());
    let run = |data: &str, args: &[&str]| node(&database, folder.path(), data, args).output().unwrap();
    let key_of = |data: &str| folder.path().join(data).join("farthing.key");
    let made = run("first", &CREATE);
    ended(&made, 0, "made a new ledger in postgres://");
    ended(&made, 0, ":***@");

    let more = ["admin", "create", "--email", "ben@example.com"];
    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &more] {
        ended(&run("second", args), 3, "copy the key file of this ledger to second/farthing.key");
        assert!(!key_of("second").exists(), "no second key is made");
    }
    let other = ["admin", "create", "--email", "ann@example.com", "--data", "embedded"];
    ended(&farthing(folder.path(), &[], &other), 0, "");
    fs::copy(key_of("embedded"), key_of("second")).unwrap();
    ended(&run("second", &more), 3, "the key file second/farthing.key is of another ledger");
    fs::copy(key_of("first"), key_of("second")).unwrap();
    ended(&run("second", &more), 0, "");
}

#[test]
fn of_two_nodes_that_make_a_ledger_at_the_same_moment_one_wins() {
    for _ in 0..count(4, 100) {
        let (database, folder) = (Postgres::shared().database(), tempfile::tempdir().unwrap());
        let key_of = |data: &str| folder.path().join(data).join("farthing.key");
        let children = ["one", "two"].map(|data| {
            node(&database, folder.path(), data, &CREATE)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let outputs = children.map(|child| child.wait_with_output().unwrap());
        let [winner, loser] = if outputs[0].status.success() { ["one", "two"] } else { ["two", "one"] };
        for (data, output) in ["one", "two"].into_iter().zip(&outputs) {
            if data == winner {
                ended(output, 0, "made a new ledger");
            } else {
                ended(output, 3, &format!("copy the key file of this ledger to {data}/farthing.key"));
            }
        }
        assert!(key_of(winner).exists() && !key_of(loser).exists(), "what the loser made is gone");
        fs::copy(key_of(winner), key_of(loser)).unwrap();
        let more = ["admin", "create", "--email", "ben@example.com"];
        ended(&node(&database, folder.path(), loser, &more).output().unwrap(), 0, "");
    }
}

#[test]
fn nodes_that_share_a_folder_share_the_key_that_one_of_them_makes() {
    for _ in 0..count(4, 100) {
        let (database, folder) = (Postgres::shared().database(), tempfile::tempdir().unwrap());
        let children = ["ann@example.com", "ben@example.com"].map(|email| {
            node(&database, folder.path(), "data", &["admin", "create", "--email", email])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        for child in children {
            ended(&child.wait_with_output().unwrap(), 0, "");
        }
        let mut names: Vec<_> = fs::read_dir(folder.path().join("data"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["checkpoints", "farthing.key"]);
    }
}
