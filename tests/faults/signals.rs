//! Asking to stop, pausing, and running out of file handles and of memory, all under load.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{PASSWORD, Random, Request, Server, count};
use crate::world::{Load, World};

/// What the program promises for a graceful stop.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

fn after(answers: usize) -> impl FnOnce(&std::sync::atomic::AtomicUsize) {
    move |answered| {
        while answered.load(Ordering::Relaxed) < answers {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn every_accepted_request_is_answered_before_the_server_stops() {
    let mut random = Random::new(Random::seed_of_this_run());
    let mut server = Server::builder().with_lasting_tokens().start();
    let mut world = World::new(&server, 16);
    for _ in 0..count(5, 100) {
        let load = Load { clients: 16, attempts: 100_000, goes_on: false };
        let answers = usize::try_from(random.between(20, 400)).unwrap();
        let start = world.load(&server, random.next(), load, |answered| {
            after(answers)(answered);
            server.signal("TERM");
            let start = Instant::now();
            // The clients end by themselves, each when its connection does.
            while !server.has_ended() && start.elapsed() < STOPS_WITHIN {
                std::thread::sleep(Duration::from_millis(5));
            }
            start
        });
        let status = server.wait(Duration::from_secs(1)).expect("it stops within ten seconds");
        assert!(status.success() && start.elapsed() < STOPS_WITHIN + Duration::from_secs(1), "{status}");
        server.start_again();
        // A request whose connection was closed unread had no effect; if it had one, it was owed an answer.
        let existing = world.existing(&server);
        for entry in world.book.iter().filter(|entry| entry.fate.is_open()) {
            assert!(!existing.contains_key(&entry.attempt.key), "accepted and not answered: {entry:?}");
        }
        world.settle(&server);
        server.verify();
    }
}

#[test]
fn a_slow_answer_is_still_given_when_the_server_stops() {
    let mut server = Server::start();
    let mut ada = server.user("ada");
    for signal in ["TERM", "INT"] {
        let mut client = server.client().with_token(&ada.token);
        let request =
            Request::post("/topup", &json!({"amount": "5", "currency": "USD", "method": "sim_slow"}));
        client.connect().unwrap();
        let status = std::thread::scope(|scope| {
            let slow = scope.spawn(move || client.send(&request.key(signal)));
            // Long enough for the request to be read, short of the three seconds that the answer takes.
            std::thread::sleep(Duration::from_secs(1));
            server.signal(signal);
            let response = slow.join().unwrap().expect("an accepted request is answered");
            assert!([200, 201].contains(&response.status), "{response}");
            server.wait(STOPS_WITHIN)
        });
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
        server.start_again();
    }
    ada.client = server.client().with_token(&ada.token);
    assert_eq!(ada.balance("USD"), 101_000);
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let mut server = Server::start();
    let mut idle: Vec<_> = (0..20).map(|_| server.client()).collect();
    for client in &mut idle {
        client.get("/healthz").expect(200);
    }
    // Half a request, too.
    let mut half = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut half, b"POST /payment HTTP/1.1\r\nHost: x\r\nContent-Le").unwrap();
    server.signal("TERM");
    let status = server.wait(STOPS_WITHIN).expect("it stops within ten seconds");
    assert!(status.success(), "{status}");
}

#[test]
fn a_pause_loses_nothing() {
    let mut server = Server::start();
    let mut world = World::new(&server, 8);
    let load = Load { clients: 8, attempts: 100_000, goes_on: false };
    world.load(&server, 1, load, |answered| {
        after(50)(answered);
        server.signal("STOP");
        std::thread::sleep(Duration::from_secs(5));
        server.signal("CONT");
        let so_far = answered.load(Ordering::Relaxed);
        after(so_far + 50)(answered);
    });
    assert_eq!(world.unknown(), 0, "a pause is no fault");
    world.audit(&server);
    server.kill();
    server.start_again();
    world.audit(&server);
    server.verify();
}

#[test]
fn running_out_of_file_handles_is_survived() {
    let server = Server::builder().behind(&["prlimit", "--nofile=80:80"]).start();
    let mut world = World::new(&server, 2);
    let mut hoard: Vec<_> = (0..150).map(|_| server.client()).collect();
    for client in &mut hoard {
        // The kernel takes the connection though the program cannot.
        client.connect().unwrap();
    }
    // Those that got in are still served.
    let served = hoard[0].send(&Request::get("/healthz")).expect("the first connection got in");
    assert_eq!(served.status, 200, "{served}");
    drop(hoard);
    server.wait_until_ready();
    world.load_to_the_end(&server, 1, Load { clients: 4, attempts: 50, goes_on: false });
    assert_eq!(world.unknown(), 0);
    world.audit(&server);
    server.verify();
}

/// How much more than it has a server may get, in MiB: a hash of a password needs 19.
const MEMORY_LEFT_MIB: [u64; 3] = [0, 2, 25];
/// How often all of them are tried until one kills the server.
const MEMORY_ROUNDS: usize = 5;

#[test]
fn running_out_of_memory_loses_nothing() {
    let mut random = Random::new(Random::seed_of_this_run());
    // With a limit from the beginning, no room is set aside for later.
    let mut server = Server::builder().behind(&["prlimit", "--as=314572800:"]).start();
    let mut world = World::new(&server, 8);
    let mut died = 0;
    // What was freed before may be enough for once.
    for left in MEMORY_LEFT_MIB.into_iter().cycle().take(MEMORY_ROUNDS * MEMORY_LEFT_MIB.len()) {
        limit_memory(&server, &(mapped_bytes(&server) + (left << 20)).to_string());
        let load = Load { clients: 16, attempts: 15, goes_on: false };
        world.load(&server, random.next(), load, |_| register_a_crowd(&server));
        if !server.has_ended() {
            limit_memory(&server, "unlimited");
        }
        // What found no memory may also end it just before the limit is lifted.
        if !server.is_ready_before_it_ends() {
            died += 1;
            server.wait(Duration::from_secs(1));
            server.start_again();
        }
        world.settle_and_audit(&mut server);
        if died > 0 && left == MEMORY_LEFT_MIB[MEMORY_LEFT_MIB.len() - 1] {
            break;
        }
    }
    assert!(died > 0, "no limit was too low");
}

/// Sixteen registrations at once, whose passwords are hashed; whether they are answered is not the question.
fn register_a_crowd(server: &Server) {
    std::thread::scope(|scope| {
        for number in 0..16 {
            let body = json!({"email": format!("crowd{number}@example.org"), "password": PASSWORD});
            let mut client = server.client();
            scope.spawn(move || client.send(&Request::post("/register", &body)).map(|answer| answer.status));
        }
    });
}

fn mapped_bytes(server: &Server) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4_096
}

fn limit_memory(server: &Server, bytes: &str) {
    let (pid, limit) = (server.pid().to_string(), format!("--as={bytes}:"));
    let status = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(status.success(), "prlimit: {status}");
}
