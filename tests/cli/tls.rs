//! TLS of the server's own: who may speak it, and a certificate that is renewed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::support::{PASSWORD, Request, Server};

/// A certificate for this machine in files of its own.
struct Certificate {
    folder: TempDir,
}

impl Certificate {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn paths(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("certificate.pem"), self.folder.path().join("key.pem"))
    }

    /// Makes a new one, and gives what a client trusts it by.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = self.paths();
        write_pem(&certificate, "CERTIFICATE", made.cert.der());
        write_pem(&key, "PRIVATE KEY", &made.signing_key.serialize_der());
        made.cert.der().clone()
    }

    fn server(&self) -> Server {
        let (certificate, key) = self.paths();
        Server::builder()
            .env("FARTHING_TLS_CERTIFICATE", certificate.to_str().unwrap())
            .env("FARTHING_TLS_KEY", key.to_str().unwrap())
            .start()
    }
}

fn write_pem(path: &Path, label: &str, der: &[u8]) {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    std::fs::write(path, format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")).unwrap();
}

/// Asks for `/healthz` in TLS of this version.
fn ask(
    server: &Server,
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<String> {
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    exchange(server, trusted, versions, request)
}

/// Sends a request in TLS, and gives the whole answer.
fn exchange(
    server: &Server,
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    request: &str,
) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    let mut socket = TcpStream::connect(server.address())?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    stream.write_all(request.as_bytes())?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}

#[test]
fn https_is_served_and_browsers_are_told_to_stay() {
    let certificate = Certificate::new();
    let trusted = certificate.renew();
    let server = certificate.server();
    assert!(server.stdout().contains("listening on https://"), "{}", server.stdout());
    for version in [&TLS12, &TLS13] {
        let said = ask(&server, &trusted, &[version]).unwrap();
        assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
        assert!(said.contains("strict-transport-security: max-age=63072000; includeSubDomains"), "{said}");
    }
    let stranger = Certificate::new().renew();
    assert!(ask(&server, &stranger, &[&TLS13]).is_err(), "the certificate is the server's own");
}

#[test]
fn a_payment_link_begins_with_https() {
    let certificate = Certificate::new();
    let trusted = certificate.renew();
    let server = certificate.server();
    let post = |path: &str, token: &str, body: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        exchange(&server, &trusted, &[&TLS13], &request).unwrap()
    };
    let account = format!("{{\"email\":\"ada@example.org\",\"password\":\"{PASSWORD}\"}}");
    post("/register", "", &account);
    let login = post("/login", "", &account);
    let (_, rest) = login.split_once("\"access_token\":\"").expect("a token");
    let token = format!("Authorization: Bearer {}\r\n", rest.split('"').next().unwrap());
    let made = post("/requests", &token, "{\"amount\":\"1\",\"currency\":\"USD\"}");
    assert!(made.contains("\"url\":\"https://localhost/pay/plk_"), "{made}");
}

#[test]
fn plain_http_is_told_what_is_spoken_and_is_not_led_on() {
    let certificate = Certificate::new();
    certificate.renew();
    let server = certificate.server();
    let answer = server.client().call(&Request::get("/healthz")).problem(400, "malformed_request");
    assert!(answer.text().contains("https://"), "{answer}");
    assert_eq!(answer.header("location"), None, "{answer}");
}

#[test]
fn old_tls_is_refused() {
    let certificate = Certificate::new();
    certificate.renew();
    let server = certificate.server();
    // A hello of TLS 1.1, which says that it can speak nothing newer.
    let mut hello = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(&hello).unwrap();
    let mut said = Vec::new();
    socket.read_to_end(&mut said).unwrap();
    // An alert, fatal: protocol version (RFC 8446 6.2), or a hello that cannot be read.
    assert_eq!((said[0], said[5]), (21, 2), "{said:?}");
    assert!([70, 40, 50].contains(&said[6]), "{said:?}");
}

#[test]
fn a_handshake_that_never_comes_is_cut_off() {
    let certificate = Certificate::new();
    certificate.renew();
    let (path, key) = certificate.paths();
    let server = Server::builder()
        .env("FARTHING_TLS_CERTIFICATE", path.to_str().unwrap())
        .env("FARTHING_TLS_KEY", key.to_str().unwrap())
        .env("FARTHING_SERVER_HEAD_TIMEOUT_SECONDS", "1")
        .start();
    for sent in [&b""[..], b"\x16\x03\x01"] {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(sent).unwrap();
        assert_eq!(socket.read(&mut [0; 16]).unwrap_or(0), 0);
    }
}

#[test]
fn a_renewed_certificate_is_read_while_it_serves() {
    let certificate = Certificate::new();
    let old = certificate.renew();
    let server = certificate.server();
    ask(&server, &old, &[&TLS13]).unwrap();
    // A pair that does not go together changes nothing.
    let (path, key) = certificate.paths();
    let other = Certificate::new();
    other.renew();
    std::fs::copy(other.paths().0, &path).unwrap();
    wait_for("a warning", || server.log().contains("the certificate stays as it was"));
    ask(&server, &old, &[&TLS13]).unwrap();
    std::fs::remove_file(&key).unwrap();
    let new = certificate.renew();
    wait_for("the new certificate", || ask(&server, &new, &[&TLS13]).is_ok());
    assert!(ask(&server, &old, &[&TLS13]).is_err());
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what} did not come");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_is_no_certificate_stops_the_start() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nothing.pem");
    let serve = || {
        let server = Server::builder()
            .env("FARTHING_TLS_CERTIFICATE", path.to_str().unwrap())
            .env("FARTHING_TLS_KEY", path.to_str().unwrap())
            .stopped();
        let output = server.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(!server.data().exists(), "a mistake leaves nothing behind");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = serve();
    assert!(said.contains("cannot read") && said.contains("nothing.pem"), "{said}");
    std::fs::write(&path, "nothing").unwrap();
    let said = serve();
    assert!(said.contains("holds no certificate in PEM"), "{said}");
}
