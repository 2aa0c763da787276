//! The loss of the leader: the files of `deploy/patroni`, as they are, on this machine's loopback.
//!
//! Three members of etcd, three of PostgreSQL under Patroni, two nodes of farthing, sixteen clients that repeat each
//! payment with its key until it is answered. The leader and its Patroni are killed. Nothing acknowledged is lost, nothing
//! happens twice, and farthing serves again by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at what it did not expect"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::postgres::{as_unprivileged, free_port, kill_9, programs, psql, secret, unprivileged};
use support::server::FARTHING;
use support::{Client, Random, Request, Server, User, count, until};

/// After how many seconds Patroni replaces a leader that gives no sign of life.
const TTL_SECONDS: u64 = 20;
/// What farthing may take on top of that.
const SLACK_SECONDS: u64 = 10;
/// No request may take longer.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// One of the three machines, all of them this one.
struct Machine {
    configuration: PathBuf,
    postgres_port: u16,
    restapi_port: u16,
    etcd: Option<Child>,
    patroni: Option<Child>,
}

/// The three of them; ended with everything they started.
struct Cluster {
    folder: tempfile::TempDir,
    machines: Vec<Machine>,
    environment: Vec<(&'static str, String)>,
    superuser_password: String,
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("farthing-patroni-").tempdir().unwrap();
        let deploy = folder.path().join("deploy");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/patroni"), &deploy);
        let ports: Vec<[u16; 4]> =
            (0..3).map(|_| [free_port(), free_port(), free_port(), free_port()]).collect();
        let superuser_password = secret();
        let secrets: String = std::iter::once(format!("SUPERUSER_PASSWORD={superuser_password}\n"))
            .chain(
                ["REPLICATION", "OWNER", "SERVING", "RESTAPI"]
                    .map(|name| format!("{name}_PASSWORD={}\n", secret())),
            )
            .collect();
        let mut machines = Vec::new();
        for (number, [client, peer, postgres, restapi]) in (1..).zip(&ports) {
            let configuration = folder.path().join(format!("node{number}"));
            fs::create_dir(&configuration).unwrap();
            let node = format!(
                "NODE=node{number}\nADDRESS=127.0.0.1\nFOLDER={}\nETCD_CLIENT_PORT={client}\nETCD_PEER_PORT={peer}\n\
                 POSTGRES_PORT={postgres}\nRESTAPI_PORT={restapi}\nFARTHING_PORT=0\n",
                configuration.display()
            );
            fs::write(configuration.join("node.env"), node).unwrap();
            fs::write(configuration.join("secrets.env"), &secrets).unwrap();
            let (postgres_port, restapi_port) = (*postgres, *restapi);
            machines.push(Machine { configuration, postgres_port, restapi_port, etcd: None, patroni: None });
        }
        give_away(folder.path());
        let list = |index: usize| {
            ports.iter().map(|ports| format!("127.0.0.1:{}", ports[index])).collect::<Vec<_>>().join(",")
        };
        let peers: Vec<_> = (1..)
            .zip(&ports)
            .map(|(number, ports)| format!("node{number}=http://127.0.0.1:{}", ports[1]))
            .collect();
        let environment = vec![
            ("ETCD_CLIENTS", list(0)),
            ("ETCD_PEERS", peers.join(",")),
            ("POSTGRES_HOSTS", list(2)),
            ("NETWORK", "127.0.0.0/8".to_owned()),
            ("TTL", TTL_SECONDS.to_string()),
            ("POSTGRES_BIN", programs().display().to_string()),
        ];
        let mut cluster = Self { folder, machines, environment, superuser_password };
        for number in 0..3 {
            cluster.machines[number].etcd = Some(cluster.run(number, "run-etcd"));
        }
        for number in 0..3 {
            cluster.machines[number].patroni = Some(cluster.run(number, "run-patroni"));
        }
        until("a leader has a synchronous standby", || {
            let members = cluster.members();
            let has = |role: &str| {
                members.iter().any(|member| member["role"] == role && member["state"] == "running")
            };
            has("leader") && has("sync_standby")
        });
        cluster
    }

    fn run(&self, number: usize, script: &str) -> Child {
        let log =
            fs::File::create(self.machines[number].configuration.join(format!("{script}.log"))).unwrap();
        let mut command = as_unprivileged(&self.folder.path().join("deploy").join(script));
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command.env("CONFIGURATION", &self.machines[number].configuration);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        command.spawn().expect("the script runs")
    }

