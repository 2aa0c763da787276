//! Usage and configuration: what needs no server.

use super::{ended, farthing, stdout};

#[test]
fn usage_errors_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for (args, says) in [
        (&["fly"][..], "fly"),
        (&["serve", "--flisten", "127.0.0.1:0"], "--listen"),
        (&["admin", "create"], "--email"),
        (&["admin", "create", "--email", "nobody"], "--email must be an email address"),
        (
            &["admin", "create", "--email", "a@example.com", "--role", "king"],
            "customer, support, cashier, auditor, admin",
        ),
        (
            &["serve", "--mode", "prod"],
            "--mode: \"prod\" is not allowed for server.mode; allowed: sandbox or live",
        ),
        (&["--listen", "nowhere"], "--listen: \"nowhere\" is not allowed for server.listen"),
        (&["serve", "--config", "none.toml"], "cannot read the configuration file none.toml"),
        (
            &["verify", "--database", "mysql://ann:hunter2@db/ledger"],
            "mysql://ann:***@db/ledger is not allowed",
        ),
        (&["backup"], "FILE"),
        (&["restore", "none.backup"], "cannot read none.backup"),
        (&["completions", "cobol"], "bash"),
    ] {
        let output = farthing(folder.path(), &[], args);
        ended(&output, 2, says);
        assert!(!super::stderr(&output).contains("hunter2"), "{args:?}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = tempfile::tempdir().unwrap();
    let help = farthing(folder.path(), &[], &["--help"]);
    ended(&help, 0, "");
    for part in [
        "Examples:",
        "[env: FARTHING_DATA]",
        "serve",
        "admin",
        "verify",
        "backup",
        "restore",
        "bench",
        "config",
        "completions",
        "man",
    ] {
        assert!(stdout(&help).contains(part), "no {part} in\n{}", stdout(&help));
    }
    let version = farthing(folder.path(), &[], &["--version"]);
    assert_eq!(stdout(&version), format!("farthing {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "asking for help makes no ledger");
}

#[test]
fn config_check_tells_every_mistake_and_warning() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.toml"), "[server]\nlisen = '::'\nworkers = 'many'\n").unwrap();
    let bad = farthing(folder.path(), &[], &["config", "check", "--config", "bad.toml"]);
    ended(
        &bad,
        2,
        "error: bad.toml, line 2: unknown key \"server.lisen\"; did you mean \"server.listen\"?\n",
    );
    ended(&bad, 2, "error: bad.toml, line 3: \"many\" is not allowed for server.workers");

    let variables = [("FARTHING_LISTN", "127.0.0.1:1"), ("FARTHING_MODE", "live")];
    let good = farthing(folder.path(), &variables, &["config", "check"]);
    ended(&good, 0, "warning: unknown variable FARTHING_LISTN is ignored; did you mean FARTHING_LISTEN?");
    assert_eq!(stdout(&good), "the configuration is well, with 1 warning\n");
}

#[test]
fn a_file_is_read_only_if_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("farthing.toml"), "[server]\nmode = 'live'\n").unwrap();
    let unnamed = farthing(folder.path(), &[], &["config", "show"]);
    assert!(stdout(&unnamed).contains("mode = \"sandbox\" # default\n"), "{}", stdout(&unnamed));
    let by_variable = farthing(folder.path(), &[("FARTHING_CONFIG", "farthing.toml")], &["config", "show"]);
    assert!(
        stdout(&by_variable).contains("mode = \"live\" # farthing.toml, line 2\n"),
        "{}",
        stdout(&by_variable)
    );
}

#[test]
fn config_show_says_where_values_come_from_and_masks_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("FARTHING_DATABASE_URL", "postgres://ann:hunter2@db/ledger"),
        ("FARTHING_DATA", "from-variable"),
        ("FARTHING_BACKUP_PASSPHRASE", "hunter2 and many more"),
    ];
    let output = farthing(folder.path(), &variables, &["config", "show", "--listen", "127.0.0.1:9"]);
    ended(&output, 0, "");
    let text = stdout(&output);
    for line in [
        "[server]",
        "listen = \"127.0.0.1:9\" # --listen",
        "data = \"from-variable\" # FARTHING_DATA",
        "mode = \"sandbox\" # default",
        "url = \"postgres://ann:***@db/ledger\" # FARTHING_DATABASE_URL",
        "# breached_file is not set",
        "passphrase = \"***\" # FARTHING_BACKUP_PASSPHRASE",
    ] {
        assert!(text.lines().any(|each| each == line), "no {line:?} in\n{text}");
    }
    assert!(!text.contains("hunter2"));
}

#[test]
fn completions_and_the_manual_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = farthing(folder.path(), &[], &["completions", shell]);
        ended(&output, 0, "");
        assert!(stdout(&output).contains("password-stdin"), "{shell}");
    }
    let manual = farthing(folder.path(), &[], &["man"]);
    ended(&manual, 0, "");
    assert!(stdout(&manual).contains(".TH farthing 1"), "{}", stdout(&manual));
    let keys = farthing(folder.path(), &[], &["config", "keys"]);
    assert!(stdout(&keys).contains("| `[server] listen` | `FARTHING_LISTEN` or `FARTHING_SERVER_LISTEN` |"));
}

#[test]
fn a_database_that_cannot_be_reached_ends_with_3_and_tells_no_password() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens on port 1.
    let url = "postgres://ann:hunter2@127.0.0.1:1/ledger";
    for args in [
        &["serve", "--listen", "127.0.0.1:0", "--database", url][..],
        &["admin", "create", "--email", "ann@example.com", "--database", url],
        &["admin", "list", "--database", url],
    ] {
        let output = farthing(folder.path(), &[], args);
        ended(&output, 3, "cannot connect to the database");
        assert!(!super::stderr(&output).contains("hunter2"), "{args:?}");
    }
}

#[test]
fn a_mistake_in_the_settings_leaves_nothing_of_a_ledger_behind() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("FARTHING_DATA", "data"), ("FARTHING_PASSWORDS_BREACHED_FILE", "none.txt")];
    for args in [&["--listen", "127.0.0.1:0"][..], &["admin", "create", "--email", "ann@example.com"]] {
        ended(&farthing(folder.path(), &variables, args), 2, "passwords.breached_file: cannot read none.txt");
        for name in ["farthing.db", "farthing.key"] {
            assert!(!folder.path().join("data").join(name).exists(), "{args:?} made {name}");
        }
    }
}

#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let no_text = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let show = |name: &str| {
        super::command(folder.path(), &[], &["config", "show"]).env(name, no_text).output().unwrap()
    };
    ended(&show("FARTHING_DATA"), 2, "FARTHING_DATA: the value is not UTF-8");
    ended(&show("SOMEBODY_ELSES"), 0, "");
}

#[test]
fn commands_that_read_need_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["verify"][..], &["admin", "list"], &["backup", "a.backup"]] {
        ended(&farthing(folder.path(), &[], args), 3, "error: ");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "reading makes no ledger");
}
