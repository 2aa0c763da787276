//! `serve`: the banner, the lock, and the stop.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Request, Server};
use super::{ended, farthing};

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn standard_output_is_one_line_and_the_banner_can_be_pasted() {
    let mut server = Server::start();
    let banner = server.log();
    let line = |label: &str| {
        let line = banner.lines().find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label} in\n{banner}")).trim()
    };
    assert_eq!(line("address"), format!("http://{}", server.address()));
    assert_eq!(line("data folder"), server.data().to_str().unwrap());
    let link = format!("http://{}/console/first/", server.address());
    assert!(line("first admin").starts_with(&link), "{banner}");
    assert!(line("or ").ends_with(&format!("--data {}", server.data().display())), "{banner}");
    assert!(banner.contains("warning: rate limits and the login throttle are off"), "{banner}");

    let curl = line("try it");
    let start =
        format!("curl -sS http://{}/register -H 'Content-Type: application/json' -d '", server.address());
    let body = curl
        .strip_prefix(&start)
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or_else(|| panic!("{curl}"));
    let body: Value = serde_json::from_str(body).unwrap();
    server.client().post("/register", &body).expect(201);

    let address = server.address();
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(server.stdout(), format!("listening on http://{address}\n"));
}

#[test]
fn what_is_in_the_folder_is_for_its_owner_alone() {
    let server = Server::start();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.data()), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    for name in ["farthing.lock", "farthing.key", "control.sock"] {
        assert!(names.iter().any(|each| each == name), "no {name} in {names:?}");
    }
    let holder = std::fs::read_to_string(server.data().join("farthing.lock")).unwrap();
    assert_eq!(holder.trim(), server.pid().to_string());
}

#[test]
fn a_second_server_on_the_folder_ends_with_3_and_names_it() {
    let mut server = Server::start();
    let second = server.run(&["serve", "--listen", "127.0.0.1:0"]);
    let says = format!("the data folder {} is in use by process {}", server.data().display(), server.pid());
    ended(&second, 3, &says);
    server.kill();
    server.start_again();
    server.client().get("/healthz").expect(200);
}

#[test]
fn an_address_that_is_taken_ends_with_2_before_anything_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for args in [
        &["serve", "--listen", &address][..],
        // Without a command, the program serves.
        &["--listen", &address],
    ] {
        let output = farthing(folder.path(), &[], args);
        ended(&output, 2, &format!("cannot listen on {address}: "));
        assert_eq!(super::stdout(&output), "");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "something was made");
    let variables = [("FARTHING_METRICS_LISTEN", address.as_str())];
    let output = farthing(folder.path(), &variables, &["--listen", "127.0.0.1:0"]);
    ended(&output, 2, "choose another metrics.listen");
    assert_eq!(super::stdout(&output), "");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "something was made");
}

/// A request whose last byte is still to come; the server has its head and waits for it.
fn begin_request(server: &Server) -> (TcpStream, &'static [u8]) {
    let body = br#"{"email":"late@example.com","password":"seven quiet otters"}"#;
    let (now, later) = body.split_at(body.len() - 1);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /register HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        server.address(),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server says "continue" once it reads the body: from then on, the request is accepted.
    let mut word = [0; 25];
    stream.read_exact(&mut word).unwrap();
    assert!(word.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&word));
    stream.write_all(now).unwrap();
    (stream, later)
}

#[test]
fn a_stop_answers_what_was_accepted() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let (mut stream, rest) = begin_request(&server);
        server.signal(signal);
        let refused = || server.client().send(&Request::get("/healthz")).is_err();
        while !refused() {
            std::thread::sleep(Duration::from_millis(5));
        }
        stream.write_all(rest).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "SIG{signal}: {answer}");
        assert_eq!(server.wait(PATIENCE).and_then(|status| status.code()), Some(0));
        assert!(!server.data().join("control.sock").exists(), "the control socket goes with the server");
        server.verify();
    }
}

/// Half of a command to the control socket, of whose connection the server knows.
fn begin_command(server: &Server, line: &str) -> UnixStream {
    let connect = || {
        let stream = UnixStream::connect(server.data().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut stream = connect();
    stream.write_all(&line.as_bytes()[..10]).unwrap();
    // Connections are accepted one after another: once a later one is answered, this one is known.
    let mut later = connect();
    later.write_all(b"\n").unwrap();
    let mut answer = String::new();
    later.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("{\"failed\":"), "{answer}");
    stream
}

#[test]
fn a_stop_answers_the_command_that_was_begun() {
    let mut server = Server::embedded().start();
    let command = json!({"command": {"create_user": {
        "email": "ann@example.com", "name": null, "role": "admin", "password": "nineteen teal kayaks"}}});
    let line = format!("{command}\n");
    let mut stream = begin_command(&server, &line);
    server.signal("TERM");
    while server.data().join("control.sock").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    stream.write_all(&line.as_bytes()[10..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    assert_eq!(answer["user"]["email"], "ann@example.com", "{answer}");
    assert_eq!(server.wait(PATIENCE).and_then(|status| status.code()), Some(0));
    let users = super::stdout(&server.run(&["admin", "list"]));
    assert!(users.contains("ann@example.com"), "what was answered was done:\n{users}");
}

#[test]
fn an_operators_name_is_held_to_the_rules_of_any_name() {
    let server = Server::embedded().start();
    for name in ["a\0b", "a\u{1b}[2Jb", &"n".repeat(101)] {
        let command = json!({"command": {"create_user": {
            "email": "ann@example.com", "name": name, "role": "admin", "password": "nineteen teal kayaks"}}});
        let mut stream = begin_command(&server, &format!("{command}\n"));
        stream.write_all(&format!("{command}\n").as_bytes()[10..]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("{\"refused\":") && answer.contains("the name"), "{name:?}: {answer}");
    }
    let output = server.run(&["admin", "create", "--email", "ann@example.com", "--name", "a\u{1b}[2Jb"]);
    ended(&output, 1, "the name must have at most 100 characters");
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut server = Server::start();
    let (_stream, _) = begin_request(&server);
    server.signal("TERM");
    while !server.log().contains("a second signal stops at once") {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal("TERM");
    assert_eq!(server.wait(PATIENCE).and_then(|status| status.code()), Some(0));
    assert!(server.log().contains("stopped at once"), "{}", server.log());
    server.verify();
}

#[test]
fn a_ledger_opens_only_with_its_key_and_kept_from_others() {
    let mut server = Server::start();
    server.terminate();
    let key = server.data().join("farthing.key");
    let serve = || server.run(&["serve", "--listen", "127.0.0.1:0"]);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    ended(&serve(), 3, "can be read by others; chmod 600 mends that");
    std::fs::remove_file(&key).unwrap();
    ended(&serve(), 3, "copy the key file of this ledger to");
    assert!(!key.exists(), "a ledger that lost its key gets no other");
}