    /// What any of the Patronis that answer says of the cluster.
    fn members(&self) -> Vec<Value> {
        let told = self.machines.iter().find_map(|machine| get(machine.restapi_port, "/cluster"));
        told.and_then(|told| Some(told["members"].as_array()?.clone())).unwrap_or_default()
    }

    fn leader(&self) -> Option<usize> {
        let leader = self.members().into_iter().find(|member| member["role"] == "leader")?;
        let port = leader["port"].as_u64()?;
        self.machines.iter().position(|machine| u64::from(machine.postgres_port) == port)
    }

    /// `kill -9` of a machine's Patroni and PostgreSQL.
    fn kill(&mut self, number: usize) {
        if let Some(patroni) = &mut self.machines[number].patroni {
            patroni.kill().unwrap();
        }
        self.kill_postgres(number);
        if let Some(mut patroni) = self.machines[number].patroni.take() {
            patroni.wait().unwrap();
        }
    }

    fn kill_postgres(&self, number: usize) {
        let file = self.machines[number].configuration.join("postgres/postmaster.pid");
        let text = fs::read_to_string(file).unwrap_or_default();
        if let Some(pid) = text.lines().next().and_then(|line| line.parse().ok()) {
            kill_9(pid);
        }
    }

    fn query(&self, sql: &str) -> String {
        let leader = self.leader().expect("there is a leader");
        let port = self.machines[leader].postgres_port;
        let password = &self.superuser_password;
        psql(&format!("postgres://postgres:{password}@127.0.0.1:{port}/farthing"), sql).unwrap()
    }

    /// A node of farthing, started by the script.
    fn farthing(&self, number: usize, key: Option<&Path>) -> Server {
        let script = self.folder.path().join("deploy/run-farthing");
        let configuration = &self.machines[number].configuration;
        let data = configuration.join("farthing");
        if let Some(key) = key {
            fs::create_dir(&data).unwrap();
            fs::copy(key, data.join("farthing.key")).unwrap();
        }
        let mut builder = Server::embedded()
            .behind(&["sh", "-c", "shift; exec \"$0\" \"$@\"", script.to_str().unwrap()])
            .env("FARTHING", FARTHING)
            .env("CONFIGURATION", configuration.to_str().unwrap())
            .data(&data);
        for (name, value) in &self.environment {
            builder = builder.env(name, value);
        }
        builder.start()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for number in 0..self.machines.len() {
            let machine = &mut self.machines[number];
            for child in [machine.patroni.take(), machine.etcd.take()].into_iter().flatten() {
                let group = format!("-{}", child.id());
                let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
                let mut child = child;
                let _ = child.wait();
            }
            self.kill_postgres(number);
            if std::thread::panicking() {
                let log = fs::read_to_string(self.machines[number].configuration.join("run-patroni.log"));
                let log = log.unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                println!(
                    "node{}'s last words:\n{}",
                    number + 1,
                    lines[lines.len().saturating_sub(15)..].join("\n")
                );
            }
        }
    }
}

/// What the clients were told.
#[derive(Default)]
struct Book {
    keys: BTreeSet<String>,
    acknowledged: Vec<(String, String)>,
    longest: Duration,
    last_success: Option<Instant>,
    back: Option<Duration>,
    statuses: BTreeSet<u16>,
}

#[test]
fn the_loss_of_the_leader_loses_no_payment() {
    if !["patroni", "etcd"].iter().all(|program| is_installed(program)) {
        println!("skipped: patroni or etcd is not installed");
        return;
    }
    let seed = Random::seed_of_this_run();
    for _ in 0..count(1, 20) {
        lose_the_leader(seed);
    }
}

