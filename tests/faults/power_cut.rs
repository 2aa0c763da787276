//! A power cut: what was written and not yet synced is gone, or there in part.
//!
//! A running server is traced while clients pay. From the trace the test knows every write, every sync and every
//! acknowledgement, in order. It then cuts the power at many places of that sequence: each file is rebuilt from what
//! had been synced by then, plus any part of what had not, down to torn sectors; a server is started on the result, and
//! every payment acknowledged before the cut must be there. The harness proves itself by the opposite: with syncs
//! ignored it must find losses.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::strace::Tracer;
use crate::support::receiver::Receiver;
use crate::support::{Random, Request, Server, count};
use crate::trace::{Event, read_trace};
use crate::world::{Fate, Load, World};

/// What a disk writes whole.
const SECTOR: usize = 512;

#[test]
fn a_power_cut_loses_no_acknowledged_payment() {
    let seed = Random::seed_of_this_run();
    let mut random = Random::new(seed);
    let folder = TempDir::new().unwrap();
    let (base, log) = (folder.path().join("base"), folder.path().join("trace"));
    let Some((world, data)) = record(&base, &log, seed) else { return };
    let events = read_trace(&log, &data);
    let acks = events.iter().filter(|event| matches!(event, Event::Ack(_))).count();
    let syncs = events.iter().filter(|event| matches!(event, Event::Synced(_))).count();
    assert_eq!(acks, world.paid(), "the trace shows every acknowledgement");
    assert!(syncs > 0, "the trace shows no sync");
    println!("{} changes of files, {syncs} syncs, {acks} acknowledgements", events.len() - acks - 2 * syncs);

    let after = folder.path().join("after");
    let told: Vec<usize> = (1..=events.len()).filter(|at| matches!(events[at - 1], Event::Ack(_))).collect();
    for _ in 0..count(60, 2_000) {
        // Every other cut comes right behind an acknowledgement: nothing that was synced later helps there.
        let cut =
            if random.one_in(2) { told[random.below(told.len())] } else { 1 + random.below(events.len()) };
        let luck = [Luck::Nothing, Luck::All, Luck::Part, Luck::Part][random.below(4)];
        let image = Image::at(&base, &events[..cut], Syncs::Kept);
        image.check(&after, &world, &events[..cut], luck, &mut random).unwrap();
    }
    let whole = Image::at(&base, &events, Syncs::Kept);
    whole.check(&after, &world, &events, Luck::Nothing, &mut random).unwrap();
    let forgetful = Image::at(&base, &events, Syncs::Ignored);
    let loss = forgetful.check(&after, &world, &events, Luck::Nothing, &mut random);
    assert!(loss.is_err(), "the harness does not notice that nothing at all was kept");
}

