//! Clocks that jump: forward, and back behind what is written already.

use std::path::{Path, PathBuf};

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PASSWORD, Random, Request, Server, until};
use crate::world::{Load, World};

const LOAD: Load = Load { clients: 8, attempts: 10, goes_on: false };
const JUMPS: [&str; 7] = ["+3600", "-3600", "+0", "+72000", "-86400", "+10", "+0"];

/// A clock that a file sets, in seconds beside the right time.
struct SetClock {
    folder: TempDir,
}

impl SetClock {
    fn new() -> Self {
        let clock = Self { folder: TempDir::new().unwrap() };
        clock.set("+0");
        clock
    }

    fn set(&self, offset: &str) {
        // In one step, so that nobody reads half of it.
        let (new, file) = (self.folder.path().join("new"), self.file());
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// A server that lives by it. Uptime stays what it is.
    fn server(&self) -> crate::support::server::Builder {
        Server::embedded()
            .env("LD_PRELOAD", &library())
            .env("FAKETIME_TIMESTAMP_FILE", self.file().to_str().unwrap())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}

fn library() -> String {
    let found = ["/usr/lib", "/usr/lib64"].into_iter().flat_map(|folder| {
        let folders = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.chain([PathBuf::from(folder)]).map(|folder| folder.join("faketime/libfaketime.so.1"))
    });
    let found = found.into_iter().find(|path| Path::exists(path));
    found.expect("libfaketime is installed (Debian: faketime)").to_str().unwrap().to_owned()
}

#[test]
fn the_ledger_stays_in_order_while_its_clock_jumps() {
    let mut random = Random::new(Random::seed_of_this_run());
    let clock = SetClock::new();
    // Sessions outlive the jumps: this is about the journal.
    let mut server = clock.server().env("FARTHING_TOKENS_ACCESS_TTL_SECONDS", "86400").start();
    let mut world = World::new(&server, 8);
    for (round, jump) in JUMPS.into_iter().enumerate() {
        clock.set(jump);
        world.load_to_the_end(&server, random.next(), LOAD);
        assert_eq!(world.unknown(), 0, "a clock is no fault ({jump})");
        world.audit(&server);
        if round % 2 == 1 {
            server.kill();
            server.start_again();
        }
        // That no time in the journal is before one above it, too.
        server.verify();
    }
    // Who was registered under a clock that ran ahead can still log in, and pay.
    let late = server.user("latecomer");
    let payment = Request::post("/payment", &json!({"amount": "1", "currency": "USD"}));
    server.client().call(&payment.bearer(&late.token)).expect(201);
    server.verify();
}

#[test]
fn what_has_expired_stays_so_when_the_clock_is_set_back() {
    let clock = SetClock::new();
    let mut server = clock.server().start();
    let ada = server.user("ada");
    let me = Request::get("/me").bearer(&ada.token);
    let pay = Request::post("/payment", &json!({"amount": "1", "currency": "USD"})).bearer(&ada.token);
    server.client().call(&me).expect(200);
    clock.set("+3600");
    server.client().call(&me).problem(401, "token_expired");
    clock.set("-3600");
    server.client().call(&me).problem(401, "token_expired");
    server.client().call(&pay).problem(401, "token_expired");

    // Who logs in now gets a token of the usual length, by the time that passes.
    let login = json!({"email": ada.email, "password": PASSWORD});
    let token = server.client().post("/login", &login).expect(200).str("access_token");
    let me_again = Request::get("/me").bearer(&token);
    server.client().call(&me_again).expect(200);
    // The journal remembers how late it was when a server starts with a clock that is behind.
    server.kill();
    server.start_again();
    server.client().call(&me).problem(401, "token_expired");
    server.client().call(&pay).problem(401, "token_expired");
    server.client().call(&me_again).expect(200);
    server.verify();
}

#[test]
fn a_duplicate_is_one_for_a_minute_whatever_the_clock_does() {
    let clock = SetClock::new();
    let server = clock.server().env("FARTHING_PAYMENTS_DUPLICATE_WINDOW_SECONDS", "3").start();
    let mut ada = server.user("ada");
    let coffee = json!({"amount": "3", "currency": "USD", "description": "coffee"});
    ada.pay(&coffee).expect(201);
    clock.set("-86400");
    ada.pay(&coffee).problem(409, "duplicate_payment");
    // The window ends by the time that passes, though the clock stands a day before the payment.
    std::thread::sleep(Duration::from_secs(4));
    ada.pay(&coffee).expect(201);
    server.verify();
}

/// Four daily runs, and one that happens once: nobody was there for them, and who makes up for them is killed at it.
#[test]
fn runs_that_were_due_while_no_server_ran_are_done_as_their_schedules_say() {
    let clock = SetClock::new();
    let mut server = clock.server().start();
    let mut ada = server.user("ada");
    let in_an_hour = Command::new("date").args(["-u", "-d", "+1 hour", "+%FT%TZ"]).output().unwrap();
    let at = String::from_utf8(in_an_hour.stdout).unwrap().trim().to_owned();
    let policies = ["skip", "run_once", "run_all"];
    let made = policies.map(|missed| {
        [Some("FREQ=DAILY;COUNT=10"), None].map(|rule| {
            let what = format!("{missed} {}", rule.unwrap_or("once"));
            let body = json!({"amount": "1", "currency": "USD", "description": what, "at": at, "rrule": rule,
                "missed": missed});
            (ada.client.post("/schedules", &body).expect(201).str("id"), what)
        })
    });
    server.kill();
    // Half a day after the fourth.
    clock.set("+302400");
    for delay_ms in [300, 500, 700, 900] {
        server.start_and_kill(Duration::from_millis(delay_ms));
    }
    for _ in 0..2 {
        server.start_again();
        let mut ada = ada.log_in_again(server.client());
        let mut told = |id: &str| ada.client.get(&format!("/schedules/{id}")).expect(200).json();
        until("every schedule was looked at", || {
            let [skip, once, all] =
                made.each_ref().map(|of_policy| of_policy.each_ref().map(|(id, _)| told(id)));
            let is_over = |[rule, single]: &[Value; 2]| {
                rule["next_at"] == all[0]["next_at"] && single["status"] == "done"
            };
            all[0]["runs"] == 4
                && skip[0]["last"] != json!(null)
                && [&skip, &once, &all].into_iter().all(is_over)
        });
        // Nothing more is made up for in the rounds that follow.
        std::thread::sleep(Duration::from_millis(1_500));
        let outcomes = made.each_ref().map(|[(rule, _), (single, _)]| {
            [rule, single].map(|id| {
                let schedule = told(id);
                (schedule["runs"].as_u64().unwrap(), schedule["last"]["outcome"].as_str().unwrap().to_owned())
            })
        });
        let expected = |runs: [u64; 2], outcome: &str| runs.map(|runs| (runs, outcome.to_owned()));
        assert_eq!(
            outcomes,
            [expected([0, 0], "skipped"), expected([1, 1], "paid"), expected([4, 1], "paid")]
        );
        let paid = ada.list("/payments");
        let count = |what: &str| paid.iter().filter(|payment| payment["description"] == what).count();
        let counts = made.each_ref().map(|of_policy| of_policy.each_ref().map(|(_, what)| count(what)));
        assert_eq!(counts, [[0, 0], [1, 1], [4, 1]]);
        assert_eq!(ada.balance("USD"), 100_000 - 7 * 100);
        assert!(server.terminate().success());
        server.verify();
    }
}
