//! A disk that takes the bytes and cannot keep them: `fsync` and writes that fail.

use crate::strace::Tracer;
use crate::support::until;
use crate::support::{Random, Request, Server};
use crate::world::{Load, World};

const SYNC: &str = "fsync,fdatasync";
const LOAD: Load = Load { clients: 8, attempts: 20, goes_on: true };

#[test]
fn while_nothing_can_be_made_durable_nothing_is_acknowledged() {
    let mut random = Random::new(Random::seed_of_this_run());
    let mut server = Server::start();
    let mut world = World::new(&server, 8);
    world.load_to_the_end(&server, random.next(), LOAD);
    assert_eq!(world.unknown(), 0);

    for error in ["EIO", "ENOSPC"] {
        let paid = world.paid();
        let Some(tracer) = Tracer::inject(&server, SYNC, &format!("error={error}:when=1+")) else { return };
        world.load_to_the_end(&server, random.next(), LOAD);
        assert!(world.unknown() > 0, "no sync failed");
        assert_eq!(world.paid(), paid, "acknowledged while no sync succeeded");
        let mut client = server.client().with_token(&world.people[0].token);
        client.get("/healthz").expect(200);
        client.get("/wallets").expect(200);
        client.call(&Request::get("/readyz")).expect(503);
        drop(tracer);

        world.settle_and_audit(&mut server);
    }
}

#[test]
fn the_server_recovers_while_clients_go_on() {
    let mut random = Random::new(Random::seed_of_this_run());
    let mut server = Server::start();
    let mut world = World::new(&server, 8);
    let Some(tracer) = Tracer::inject(&server, SYNC, "error=EIO:when=1+") else { return };
    let load = Load { clients: 8, attempts: 100_000, goes_on: true };
    world.load(&server, random.next(), load, |_| {
        until("the server is not ready", || server.client().get("/readyz").status == 503);
        drop(tracer);
        server.wait_until_ready();
    });
    assert!(world.unknown() > 0, "no sync failed");
    world.settle_and_audit(&mut server);
}

#[test]
fn a_sync_that_fails_now_and_then_loses_nothing() {
    interrupted("fsync,fdatasync", &["error=EIO:when=1", "error=EIO:when=2+3", "error=EIO:when=5+7"]);
}

#[test]
fn a_write_that_fails_now_and_then_loses_nothing() {
    let calls = "pwrite64,write,ftruncate";
    interrupted(
        calls,
        &["error=EIO:when=1", "error=EIO:when=3+11", "error=ENOSPC:when=7+13", "error=EIO:when=40+1"],
    );
}

/// Under each of these faults every payment is settled in the end, without a restart and after one.
fn interrupted(calls: &str, faults: &[&str]) {
    let mut random = Random::new(Random::seed_of_this_run());
    let mut server = Server::start();
    let mut world = World::new(&server, 8);
    let mut unknown = 0;
    for fault in faults {
        let Some(tracer) = Tracer::inject_on_data(&server, calls, fault) else { return };
        world.load_to_the_end(&server, random.next(), LOAD);
        drop(tracer);
        unknown += world.unknown();
        if random.one_in(2) {
            server.kill();
            server.start_again();
        }
        world.settle_and_audit(&mut server);
    }
    assert!(unknown > 0, "no call failed");
}