/// Pays under a tracer, and tells of it: what is written for that is not synced, and payments come between. Gives the book,
/// and the data folder whose files the trace names.
fn record(base: &Path, log: &Path, seed: u64) -> Option<(World, PathBuf)> {
    let receiver = Receiver::start();
    let mut server = Server::builder().sends_to(&[&receiver]).start();
    let mut world = World::new(&server, 4);
    for person in &world.people {
        let mut client = server.client().with_token(&person.token);
        client.post("/webhooks", &json!({"url": receiver.url()})).expect(201);
    }
    let load = Load { clients: 4, attempts: count(120, 1_200), goes_on: false };
    // A stopped server writes nothing while its folder is copied.
    server.signal("STOP");
    copy_folder(server.data(), base);
    let calls =
        "trace=write,pwrite64,writev,pwritev,sendto,sendmsg,lseek,fsync,fdatasync,ftruncate,unlink,rename";
    let args = ["-y", "-xx", "-s", "1000000", "-o", log.to_str().unwrap(), "-e", calls];
    let tracer = Tracer::attach(&server, &args)?;
    server.signal("CONT");
    world.load_to_the_end(&server, seed, load);
    server.kill();
    drop(tracer);
    assert_eq!(world.unknown(), 0, "a tracer is no fault");
    assert!(!receiver.received().is_empty(), "nobody was told of a payment");
    Some((world, server.data().to_owned()))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        // Shared memory is rebuilt, and a socket is none without its server.
        if entry.file_type().unwrap().is_file() && !name.to_str().unwrap().ends_with("-shm") {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// Whether syncs count: they do, but where the harness is put to the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syncs {
    Kept,
    Ignored,
}

/// What became of the changes that no sync covered.
#[derive(Debug, Clone, Copy)]
enum Luck {
    Nothing,
    All,
    Part,
}

/// What the disk holds at a cut: the durable bytes of each file, and what was asked for since its last sync.
struct Image {
    durable: HashMap<String, Vec<u8>>,
    pending: HashMap<String, Vec<Change>>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl Image {
    fn at(base: &Path, events: &[Event], syncs: Syncs) -> Self {
        let durable = fs::read_dir(base)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
            .collect();
        let mut image = Self { durable, pending: HashMap::new() };
        // How many of a file's pending changes the sync that is under way covers.
        let mut covered: HashMap<&str, usize> = HashMap::new();
        for event in events {
            match event {
                Event::Write { file, offset, bytes } => {
                    image
                        .pending
                        .entry(file.clone())
                        .or_default()
                        .push(Change::Write(*offset, bytes.clone()));
                }
                Event::Truncate { file, length } => {
                    image.pending.entry(file.clone()).or_default().push(Change::Truncate(*length));
                }
                Event::Syncing(file) => {
                    covered.insert(file, image.pending.get(file).map_or(0, Vec::len));
                }
                Event::Synced(file) if syncs == Syncs::Kept => {
                    let many = covered.remove(file.as_str()).unwrap_or_default();
                    let pending = image.pending.entry(file.clone()).or_default();
                    let kept: Vec<Change> = pending.drain(..many).collect();
                    let bytes = image.durable.entry(file.clone()).or_default();
                    for change in &kept {
                        change.apply(bytes);
                    }
                }
                Event::Removed(file) => {
                    image.durable.remove(file);
                    image.pending.remove(file);
                }
                Event::Synced(_) | Event::Ack(_) => {}
            }
        }
        image
    }

    /// Writes the files as the cut may have left them, and looks whether every acknowledged payment is there.
    fn check(
        &self,
        folder: &Path,
        world: &World,
        events: &[Event],
        luck: Luck,
        random: &mut Random,
    ) -> Result<(), String> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).unwrap();
        for file in self.durable.keys().chain(self.pending.keys()) {
            let mut bytes = self.durable.get(file).cloned().unwrap_or_default();
            for change in self.pending.get(file).into_iter().flatten() {
                match luck {
                    Luck::Nothing => {}
                    Luck::All => change.apply(&mut bytes),
                    Luck::Part => change.apply_in_part(&mut bytes, random),
                }
            }
            let path = folder.join(file);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut server = Server::builder().data(folder).stopped();
        if let Err(status) = server.try_start_again() {
            return Err(format!("it does not start: {status:?}\n{}", server.log()));
        }
        let mut client = server.client();
        for event in events {
            let Event::Ack(id) = event else { continue };
            let entry =
                world.book.iter().find(|entry| told(&entry.fate).is_some_and(|body| body.contains(id)));
            let payer = entry
                .map(|entry| &world.people[entry.attempt.payer])
                .ok_or("an acknowledgement to nobody")?;
            let response = client.call(&Request::get(&format!("/payment/{id}")).bearer(&payer.token));
            let body = entry.and_then(|entry| told(&entry.fate));
            if response.status != 200 || body != Some(response.text()) {
                return Err(format!("{id} was acknowledged as {body:?}: {response}"));
            }
        }
        server.verify();
        Ok(())
    }
}

fn told(fate: &Fate) -> Option<String> {
    match fate {
        Fate::Paid(body) => Some(String::from_utf8(body.clone()).unwrap()),
        Fate::Declined | Fate::Unknown | Fate::Undone => None,
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => put(file, *offset, bytes),
            Self::Truncate(length) => file.resize(*length, 0),
        }
    }

    /// A truncation happens or not; of a write, each sector may have arrived.
    fn apply_in_part(&self, file: &mut Vec<u8>, random: &mut Random) {
        match self {
            Self::Write(offset, bytes) => {
                let mut at = *offset;
                for sector in bytes.chunks(SECTOR) {
                    if random.one_in(2) {
                        put(file, at, sector);
                    }
                    at += sector.len();
                }
            }
            Self::Truncate(length) => {
                if random.one_in(2) {
                    file.resize(*length, 0);
                }
            }
        }
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}