fn lose_the_leader(seed: u64) {
    let mut cluster = Cluster::start();
    let first = cluster.farthing(0, None);
    let second = cluster.farthing(1, Some(&first.data().join("farthing.key")));
    let users: Vec<User> = (0..16).map(|number| first.user(&format!("payer{number}"))).collect();
    let (book, stop, killed) =
        (Mutex::new(Book::default()), AtomicBool::new(false), Mutex::new(None::<Instant>));
    std::thread::scope(|scope| {
        for (number, user) in users.iter().enumerate() {
            let mut random = Random::new(seed ^ (u64::try_from(number).unwrap() << 32));
            let mut clients = [&first, &second].map(|server| server.client().with_token(&user.token));
            let (book, stop, killed) = (&book, &stop, &killed);
            scope.spawn(move || {
                for attempt in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let key = format!("{number}-{attempt}");
                    book.lock().unwrap().keys.insert(key.clone());
                    pay(&key, &mut clients, &mut random, book, killed);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        std::thread::sleep(Duration::from_secs(2));
        let leader = cluster.leader().expect("there is a leader");
        *killed.lock().unwrap() = Some(Instant::now());
        cluster.kill(leader);
        let limit = Duration::from_secs(TTL_SECONDS + SLACK_SECONDS);
        let start = Instant::now();
        // Longer than the limit, so that a failure tells how long it took.
        while book.lock().unwrap().back.is_none() && start.elapsed() < limit * 3 {
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_secs(3));
        stop.store(true, Ordering::Relaxed);
    });
    let book = book.into_inner().unwrap();
    println!(
        "{} payments acknowledged, back after {:?}, the longest request took {:?}, statuses {:?}",
        book.acknowledged.len(),
        book.back,
        book.longest,
        book.statuses
    );
    let back = book.back.expect("farthing serves again");
    assert!(back <= Duration::from_secs(TTL_SECONDS + SLACK_SECONDS), "back only after {back:?}");
    assert!(book.longest < REQUEST_LIMIT, "a request took {:?}", book.longest);
    assert!(book.statuses.contains(&503), "nobody noticed the loss: {:?}", book.statuses);
    check(&cluster, &book);
}

/// Pays once, however often that takes.
fn pay(
    key: &str,
    clients: &mut [Client; 2],
    random: &mut Random,
    book: &Mutex<Book>,
    killed: &Mutex<Option<Instant>>,
) {
    let request = Request::post("/payment", &json!({"amount": "0.01", "currency": "USD"})).key(key);
    loop {
        let client = &mut clients[usize::from(random.one_in(2))];
        let began = Instant::now();
        let answer = client.send(&request);
        let mut book = book.lock().unwrap();
        book.longest = book.longest.max(began.elapsed());
        match answer {
            Ok(answer) if answer.status == 201 => {
                book.statuses.insert(201);
                book.acknowledged.push((key.to_owned(), answer.str("id")));
                // The first success of a request that began after the kill.
                if let Some(killed) = *killed.lock().unwrap()
                    && began > killed + Duration::from_secs(1)
                    && book.back.is_none()
                {
                    book.back = Some(killed.elapsed());
                }
                book.last_success = Some(Instant::now());
                return;
            }
            Ok(answer) => {
                book.statuses.insert(answer.status);
                assert_eq!(answer.status, 503, "{answer}");
                assert!(answer.header("Retry-After").is_some(), "{answer}");
            }
            Err(error) => panic!("farthing itself was not killed: {error}"),
        }
        drop(book);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Every acknowledged payment is there, once; none that nobody asked for; and the books balance.
fn check(cluster: &Cluster, book: &Book) {
    let rows = cluster.query("SELECT idempotency_key, id FROM transactions WHERE kind = 'payment'");
    let mut kept = BTreeSet::new();
    for row in rows.lines() {
        let (key, id) = row.split_once('|').unwrap();
        assert!(book.keys.contains(key), "nobody asked for {key}");
        assert!(kept.insert((key.to_owned(), id.replace('-', ""))), "{key} happened twice");
    }
    for (key, payment) in &book.acknowledged {
        let id: farthing::ledger::PaymentId = payment.parse().unwrap();
        let id = id.uuid().simple().to_string();
        assert!(kept.contains(&(key.clone(), id)), "{payment} was acknowledged and is lost");
    }
    assert_eq!(kept.len(), kept.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len());
    let wrong = cluster.query(
        "SELECT a.id FROM accounts a LEFT JOIN entries e ON e.account = a.id GROUP BY a.id
         HAVING a.balance <> coalesce(sum(e.amount), 0)
         UNION ALL SELECT null FROM entries HAVING sum(amount) <> 0",
    );
    assert_eq!(wrong, "");
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// A `GET` that a Patroni answers, or not.
fn get(port: u16, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Hands a folder over to the user as whom root runs what refuses to run as root.
fn give_away(folder: &Path) {
    let Some((user, group)) = unprivileged() else { return };
    std::os::unix::fs::chown(folder, Some(user), Some(group)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            give_away(&path);
        } else {
            std::os::unix::fs::chown(&path, Some(user), Some(group)).unwrap();
        }
    }
}
