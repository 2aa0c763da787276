//! Connections cut around the COMMIT; PostgreSQL, one of its backends, and a node killed, while payments, cash and schedules go on
//! in steps.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::cast::Cast;
use crate::support::postgres::{Postgres, Stop};
use crate::support::proxy::Proxy;
use crate::support::stories::{ALL_PLOTS, FOUR_EYES, Story};
use crate::support::{Random, Request, Server, count, until};

/// As many people as tell stories at once.
const PEOPLE: usize = 8;

fn nothing_told() -> Vec<Vec<Story>> {
    vec![Vec::new(); PEOPLE]
}

/// How many stories there are of each plot; of each there must be some.
fn check_told(told: &[Vec<Story>]) {
    let of = |plot| told.iter().flatten().filter(|story| story.plot == plot).count();
    println!("{:?} stories told to their end", ALL_PLOTS.map(of));
    assert!(ALL_PLOTS.map(of).iter().all(|many| *many > 0), "some plot was never told");
}

#[test]
fn a_commit_whose_answer_is_lost_happens_once() {
    let seed = Random::seed_of_this_run();
    let database = Postgres::shared().database();
    let proxy = Proxy::start(Postgres::shared().address(), seed);
    let server = Server::embedded()
        .env(FOUR_EYES.0, FOUR_EYES.1)
        .env("FARTHING_DATABASE_URL", &database.url_at(proxy.address()))
        .env("FARTHING_DATABASE_MIGRATION_URL", &database.migration_url())
        .start();
    let (cast, mut told) = (Cast::new(&server, PEOPLE), nothing_told());
    proxy.cut_one_in(5);
    let wanted = count(200, 10_000);
    cast.tell_while(&[server.address()], &ALL_PLOTS, &mut told, &mut Random::new(seed), |_| {
        while proxy.count() < wanted {
            std::thread::sleep(Duration::from_millis(10));
        }
        proxy.cut_one_in(0);
    });
    cast.finish(&server, &mut told);
    println!("{:?}", proxy.cuts);
    check_told(&told);
    server.verify();
}

#[test]
fn postgres_and_its_backends_may_be_killed() {
    let mut random = Random::new(Random::seed_of_this_run());
    let postgres = Postgres::own();
    let database = postgres.database();
    let url = database.url();
    let server = Server::embedded()
        .env(FOUR_EYES.0, FOUR_EYES.1)
        .env("FARTHING_DATABASE_URL", &url)
        .env("FARTHING_DATABASE_MIGRATION_URL", &database.migration_url())
        .start();
    let (cast, mut told) = (Cast::new(&server, PEOPLE), nothing_told());
    let mut seeds = Random::new(random.next());
    cast.tell_while(&[server.address()], &ALL_PLOTS, &mut told, &mut seeds, |answered| {
        for round in 0..count(4, 2_000) {
            std::thread::sleep(Duration::from_millis(random.between(100, 500)));
            // Stories may have gone on once more before it noticed that a backend was killed.
            until("PostgreSQL has recovered", || postgres.accepts());
            match round % 4 {
                0 => {
                    postgres.kill_backend(&database);
                }
                1 => {
                    database.terminate_backends();
                }
                2 => {
                    postgres.kill();
                    // While there is no database, everybody is told so, and soon.
                    let answer = server.client().get("/readyz");
                    assert!([200, 503].contains(&answer.status), "{answer}");
                    until("the node is not ready", || server.client().get("/readyz").status == 503);
                    server
                        .client()
                        .call(&Request::get("/me").bearer(&cast.people[0].token))
                        .problem(503, "unavailable");
                    postgres.start();
                }
                _ => {
                    postgres.stop(Stop::Immediate);
                    postgres.start();
                }
            }
            server.wait_until_ready();
            let before = answered.load(Ordering::Relaxed);
            until("stories go on", || answered.load(Ordering::Relaxed) > before);
        }
    });
    cast.finish(&server, &mut told);
    check_told(&told);
    server.verify();
}

#[test]
fn a_node_may_be_killed_under_load() {
    let mut random = Random::new(Random::seed_of_this_run());
    let database = Postgres::shared().database();
    let with = |name, value| Server::embedded().env(name, value);
    let mut server = with(FOUR_EYES.0, FOUR_EYES.1).database(database).start();
    let other = with(FOUR_EYES.0, FOUR_EYES.1).database(server.shared_database().unwrap());
    let other = other.data(server.data()).start();
    let (cast, mut told) = (Cast::new(&server, PEOPLE), nothing_told());
    for _ in 0..count(5, 2_000) {
        let nodes = [server.address(), other.address()];
        let delay = Duration::from_millis(random.between(50, 400));
        let mut seeds = Random::new(random.next());
        cast.tell_while(&nodes, &ALL_PLOTS, &mut told, &mut seeds, |answered| {
            until("something is answered", || answered.load(Ordering::Relaxed) > 0);
            std::thread::sleep(delay);
            server.kill();
            // The other node goes on, and answers for what this one left.
            let before = answered.load(Ordering::Relaxed);
            until("the other node goes on", || answered.load(Ordering::Relaxed) > before + 16);
        });
        server.start_again();
    }
    cast.finish(&other, &mut told);
    check_told(&told);
    other.verify();
}
