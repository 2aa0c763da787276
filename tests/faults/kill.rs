//! `kill -9` at random moments under sixteen clients.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::stories::{self, PLOTS, Person, Story};
use crate::support::{Client, Random, Server, count};
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

/// Goes on with a story and begins others, until the server is gone: what was begun, the last of it perhaps not over.
fn tell(
    mut begun: Vec<Story>,
    people: &[Person],
    number: usize,
    client: &mut Client,
    random: &mut Random,
) -> Vec<Story> {
    loop {
        if begun.last().is_none_or(Story::is_over) {
            let (payer, payee) = (&people[number], &people[(number + 1) % people.len()]);
            let plot = PLOTS[random.below(PLOTS.len())];
            begun.push(Story::new(format!("{number}/{}", begun.len()), plot, payer, payee));
        }
        let story = begun.last_mut().unwrap();
        let Ok(answer) = client.send(&story.next()) else { return begun };
        if !story.take(&answer) {
            return begun;
        }
        if random.one_in(4) {
            story.check_again(client);
        }
    }
}

#[test]
fn no_step_of_a_payment_is_lost_and_none_happens_twice() {
    let mut random = Random::new(Random::seed_of_this_run());
    let mut server = Server::builder().with_lasting_tokens().start();
    let people = stories::people(&server, 8);
    let mut told: Vec<Vec<Story>> = people.iter().map(|_| Vec::new()).collect();
    let mut cut = 0;
    for _ in 0..count(15, 2_000) {
        let delay = Duration::from_millis(random.between(50, 500));
        told = std::thread::scope(|scope| {
            let threads: Vec<_> = told
                .drain(..)
                .enumerate()
                .map(|(number, begun)| {
                    let (people, mut client) = (&people, server.client());
                    let mut random = Random::new(random.next());
                    scope.spawn(move || tell(begun, people, number, &mut client, &mut random))
                })
                .collect();
            std::thread::sleep(delay);
            server.signal("KILL");
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
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
    let mut client = server.client();
    for story in told.iter_mut().filter_map(|stories| stories.last_mut()) {
        while !story.is_over() {
            let answer = client.call(&story.next());
            assert!(story.take(&answer), "{answer}");
        }
    }
    let all = told.concat();
    for story in &all {
        story.audit(&mut client);
    }
    stories::audit_balances(&server, &people, &all);
    server.verify();
    println!("{} stories told to their end, {cut} of them cut off by a kill", all.len());
    assert!(all.len() > people.len() && cut > 0, "the kills hit nothing");
}
