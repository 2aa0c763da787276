//! The pepper: a secret outside of the database without which no password can be tried.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::support::{PASSWORD, Server};
use super::{ended, farthing};

const OLD: &str = "5f0c1d2e3b4a59687786a5b4c3d2e1f0";
const NEW: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f5";

fn write(path: &Path, secrets: &str, mode: u32) {
    fs::write(path, secrets).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Logs in on a server with this pepper, and says how that was answered and what the ledger keeps of the password then.
fn login(data: &Path, pepper: Option<&Path>) -> (u16, String) {
    let mut server = Server::embedded().data(data);
    if let Some(pepper) = pepper {
        server = server.env("FARTHING_PASSWORDS_PEPPER_FILE", pepper.to_str().unwrap());
    }
    let server = server.start();
    let login = server.client().post("/login", &json!({"email": "ann@example.org", "password": PASSWORD}));
    let database = Connection::open(data.join("farthing.db")).unwrap();
    let kept =
        database.query_row("SELECT password_hash FROM users WHERE email = 'ann@example.org'", [], |row| {
            row.get(0)
        });
    (login.status, kept.unwrap())
}

#[test]
fn a_hash_is_made_anew_with_the_newest_secret_and_is_of_no_use_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("pepper"));
    drop({
        let server = Server::embedded().data(&data).start();
        server.user("ann");
        server
    });
    let (status, plain) = login(&data, None);
    assert_eq!((status, plain.contains("keyid=")), (200, false), "{plain}");

    write(&file, OLD, 0o600);
    let (status, old) = login(&data, Some(&file));
    assert_eq!((status, old.contains("keyid=")), (200, true), "{old}");
    assert_eq!(login(&data, Some(&file)), (200, old.clone()), "nothing is made anew twice");

    write(&file, &format!("{OLD}\n{NEW}\n"), 0o600);
    let (status, new) = login(&data, Some(&file));
    assert_eq!((status, new == old, new.contains("keyid=")), (200, false, true), "{new}");
    write(&file, NEW, 0o600);
    assert_eq!(login(&data, Some(&file)), (200, new.clone()), "the old one can go then");

    for pepper in [None, Some(OLD)] {
        write(&file, pepper.unwrap_or_default(), 0o600);
        let found = login(&data, pepper.map(|_| file.as_path()));
        assert_eq!(found, (500, new.clone()), "a fault of ours, and no wrong password");
    }
}

#[test]
fn a_file_that_is_no_pepper_is_told_with_its_cure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pepper");
    let start = |says: &str| {
        let variables = [("FARTHING_DATA", "data"), ("FARTHING_PASSWORDS_PEPPER_FILE", "pepper")];
        ended(&farthing(folder.path(), &variables, &["--listen", "127.0.0.1:0"]), 2, says);
        assert!(!folder.path().join("data/farthing.db").exists(), "a ledger was made");
    };
    start("passwords.pepper_file: pepper cannot be read");
    write(&file, OLD, 0o644);
    start("passwords.pepper_file: pepper can be read by others; chmod 600 mends that");
    for secrets in ["", "too short\n", &format!("{OLD}\n\n{NEW}")] {
        write(&file, secrets, 0o600);
        start("must have a secret of at least 32 characters in each line; try 'openssl rand -hex 32'");
    }
}
