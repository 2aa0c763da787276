//! A disk that is full: a small file system in memory, filled up under load.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::server::fill_disk;
use crate::support::{PASSWORD, Random, Request, Server, count};
use crate::world::{Load, World};

const SIZE: &str = "size=64m,mode=0700";

/// A file system of a fixed size in a mount namespace of its own, which lives as long as the process that holds it.
struct SmallDisk {
    holder: Child,
    mount: TempDir,
}

impl SmallDisk {
    /// `None` where this user may not make one.
    fn new() -> Option<Self> {
        let mount = TempDir::new().unwrap();
        let script = "mount -t tmpfs -o \"$1\" farthing-test \"$2\" && echo mounted && exec cat";
        let mut holder = Command::new("unshare")
            .args(["-rm", "sh", "-c", script, "sh", SIZE])
            .arg(mount.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare, of util-linux, is installed");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let disk = Self { holder, mount };
        if line.trim() == "mounted" {
            return Some(disk);
        }
        assert!(!is_root(), "root may mount a file system in a namespace of its own: {line:?}");
        println!("SKIPPED: this user may not mount a small file system, so the full disk was not tested");
        None
    }

    /// The path inside the namespace.
    fn data(&self) -> PathBuf {
        self.mount.path().join("data")
    }

    /// The same file system, seen from here.
    fn seen_from_here(&self) -> PathBuf {
        let inside = self.mount.path().strip_prefix("/").unwrap();
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside)
    }

    fn start(&self) -> Server {
        let pid = self.holder.id().to_string();
        let enter = ["nsenter", "-t", pid.as_str(), "-U", "-m", "--preserve-credentials", "--"];
        Server::builder().with_lasting_tokens().behind(&enter).data(&self.data()).start()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn a_full_disk_makes_no_false_success_and_space_cures_it() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut random = Random::new(Random::seed_of_this_run());
    let mut server = disk.start();
    let mut world = World::new(&server, 8);
    let filler = disk.seen_from_here().join("filler");
    let mut faults = 0;
    for _ in 0..count(4, 100) {
        world.load_to_the_end(&server, random.next(), Load { clients: 8, attempts: 10, goes_on: false });
        assert_eq!(world.unknown(), 0, "there is room");

        fill_disk(&filler, random.between(0, 1_500_000));
        world.load_to_the_end(&server, random.next(), Load { clients: 8, attempts: 3_000, goes_on: false });
        assert!(world.unknown() > 0, "the disk did not fill up");
        faults += world.unknown();
        check_full(&server, &world);

        if random.one_in(2) {
            server.kill();
            // Whether it starts on a full disk is its own affair; that it starts on one with room is not.
            let _ = server.try_start_again();
            std::fs::remove_file(&filler).unwrap();
            if !server.is_running() {
                server.start_again();
            }
        } else {
            std::fs::remove_file(&filler).unwrap();
        }
        world.settle_and_audit(&mut server);
    }
    println!("{faults} requests met a full disk");
}

/// While the disk is full, reading works, and the server does not say that it is ready to write when it is not.
fn check_full(server: &Server, world: &World) {
    let mut client = server.client().with_token(&world.people[0].token);
    for path in ["/healthz", "/me", "/wallets", "/payments", "/transactions"] {
        client.get(path).expect(200);
    }
    let ready = client.call(&Request::get("/readyz"));
    if ready.status != 503 {
        ready.expect(200);
        let body = serde_json::json!({"email": "person0@example.org", "password": PASSWORD});
        let written = client.post("/login", &body);
        assert_eq!(written.status, 200, "it said that it could write, but: {written}");
    }
}
