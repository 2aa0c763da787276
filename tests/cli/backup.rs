//! `backup` and `restore`: the rehearsal under load, and everything that must leave nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::damage::damage;
use super::support::{Random, Request, Server, User, count};
use super::{command, ended, farthing, field, stderr, stdout};

const PASSPHRASE: (&str, &str) = ("FARTHING_BACKUP_PASSPHRASE", "nine tidy badgers");

/// A folder with a small ledger in `data`, made without a server.
fn with_ledger() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let args = ["admin", "create", "--email", "ann@example.com", "--data", "data"];
    ended(&farthing(folder.path(), &[], &args), 0, "made a new ledger");
    folder
}

fn run(folder: &TempDir, args: &[&str]) -> Output {
    farthing(folder.path(), &[PASSPHRASE], args)
}

/// The small ledger, saved as `a.backup`.
fn with_backup() -> TempDir {
    let folder = with_ledger();
    ended(&run(&folder, &["backup", "a.backup", "--data", "data"]), 0, "");
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn database(folder: &Path) -> Connection {
    let path = folder.join("farthing.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// One value of the ledger in that folder.
fn value<T: rusqlite::types::FromSql>(folder: &Path, sql: &str) -> T {
    database(folder).query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// What each account's entries up to and with a transaction sum to.
fn sums(folder: &Path, to_transaction: i64) -> Vec<(i64, i64)> {
    let connection = database(folder);
    let sql =
        "SELECT account, sum(amount) FROM entries WHERE no < (?1 + 1) * 8 GROUP BY account ORDER BY account";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([to_transaction], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Pays a cent after another until it is told to stop.
fn pay_on(user: &mut User, to: &str, paid: &AtomicUsize, stop: &AtomicBool) {
    let body = json!({"amount": "0.01", "currency": "USD", "to": to});
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        user.pay_with_key(&format!("cent {number}"), &body).expect(201);
        paid.fetch_add(1, Ordering::Relaxed);
    }
}

fn wait_for(paid: &AtomicUsize, more: usize) {
    let target = paid.load(Ordering::Relaxed) + more;
    while paid.load(Ordering::Relaxed) < target {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_rehearsal_restores_what_was_there_at_one_moment_under_load() {
    let server = Server::builder().env(PASSPHRASE.0, PASSPHRASE.1).start();
    let folder = tempfile::tempdir().unwrap();
    let (file, restored) = (folder.path().join("a.backup"), folder.path().join("restored"));
    let mut ann = server.user("ann");
    let lunch = json!({"amount": "12.50", "currency": "USD", "description": "Lunch"});
    let first = ann.pay_with_key("lunch-1", &lunch).expect(201);
    let mut payers: Vec<User> = (0..4).map(|number| server.user(&format!("payer{number}"))).collect();

    let (paid, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let saved = std::thread::scope(|scope| {
        let threads: Vec<_> = payers
            .iter_mut()
            .map(|payer| scope.spawn(|| pay_on(payer, "ann@example.org", &paid, &stop)))
            .collect();
        wait_for(&paid, 200);
        let saved = server.run(&["backup", file.to_str().unwrap()]);
        // Payments go on afterwards, so that source and backup differ.
        wait_for(&paid, 50);
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
        saved
    });
    ended(&saved, 0, "");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!server.data().join("backup.tmp").exists(), "the copy goes");
    let content = fs::read(&file).unwrap();
    assert!(!content.windows(16).any(|window| window == b"SQLite format 3\0"), "encrypted whole");

    // What was saved is what the source was when it wrote a certain block.
    let head = field(&saved, "head");
    let source = server.data();
    let block: i64 = value(source, &format!("SELECT no FROM blocks WHERE hash = x'{head}'"));
    assert!(block < value(source, "SELECT max(no) FROM blocks"), "payments went on");
    let at_block = |column: &str| format!("SELECT {column} FROM blocks WHERE no = {block}");
    let transactions: i64 = value(source, &at_block("last_transaction"));
    assert!(transactions >= 200);
    assert!(
        field(&saved, "holds").starts_with(&format!("{transactions} transactions, 5 users, {block} blocks"))
    );

    let restore = ["restore", file.to_str().unwrap(), "--data", restored.to_str().unwrap()];
    let output = server.run(&restore);
    ended(&output, 0, "");
    assert_eq!(names(folder.path()), ["a.backup", "restored"]);
    assert_eq!(field(&output, "head"), head);
    assert_eq!(field(&output, "epoch"), format!("2, begun in block {}", block + 1));
    assert_eq!(names(&restored), ["checkpoints", "farthing.db", "farthing.key", "farthing.lock"]);
    for name in names(&restored) {
        assert_eq!(restored.join(&name).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let key = |folder: &Path| fs::read(folder.join("farthing.key")).unwrap();
    assert_eq!(key(&restored), key(source));
    assert_eq!(value::<Vec<u8>>(&restored, &at_block("hash")), value::<Vec<u8>>(source, &at_block("hash")));
    assert_eq!(value::<i64>(&restored, "SELECT max(no) FROM transactions"), transactions);
    assert_eq!(sums(&restored, i64::MAX / 16), sums(source, transactions));

    // One block more than was saved: the one that says so.
    assert_eq!(value::<i64>(&restored, "SELECT max(no) FROM blocks"), block + 1);
    assert_eq!(value::<i64>(&restored, "SELECT value FROM properties WHERE name = 'epoch'"), 2);
    let event = "SELECT event || ' ' || detail FROM security_events ORDER BY no DESC LIMIT 1";
    let event: String = value(&restored, event);
    let (kind, detail) = event.split_once(' ').unwrap();
    let detail: Value = serde_json::from_str(detail).unwrap();
    assert_eq!(
        (kind, &detail["action"], &detail["epoch"]),
        ("privilege_use", &json!("restore"), &json!("2"))
    );
    assert_eq!((&detail["blocks"], &detail["head"]), (&json!(block.to_string()), &json!(head)));

    let mut other = Server::builder().data(&restored).start();
    other.verify();
    let mut client = other.client().with_token(&ann.token);
    let again = client.call(&Request::post("/payment", &lunch).key("lunch-1")).expect(201);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.body, first.body);
    client.post("/token/refresh", &json!({"refresh_token": ann.refresh})).expect(200);
    let mut ann_again = ann.log_in_again(other.client());
    let received = "SELECT count(*) FROM transactions t JOIN users u ON u.id = t.to_user \
                    WHERE u.email = 'ann@example.org' AND t.kind = 'payment'";
    assert_eq!(ann_again.balance("USD"), 100_000 - 1_250 + value::<i64>(&restored, received));
    ann_again.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    other.terminate();
    other.verify();

    // A restored ledger is saved and restored like any other, and its epochs count on.
    let (second, twice) = (folder.path().join("b.backup"), folder.path().join("twice"));
    let data = ["--data", restored.to_str().unwrap()];
    ended(&server.run(&[&["backup", second.to_str().unwrap()], &data[..]].concat()), 0, "");
    let output = server.run(&["restore", second.to_str().unwrap(), "--data", twice.to_str().unwrap()]);
    ended(&output, 0, "");
    assert!(field(&output, "epoch").starts_with("3, begun in block "));
}

/// Restores changed files to a folder that is not there, and to one that is.
#[test]
fn a_wrong_passphrase_and_a_changed_file_restore_nothing() {
    let folder = with_backup();
    let whole = fs::read(folder.path().join("a.backup")).unwrap();
    fs::create_dir(folder.path().join("there")).unwrap();
    let refused = |variable: (&str, &str), data: &str, says: &str| {
        let args = ["restore", "changed.backup", "--data", data];
        let output = farthing(folder.path(), &[variable], &args);
        ended(&output, 1, says);
        ended(&output, 1, "nothing was restored");
        let left = names(folder.path());
        assert_eq!(left, ["a.backup", "changed.backup", "data", "there"]);
        let left = names(&folder.path().join("there"));
        assert!(left.is_empty() || left == ["farthing.lock"], "{left:?}");
    };
    let changed = |content: &[u8], says: &str| {
        fs::write(folder.path().join("changed.backup"), content).unwrap();
        refused(PASSPHRASE, "new", says);
        refused(PASSPHRASE, "there", says);
    };
    let flipped = |at: usize| {
        let mut content = whole.clone();
        content[at] ^= 1;
        content
    };
    fs::write(folder.path().join("changed.backup"), &whole).unwrap();
    refused((PASSPHRASE.0, "nine tidy badgerz"), "new", "the passphrase is wrong");
    // The head and the salt are 51 bytes; a piece is 65,552.
    changed(&flipped(5), "is no backup");
    changed(&flipped(30), "cannot be opened");
    changed(&flipped(60), "cannot be opened");
    changed(&flipped(51 + 65_552), "was altered or cut off");
    changed(&flipped(whole.len() - 1), "was altered or cut off");
    changed(&[], "is no backup");
    changed(&whole[..40], "is no backup");
    changed(&whole[..51], "cannot be opened");
    changed(&whole[..51 + 65_552], "cannot be opened");
    changed(&whole[..whole.len() - 1], "was altered or cut off");
    changed(&[&whole[..], b"x"].concat(), "was altered or cut off");
    ended(&run(&folder, &["restore", "a.backup", "--data", "there"]), 0, "");
}

#[test]
fn nothing_is_overwritten() {
    let folder = with_backup();
    let at = |name: &str| folder.path().join(name);
    let saved = fs::read(at("a.backup")).unwrap();
    ended(&run(&folder, &["backup", "a.backup", "--data", "data"]), 2, "a.backup is there already");
    assert_eq!(fs::read(at("a.backup")).unwrap(), saved);
    std::os::unix::fs::symlink("nowhere", at("b.backup")).unwrap();
    ended(&run(&folder, &["backup", "b.backup", "--data", "data"]), 2, "b.backup is there already");

    let (ledger, key) =
        (fs::read(at("data/farthing.db")).unwrap(), fs::read(at("data/farthing.key")).unwrap());
    ended(&run(&folder, &["restore", "a.backup", "--data", "data"]), 2, "there is a ledger in data already");
    assert_eq!(fs::read(at("data/farthing.db")).unwrap(), ledger);
    assert_eq!(fs::read(at("data/farthing.key")).unwrap(), key);

    // What is left of another ledger would be read with the restored one.
    fs::create_dir(at("remains")).unwrap();
    fs::write(at("remains/farthing.db-wal"), "a log").unwrap();
    ended(&run(&folder, &["restore", "a.backup", "--data", "remains"]), 2, "there is a ledger in remains");

    fs::create_dir(at("other")).unwrap();
    fs::write(at("other/farthing.key"), "5a".repeat(32)).unwrap();
    fs::set_permissions(at("other/farthing.key"), fs::Permissions::from_mode(0o600)).unwrap();
    ended(&run(&folder, &["restore", "a.backup", "--data", "other"]), 2, "holds another key");
    assert_eq!(names(&at("other")), ["farthing.key"]);
    assert_eq!(fs::read_to_string(at("other/farthing.key")).unwrap(), "5a".repeat(32));

    // The ledger's own key may be there before it.
    fs::write(at("other/farthing.key"), &key).unwrap();
    ended(&run(&folder, &["restore", "a.backup", "--data", "other"]), 0, "");
    ended(&run(&folder, &["verify", "--data", "other"]), 0, "");
}

#[test]
fn a_restore_keeps_out_of_a_folder_that_somebody_holds() {
    let folder = with_backup();
    let server = Server::start();
    let file = folder.path().join("a.backup");
    let output = farthing(
        folder.path(),
        &[PASSPHRASE],
        &["restore", file.to_str().unwrap(), "--data", server.data().to_str().unwrap()],
    );
    ended(&output, 2, "there is a ledger in");
    // A server that has the folder, and no ledger yet.
    let lock = folder.path().join("held/farthing.lock");
    fs::create_dir(lock.parent().unwrap()).unwrap();
    let held = fs::File::create(&lock).unwrap();
    held.lock().unwrap();
    ended(&run(&folder, &["restore", "a.backup", "--data", "held"]), 3, "is in use by");
    assert_eq!(names(lock.parent().unwrap()), ["farthing.lock"]);
}

fn spawn(folder: &TempDir, args: &[&str]) -> Child {
    command(folder.path(), &[PASSPHRASE], args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills it after a while; whether it was still running.
fn kill(mut child: Child, after: Duration) -> bool {
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap().signal().is_some()
}

#[test]
fn a_backup_that_is_killed_leaves_nothing_under_its_name() {
    let folder = with_ledger();
    let (file, mut random) = (folder.path().join("a.backup"), Random::new(Random::seed_of_this_run()));
    let partial = || names(folder.path()).into_iter().filter(|name| name.ends_with(".partial")).count();
    let mut killed = 0;
    for round in 0..count(16, 1_000) {
        let before = partial();
        let child = spawn(&folder, &["backup", "a.backup", "--data", "data"]);
        while partial() == before && !file.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        killed += usize::from(kill(child, Duration::from_millis(random.between(0, 150))));
        if file.exists() {
            let data = format!("restored{round}");
            ended(&run(&folder, &["restore", "a.backup", "--data", &data]), 0, "");
            fs::remove_file(&file).unwrap();
        }
    }
    assert!(killed > 0, "no kill hit a backup");
    ended(&run(&folder, &["verify", "--data", "data"]), 0, "");
    ended(&run(&folder, &["backup", "a.backup", "--data", "data"]), 0, "");
    assert!(!folder.path().join("data/backup.tmp").exists(), "what was left behind is gone");
}

#[test]
fn a_restore_that_is_killed_can_be_run_again() {
    let folder = with_backup();
    let mut random = Random::new(Random::seed_of_this_run());
    let mut killed = 0;
    for round in 0..count(16, 1_000) {
        let data = format!("restored{round}");
        let there = folder.path().join(&data);
        if random.one_in(2) {
            fs::create_dir(&there).unwrap();
        }
        let child = spawn(&folder, &["restore", "a.backup", "--data", &data]);
        killed += usize::from(kill(child, Duration::from_millis(random.between(0, 120))));
        if !there.join("farthing.db").exists() {
            ended(&run(&folder, &["restore", "a.backup", "--data", &data]), 0, "");
        }
        ended(&run(&folder, &["verify", "--data", &data]), 0, "");
        assert_eq!(value::<i64>(&there, "SELECT value FROM properties WHERE name = 'epoch'"), 2);
        assert!(there.join("farthing.key").exists());
        assert!(!there.join("restore.tmp").exists());
    }
    assert!(killed > 0, "no kill hit a restore");
}

#[test]
fn a_backup_needs_the_ledgers_own_key() {
    let (folder, other) = (with_ledger(), with_ledger());
    let key = folder.path().join("data/farthing.key");
    fs::copy(other.path().join("data/farthing.key"), &key).unwrap();
    let backup = ["backup", "a.backup", "--data", "data"];
    ended(&run(&folder, &backup), 3, "the key file data/farthing.key is of another ledger");
    fs::remove_file(&key).unwrap();
    ended(&run(&folder, &backup), 3, "copy the key file of this ledger to data/farthing.key");
    assert_eq!(names(folder.path()), ["data"]);
    assert!(!folder.path().join("data/backup.tmp").exists());
}

#[test]
fn a_ledger_that_names_no_key_yet_is_saved_as_it_is() {
    let folder = with_ledger();
    let fingerprint = "SELECT value FROM properties WHERE name = 'key_fingerprint'";
    let named: String = value(&folder.path().join("data"), fingerprint);
    let forget = "DELETE FROM properties WHERE name = 'key_fingerprint'";
    Connection::open(folder.path().join("data/farthing.db")).unwrap().execute_batch(forget).unwrap();
    ended(&run(&folder, &["backup", "a.backup", "--data", "data"]), 0, "");
    ended(&run(&folder, &["restore", "a.backup", "--data", "restored"]), 0, "");
    assert_eq!(value::<String>(&folder.path().join("restored"), fingerprint), named);
}

#[test]
fn a_ledger_on_postgresql_is_left_to_its_own_tools() {
    let folder = with_backup();
    let url = ("FARTHING_DATABASE_URL", "postgres://ann:hunter2@127.0.0.1:1/ledger");
    for args in [["backup", "b.backup"], ["restore", "a.backup"]] {
        let output = farthing(folder.path(), &[PASSPHRASE, url], &args);
        ended(&output, 2, "backup and restore are for the embedded ledger");
        assert!(!stderr(&output).contains("hunter2"));
    }
    assert_eq!(names(folder.path()), ["a.backup", "data"]);
}

#[test]
fn books_that_do_not_balance_are_not_saved() {
    let folder = with_ledger();
    let database = Connection::open(folder.path().join("data/farthing.db")).unwrap();
    damage(&database, "UPDATE security_events SET detail = '{}' WHERE no = 1");
    drop(database);
    let output = run(&folder, &["backup", "a.backup", "--data", "data"]);
    ended(&output, 1, "the books do not balance, and nothing was saved");
    assert_eq!(names(folder.path()), ["data"]);
    assert!(!folder.path().join("data/backup.tmp").exists());
}

#[test]
fn the_passphrase_comes_from_a_file_a_variable_or_the_terminal() {
    let folder = with_ledger();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    let none = |args: &[&str], says: &str| ended(&farthing(folder.path(), &[], args), 2, says);
    none(&["backup", "a.backup", "--data", "data"], "there is no terminal to ask for the passphrase on");
    let short =
        farthing(folder.path(), &[(PASSPHRASE.0, "short")], &["backup", "a.backup", "--data", "data"]);
    ended(&short, 2, "FARTHING_BACKUP_PASSPHRASE: *** is not allowed for backup.passphrase");
    fs::write(at("short"), "short\nnine tidy badgers\n").unwrap();
    none(
        &["backup", "a.backup", "--data", "data", "--passphrase-file", "short"],
        "the passphrase must have at least 12 characters",
    );
    none(
        &["backup", "a.backup", "--data", "data", "--passphrase-file", "none"],
        "cannot read the passphrase file none",
    );
    assert_eq!(names(folder.path()), ["data", "short"]);

    // A letter composed or not is the same letter.
    fs::write(at("composed"), "nin\u{e9} tidy badgers\r\nmore").unwrap();
    let save = ["backup", "a.backup", "--data", "data", "--passphrase-file", "composed"];
    ended(&run(&folder, &save), 0, "");
    let decomposed = farthing(
        folder.path(),
        &[(PASSPHRASE.0, "nine\u{301} tidy badgers")],
        &["restore", "a.backup", "--data", "one"],
    );
    ended(&decomposed, 0, "");

    let on_terminal = |arguments: &str, typed: &str| {
        let line = format!("{} {arguments}", super::support::server::FARTHING);
        let mut child = std::process::Command::new("script")
            .args(["-qec", &line, "typescript"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), typed.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = on_terminal("backup b.backup --data data", "nine tidy badgers\nnine tidy badgerz\n");
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stdout(&output).contains("the two passphrases differ"), "{}", stdout(&output));
    let output = on_terminal("backup b.backup --data data", "nine tidy badgers\nnine tidy badgers\n");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let output = on_terminal("restore b.backup --data two", "nine tidy badgers\n");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}
