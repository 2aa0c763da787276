//! The way to the database: TLS, what `sslmode` promises, with certificates made for the test; and the socket of a database
//! on the same machine, which has none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::postgres::{OwnPostgres, Postgres, unprivileged};
use crate::support::{Server, User, until};

/// Certificates: an authority, another one, and a server certificate of the first for `localhost`.
fn certificates() -> TempDir {
    let folder = TempDir::new().unwrap();
    let openssl = |arguments: &[&str]| {
        let output =
            Command::new("openssl").args(arguments).current_dir(folder.path()).stdin(Stdio::null()).output();
        let output = output.expect("openssl is installed");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    for authority in ["ours", "other"] {
        let (name, certificate) = (format!("/CN={authority}"), format!("{authority}.crt"));
        let private = format!("{authority}.key");
        let request =
            ["req", "-x509", "-days", "2", "-subj", &name, "-keyout", &private, "-out", &certificate];
        openssl(&[&request[..], &key].concat());
    }
    let request = ["req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&request[..], &key].concat());
    fs::write(folder.path().join("extensions"), "subjectAltName = DNS:localhost\n").unwrap();
    let sign = ["x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ours.crt", "-CAkey", "ours.key"];
    let rest = ["-CAcreateserial", "-extfile", "extensions", "-out", "server.crt"];
    openssl(&[&sign[..], &rest].concat());
    folder
}

fn use_certificate(postgres: &OwnPostgres, certificates: &Path) {
    for name in ["server.crt", "server.key"] {
        let file = postgres.data().join(name);
        fs::copy(certificates.join(name), &file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = unprivileged() {
            std::os::unix::fs::chown(&file, Some(user), Some(group)).unwrap();
        }
    }
    postgres.query("ALTER SYSTEM SET ssl = on").unwrap();
    postgres.query("SELECT pg_reload_conf()").unwrap();
    until("TLS is on", || postgres.query("SHOW ssl").is_ok_and(|value| value == "on"));
}

#[test]
fn each_mode_checks_what_it_promises() {
    let (postgres, certificates) = (Postgres::own(), certificates());
    let database = postgres.database();
    let mut plain = Server::embedded()
        .env("FARTHING_DATABASE_URL", &database.url())
        .env("FARTHING_DATABASE_MIGRATION_URL", &database.migration_url())
        .start();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE datname = current_database() AND application_name = 'farthing' AND ssl";
    let unencrypted = encrypted.replace("AND ssl", "AND NOT ssl");
    let ask = |sql: &str| database.query(sql).unwrap().parse::<u32>().unwrap();
    assert_eq!((ask(encrypted), ask(&unencrypted) > 0), (0, true), "before, for comparison");
    let data = plain.data().to_owned();
    let file = |name: &str| certificates.path().join(name).to_str().unwrap().to_owned();
    let serve = |host: &str, query: &str| {
        let at = |url: String| url.replace("127.0.0.1", host).replace("sslmode=disable", query);
        let mut server = Server::embedded()
            .env("FARTHING_DATABASE_URL", &at(database.url()))
            .env("FARTHING_DATABASE_MIGRATION_URL", &at(database.migration_url()))
            .data(&data)
            .stopped();
        let started = server.try_start_again();
        (server, started)
    };
    // A server without TLS is not taken for one with it.
    let (server, started) = serve("localhost", "sslmode=require");
    assert_eq!(started.unwrap_err().and_then(|status| status.code()), Some(3), "{}", server.log());
    drop(server);
    plain.terminate();

    use_certificate(&postgres, certificates.path());
    let (ours, other) = (file("ours.crt"), file("other.crt"));
    for (host, query, is_served) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ours}"), true),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={ours}"), true),
        ("localhost", "sslmode=require".to_owned(), true),
        ("localhost", "sslmode=prefer".to_owned(), true),
        // The certificate is for another name.
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ours}"), false),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ours}"), true),
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        // The certificate is by an authority that is not trusted.
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), false),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), false),
        ("localhost", format!("sslmode=require&sslrootcert={other}"), false),
        ("localhost", "sslmode=verify-full".to_owned(), false),
        ("localhost", "sslmode=verify-full&sslrootcert=system".to_owned(), false),
        ("localhost", format!("sslmode=verify-full&sslrootcert={}", file("nothing.crt")), false),
        ("localhost", "sslmode=always".to_owned(), false),
    ] {
        let (mut server, started) = serve(host, &query);
        assert_eq!(started.is_ok(), is_served, "{host} {query}: {}", server.log());
        if is_served {
            assert!(ask(encrypted) > 0, "{host} {query}");
            assert_eq!(ask(&unencrypted), 0, "{host} {query}");
            server.client().get("/readyz").expect(200);
            server.terminate();
        } else {
            assert_eq!(started.unwrap_err().and_then(|status| status.code()), Some(3), "{}", server.log());
            assert!(!server.log().contains("_server:"), "it told the password: {}", server.log());
        }
    }
}

#[test]
fn a_database_on_the_same_machine_is_reached_by_its_socket() {
    let postgres = Postgres::own();
    let database = postgres.database();
    let folder = postgres.data().parent().unwrap().to_str().unwrap().replace('/', "%2F");
    let serve = |query: &str| {
        let at = |url: String| url.replace("127.0.0.1", &folder).replace("sslmode=disable", query);
        let mut server = Server::embedded()
            .env("FARTHING_DATABASE_URL", &at(database.url()))
            .env("FARTHING_DATABASE_MIGRATION_URL", &at(database.migration_url()))
            .stopped();
        let started = server.try_start_again();
        (server, started)
    };
    let (mut server, started) = serve("");
    assert!(started.is_ok(), "{}", server.log());
    User::register(server.client(), "ada");
    let through = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = \
                   'farthing' AND client_addr IS";
    let ask = |what: &str| database.query(&format!("{through} {what}")).unwrap().parse::<u32>().unwrap();
    assert_eq!((ask("NOT NULL"), ask("NULL") > 0), (0, true));
    server.terminate();

    // Who asks for TLS is not served without it, here either.
    let (server, started) = serve("sslmode=require");
    assert_eq!(started.unwrap_err().and_then(|status| status.code()), Some(3), "{}", server.log());
}
