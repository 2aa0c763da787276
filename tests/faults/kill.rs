//! `kill -9` at random moments under sixteen clients.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::cast::Cast;
use crate::support::stories::{ALL_PLOTS, FOUR_EYES, Story};
use crate::support::{Random, Server, count};
use crate::world::{Load, World};

const LOAD: Load = Load { clients: 16, attempts: 100_000, goes_on: false };

/// Rounds on one data folder, before a fresh one is taken so that checking everything stays quick.
const ROUNDS_A_FOLDER: usize = 5;

#[test]
fn no_acknowledged_payment_is_lost_and_none_happens_twice() {
    let seed = Random::seed_of_this_run();
    let mut random = Random::new(seed);
    let (mut paid, mut unknown) = (0, 0);
    for _ in 0..count(50, 10_000).div_ceil(ROUNDS_A_FOLDER) {
        let mut server = Server::start();
        let mut world = World::new(&server, 16);
        for _ in 0..ROUNDS_A_FOLDER {
            let delay = Duration::from_millis(random.between(1, 500));
            world.load(&server, random.next(), LOAD, |answered| {
                while answered.load(Ordering::Relaxed) == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::thread::sleep(delay);
                server.signal("KILL");
            });
            unknown += world.unknown();
            server.wait(Duration::from_secs(10)).expect("killed");
            if random.one_in(4) {
                server.start_and_kill(Duration::from_millis(random.between(1, 200)));
            }
            server.start_again();
            world.settle(&server);
            server.verify();
        }
        paid += world.paid();
    }
    println!("{paid} payments acknowledged, {unknown} left unknown by a kill");
    assert!(paid > 0 && unknown > 0, "the kills hit nothing: {paid} paid, {unknown} unknown");
}

#[test]
fn no_step_of_a_payment_or_of_cash_is_lost_and_none_happens_twice() {
    let mut random = Random::new(Random::seed_of_this_run());
    let mut server = Server::builder().env(FOUR_EYES.0, FOUR_EYES.1).start();
    let cast = Cast::new(&server, 8);
    let mut told: Vec<Vec<Story>> = vec![Vec::new(); 8];
    let mut cut = 0;
    for round in 0..count(15, 2_000) {
        let delay = Duration::from_millis(random.between(50, 500));
        if round % 3 == 2 {
            // The worker has much to release when it is killed.
            cast.let_holds_lapse(&server);
        }
        cast.tell_while(&[server.address()], &ALL_PLOTS, &mut told, &mut random, |_| {
            std::thread::sleep(delay);
            server.signal("KILL");
        });
        server.wait(Duration::from_secs(10)).expect("killed");
        server.start_again();
        server.verify();
        cut += told.iter().filter(|stories| stories.last().is_some_and(|last| !last.is_over())).count();
        let mut client = server.client();
        for stories in &told {
            // Older ones were looked at after the kill before.
            for story in stories.iter().rev().take(20) {
                story.audit(&mut client);
            }
        }
    }
    cast.finish(&server, &mut told);
    server.verify();
    let of = |plot| told.iter().flatten().filter(|story| story.plot == plot).count();
    println!("{:?} stories told to their end, {cut} of them cut off by a kill", ALL_PLOTS.map(of));
    assert!(ALL_PLOTS.map(of).iter().all(|many| *many > 0) && cut > 0, "the kills hit nothing");
}
