//! Where a value comes from, and what mistakes are told.

use super::*;
use std::fs;
use std::path::Path;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farthing.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn load_file(text: &str) -> Result<Loaded, ConfigErrors> {
    let (_folder, path) = file(text);
    load(Some(&path), &[], [])
}

fn flag(key: &'static str, flag: &'static str, value: &str) -> Override {
    Override { key, flag, value: value.to_owned() }
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let (_folder, path) = file("[server]\nmode = \"live\"\ndata = \"from-file\"\nhouse_name = 'Shop'\n");
    let environment = variables(&[("FARTHING_DATA", "from-variable"), ("FARTHING_MODE", "sandbox")]);
    let flags = [flag("server.data", "--data", "from-flag")];
    let loaded = load(Some(&path), &flags, environment).unwrap();

    assert_eq!(loaded.settings.server.data, Path::new("from-flag"));
    assert_eq!(loaded.settings.server.mode, Mode::Sandbox);
    assert_eq!(loaded.settings.server.house_name, "Shop");
    assert_eq!(loaded.settings.server.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(loaded.origin("server.data"), Origin::Flag("--data"));
    assert_eq!(loaded.origin("server.mode"), Origin::Variable("FARTHING_MODE".to_owned()));
    assert_eq!(loaded.origin("server.house_name"), Origin::File(path, 4));
    assert_eq!(loaded.origin("server.listen"), Origin::Default);
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn every_key_can_be_set_in_the_file_and_by_its_variable_and_shown_again() {
    for (path, value) in [
        ("server.listen", "[::1]:9000"),
        ("server.data", "/srv/farthing"),
        ("server.mode", "live"),
        ("server.workers", "7"),
        ("server.house_name", "The \"Corner\" Shop"),
        ("database.url", "postgres://db.example/ledger"),
        ("database.migration_url", "postgresql://owner@db.example/ledger"),
        ("database.key_file", "/etc/farthing.key"),
        ("database.connections", "20"),
        ("database.writers", "2"),
        ("database.statement_timeout_seconds", "9"),
        ("server.trusted_proxies", "127.0.0.1, 10.0.0.0/8, 2001:db8::/32"),
        ("server.proxy_header", "forwarded"),
        ("server.connections", "77"),
        ("server.connections_per_address", "7"),
        ("server.head_timeout_seconds", "3"),
        ("server.body_timeout_seconds", "4"),
        ("server.idle_timeout_seconds", "5"),
        ("server.write_timeout_seconds", "6"),
        ("server.head_bytes", "8192"),
        ("cors.origins", "https://shop.example, http://localhost:3000"),
        ("rate_limits.enabled", "false"),
        ("rate_limits.login", "30/min per address"),
        ("rate_limits.register", "7/day per address"),
        ("rate_limits.refresh", "none"),
        ("rate_limits.payment", "10/30s per account, 5/30s per key"),
        ("rate_limits.read", "1/s per key"),
        ("rate_limits.admin", "none"),
        ("rate_limits.login_failures", "3"),
        ("rate_limits.longest_wait_seconds", "60"),
        ("risk.enabled", "false"),
        ("risk.window_seconds", "60"),
        ("risk.payer_payments", "review above 3"),
        ("risk.payer_sum", "decline above 5000, JPY 700000"),
        ("risk.payee_payments", "off"),
        ("risk.payee_sum", "review above 5000"),
        ("risk.new_payee", "decline above 0"),
        ("risk.habit", "step_up above 2"),
        ("risk.declines", "decline above 3"),
        ("risk.new_password", "off"),
        ("risk.new_address", "review above 1"),
        ("risk.fan_out", "review above 31"),
        ("risk.fan_in", "review above 4"),
        ("risk.same_payment", "decline above 1"),
        ("tokens.access_ttl_seconds", "7"),
        ("tokens.refresh_ttl_seconds", "86399"),
        ("payments.duplicate_window_seconds", "0"),
        ("payments.hold_seconds", "1"),
        ("security.four_eyes_above", "500"),
        ("security.step_up_above", "500"),
        ("passwords.breached_file", "/etc/breached.txt"),
        ("passwords.pepper_file", "/etc/pepper"),
        ("passwords.hash_threads", "3"),
        ("passwords.hash_queue", "5"),
        ("checkpoints.file", "/mnt/elsewhere/checkpoints"),
        ("checkpoints.every_seconds", "60"),
        ("metrics.listen", "127.0.0.1:9090"),
        ("traces.endpoint", "https://collector.example:4318/v1/traces"),
        ("traces.percent", "5"),
        ("log.format", "text"),
        ("log.level", "warn,farthing=debug"),
        ("backup.passphrase_file", "/etc/farthing.passphrase"),
        ("webhooks.allow_private_addresses", "true"),
        ("webhooks.allowed_networks", "10.20.0.0/16, fd12::/16"),
        ("webhooks.ports", "8443"),
        ("webhooks.endpoints_per_owner", "3"),
        ("webhooks.retry_schedule_seconds", "0, 1"),
    ] {
        let key = KEYS.iter().find(|key| key.path() == path).unwrap();
        let by_variable = load(None, &[], [(key.variable(), value.to_owned())]).unwrap();
        let quoted = toml::Value::from(value).to_string();
        let by_file = load_file(&format!("[{}]\n{} = {quoted}\n", key.section, key.name)).unwrap();

        assert_ne!(by_variable.settings, Settings::default(), "{path}");
        assert_eq!(by_variable.settings, by_file.settings, "{path}");
        assert_eq!(by_variable.origin(path), Origin::Variable(key.variable()));
        assert_eq!(load_file(&by_variable.to_toml()).unwrap().settings, by_variable.settings, "{path}");
        if let Some(short) = key.short_variable {
            let by_short = load(None, &[], variables(&[(short, value)])).unwrap();
            assert_eq!(by_short.settings, by_variable.settings, "{short}");
        }
    }
    // And the passphrase, which is not shown again, and the two of TLS, which go together.
    assert_eq!(KEYS.len(), 70, "a new key belongs into this test");
}

#[test]
fn numbers_and_booleans_of_the_file_need_no_quotes() {
    let settings = load_file("[server]\nworkers = 3\n[risk]\nenabled = false\n").unwrap().settings;
    assert_eq!((settings.server.workers, settings.risk.enabled), (3, false));
}

#[test]
fn a_list_of_the_file_may_be_written_as_one() {
    let settings =
        load_file("[server]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n").unwrap().settings;
    assert_eq!(settings.server.trusted_proxies.to_string(), "127.0.0.1, 10.0.0.0/8");
    let error = load_file("[server]\ntrusted_proxies = [1]\n").unwrap_err().to_string();
    assert!(error.contains("array is not allowed for server.trusted_proxies"), "{error}");
}

#[test]
fn certificate_and_key_go_together() {
    let both = load_file("[tls]\ncertificate = 'a.pem'\nkey = 'b.pem'\n").unwrap();
    assert_eq!(load_file(&both.to_toml()).unwrap().settings, both.settings);
    for (text, message) in [
        ("[tls]\ncertificate = 'a.pem'\n", "tls.certificate needs tls.key as well"),
        ("[tls]\nkey = 'b.pem'\n", "tls.key needs tls.certificate as well"),
    ] {
        assert_eq!(load_file(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn the_defaults_of_the_table_are_the_defaults() {
    for key in KEYS.iter().filter(|key| !key.default.starts_with('(')) {
        let mut settings = Settings::default();
        assert!((key.set)(&mut settings, key.default), "{} refuses its own default", key.path());
        assert_eq!(settings, Settings::default(), "{}", key.path());
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
    for (text, message) in [
        (
            "[server]\nlisten = '[::1]:1'\nlisen = 1\n",
            "line 3: unknown key \"server.lisen\"; did you mean \"server.listen\"?",
        ),
        (
            "[server]\nurl = 'postgres://h'\n",
            "line 2: unknown key \"server.url\"; did you mean \"database.url\"?",
        ),
        ("workers = 2\n", "line 1: unknown key \"workers\"; did you mean \"server.workers\"?"),
        ("\n[sever]\nlisten = 1\n", "line 2: unknown section \"sever\"; did you mean \"server\"?"),
        ("config = 'other.toml'\n", "line 1: unknown key \"config\"; did you mean"),
    ] {
        let error = load_file(text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let (_folder, path) =
        file("[server]\nworkers = 0\nlisten = 8080\n[log]\nformat = ['json']\nlevl = 'info'\n");
    let environment = variables(&[("FARTHING_MODE", "prod"), ("FARTHING_LISTEN", "here")]);
    let flags = [flag("server.data", "--data", "")];
    let errors = load(Some(&path), &flags, environment).unwrap_err();
    let text = errors.to_string();
    for part in [
        "line 2: \"0\" is not allowed for server.workers; allowed: a whole number from 1 to 1024",
        "line 3: \"8080\" is not allowed for server.listen",
        "line 5: array is not allowed for log.format; allowed: auto, json or text",
        "line 6: unknown key \"log.levl\"; did you mean \"log.level\"?",
        "FARTHING_MODE: \"prod\" is not allowed for server.mode; allowed: sandbox or live",
        "FARTHING_LISTEN: \"here\" is not allowed for server.listen",
        "--data: \"\" is not allowed for server.data",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert_eq!(errors.0.len(), 7);
}

#[test]
fn a_file_that_is_no_toml_is_refused_at_its_line() {
    let error = load_file("[server]\nlisten = \n").unwrap_err().to_string();
    assert!(error.contains("farthing.toml, line 2: "), "{error}");
    let error = load_file("[log]\nlevel = 'a'\nlevel = 'b'\n").unwrap_err().to_string();
    assert!(error.contains("line 3: duplicate key"), "{error}");
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let by_variable = variables(&[("FARTHING_CONFIG", "no-such-file.toml")]);
    let error = load(None, &[], by_variable.clone()).unwrap_err().to_string();
    assert!(error.contains("cannot read the configuration file no-such-file.toml"), "{error}");
    let (_folder, path) = file("");
    assert!(load(Some(&path), &[], by_variable).is_ok(), "--config beats FARTHING_CONFIG");
}

#[test]
fn unknown_variables_warn_with_the_nearest_and_empty_ones_are_not_set() {
    let environment = variables(&[
        ("FARTHING_LISTN", "x"),
        ("FARTHING_RISK_ENABLED", ""),
        ("FARTHING_DATA", "short"),
        ("FARTHING_SERVER_DATA", "long"),
        ("PATH", "/bin"),
    ]);
    let loaded = load(None, &[], environment).unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "FARTHING_DATA and FARTHING_SERVER_DATA differ; FARTHING_DATA is used",
            "unknown variable FARTHING_LISTN is ignored; did you mean FARTHING_LISTEN?",
        ]
    );
    assert!(loaded.settings.risk.enabled);
    assert_eq!(loaded.settings.server.data, Path::new("short"));
}

#[test]
fn values_at_and_beyond_their_bounds() {
    for (variable, allowed, refused) in [
        ("FARTHING_LISTEN", "localhost:80", "localhost"),
        ("FARTHING_LISTEN", "0.0.0.0:0", "example.com:80"),
        ("FARTHING_SERVER_WORKERS", "1024", "1025"),
        ("FARTHING_TOKENS_ACCESS_TTL_SECONDS", "1", "0"),
        ("FARTHING_TOKENS_ACCESS_TTL_SECONDS", "86400", "86401"),
        ("FARTHING_PAYMENTS_DUPLICATE_WINDOW_SECONDS", "0", "-1"),
        ("FARTHING_RISK_ENABLED", "true", "yes"),
        ("FARTHING_LOG_LEVEL", "farthing::http=trace", "loud"),
        ("FARTHING_DATABASE_URL", "postgres:///ledger", "mysql://h/ledger"),
        ("FARTHING_SERVER_HOUSE_NAME", "Ⓗ", "a\nb"),
    ] {
        assert!(load(None, &[], variables(&[(variable, allowed)])).is_ok(), "{variable}={allowed}");
        assert!(load(None, &[], variables(&[(variable, refused)])).is_err(), "{variable}={refused}");
    }
}

#[test]
fn a_refresh_token_outlives_its_access_token() {
    let error = load(None, &[], variables(&[("FARTHING_TOKENS_REFRESH_TTL_SECONDS", "60")])).unwrap_err();
    assert!(error.to_string().contains("tokens.refresh_ttl_seconds (60) is shorter"), "{error}");
}

#[test]
fn no_output_repeats_the_password_of_a_url() {
    for (url, shown) in [
        ("postgres://ann:hunter2@db/ledger", "postgres://ann:***@db/ledger"),
        ("postgres://ann:hun@ter2@db/ledger", "postgres://ann:***@db/ledger"),
        ("postgres://ann:/hunter2@db:5432/l?sslmode=require", "postgres://ann:***@db:5432/l?sslmode=require"),
        ("postgres://ann:hunter2?x@db/ledger", "postgres://ann:***@…"),
        ("postgres://db/ledger?user=ann&password=hunter2", "postgres://db/ledger?user=***&password=***"),
        ("postgres://ann@db/ledger", "postgres://ann@db/ledger"),
    ] {
        let loaded = load(None, &[], variables(&[("FARTHING_DATABASE_URL", url)])).unwrap();
        let debug = format!("{loaded:?} {:#?}", loaded.settings);
        assert!(loaded.to_toml().contains(&format!("url = \"{shown}\"")), "{}", loaded.to_toml());
        assert!(!debug.contains("ter2") && !loaded.to_toml().contains("ter2"), "{debug}");
        assert_eq!(loaded.settings.database.url.unwrap().expose(), url);
    }
    for bad in ["mysql://ann:hunter2@db/l", "host=db password=hunter2", "postgres://ann:hunter2@db/a b"] {
        let error = load(None, &[], variables(&[("FARTHING_DATABASE_URL", bad)])).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn the_key_file_is_in_the_data_folder_unless_it_is_named() {
    let mut settings = Settings::default();
    assert_eq!(settings.key_file(), Path::new("farthing-data/farthing.key"));
    settings.database.key_file = Some(PathBuf::from("elsewhere.key"));
    assert_eq!(settings.key_file(), Path::new("elsewhere.key"));
}
