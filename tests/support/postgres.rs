//! A throw-away PostgreSQL for tests: durable as in production, on a free port of 127.0.0.1, and gone afterwards.
//!
//! [`Postgres::shared`] is one cluster for a whole run, however many processes the tests run in: each process takes a
//! shared lock on a file under `target/`, the first one makes the cluster, and a keeper in the background stops and
//! removes it once nobody has held the lock for a while. Locks end with their process, so that a test that is killed
//! leaves nothing behind either. Each test takes a [`Database`] of its own there. [`Postgres::own`] is a cluster for
//! one test that breaks it, under the same kind of keeper.
//!
//! PostgreSQL refuses to run as root, so that root runs it as `postgres` or, where there is none, `nobody`. Its programs
//! lie outside of `PATH` on Debian; `FARTHING_TEST_POSTGRES_BIN` names another folder of them.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::wait::until;

/// Waits until nobody holds the lock, for `$4` looks in a row, a second apart; then nobody can get in any more, since
/// the file that leads here is gone, and the cluster is stopped and removed.
const KEEPER: &str = r#"
users=$1 entrance=$2 folder=$3 looks=$4 stop=$5
seen=0
while [ "$seen" -lt "$looks" ]; do
  sleep 1
  if flock -n -x "$users" true; then seen=$((seen + 1)); else seen=0; fi
done
exec 9>> "$entrance.lock"
flock -x 9
if ! flock -n -x "$users" true; then exec 9>&-; exec sh -c "$0" "$0" "$@"; fi
[ "$(cat "$entrance" 2> /dev/null | cut -d' ' -f1)" = "$folder" ] && rm -f "$entrance"
eval "$stop"
rm -rf "$folder"
"#;

/// A running cluster, as its superuser sees it.
#[derive(Debug, Clone)]
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    password: String,
}

/// A cluster that belongs to one test, which may break it.
#[derive(Debug)]
pub struct OwnPostgres {
    postgres: Postgres,
    /// The keeper ends the cluster when this is closed.
    _users: File,
}

/// A database of its own, with a role that owns it and one that serves; dropped at the end.
#[derive(Debug)]
pub struct Database {
    postgres: Postgres,
    name: String,
    password: String,
}

/// How to stop a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ends every connection, writes a checkpoint, and stops.
    Fast,
    /// Stops without a checkpoint; the next start recovers.
    Immediate,
}

impl Postgres {
    /// The cluster that all tests of this run share. Don't break it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<(Postgres, File)> = OnceLock::new();
        let (postgres, _users) = SHARED.get_or_init(|| {
            let entrance = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres");
            // Whoever holds this makes the cluster, or ends it.
            let door = open(&entrance.with_extension("lock"));
            door.lock().unwrap();
            let users = open(&entrance.with_extension("users"));
            users.lock_shared().unwrap();
            let known = fs::read_to_string(&entrance).ok().and_then(|text| Self::parse(&text));
            let postgres = known.filter(|known| known.query("SELECT 1").is_ok()).unwrap_or_else(|| {
                let made = Self::make();
                fs::write(&entrance, format!("{} {} {}", made.folder.display(), made.port, made.password))
                    .unwrap();
                made.keep(&entrance.with_extension("users"), &entrance, 10);
                made
            });
            (postgres, users)
        });
        postgres
    }

    /// A cluster of this test's own.
    pub fn own() -> OwnPostgres {
        let postgres = Self::make();
        let entrance = postgres.folder.join("entrance");
        let users = open(&entrance.with_extension("users"));
        users.lock_shared().unwrap();
        postgres.keep(&entrance.with_extension("users"), &entrance, 1);
        OwnPostgres { postgres, _users: users }
    }

    /// A fresh database with an owner and a serving role.
    pub fn database(&self) -> Database {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("farthing_{}_{number}_{}", std::process::id(), &secret()[..8]);
        let database = Database { postgres: self.clone(), name, password: secret() };
        let (name, owner, role, password) =
            (&database.name, database.owner(), database.role(), &database.password);
        for sql in [
            format!("CREATE ROLE {owner} LOGIN PASSWORD '{password}'"),
            format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'"),
            format!("CREATE DATABASE {name} OWNER {owner}"),
        ] {
            self.query(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        database
    }

    /// Runs a statement as superuser; gives its rows, columns joined by `|`, without heading.
    ///
    /// # Errors
    /// What `psql` said.
    pub fn query(&self, sql: &str) -> Result<String, String> {
        psql(&self.url(), sql)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The superuser's URL.
    pub fn url(&self) -> String {
        format!("postgres://postgres:{}@{}/postgres", self.password, self.address())
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("log")).unwrap_or_default()).into_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').map(str::to_owned);
        Some(Self {
            folder: words.next()?.into(),
            port: words.next()?.parse().ok()?,
            password: words.next()?,
        })
    }

    /// Makes a cluster and starts it.
    fn make() -> Self {
        let folder = tempfile::Builder::new().prefix("farthing-postgres-").tempdir().unwrap().keep();
        let mut postgres = Self { folder, port: 0, password: secret() };
        let (data, password) = (postgres.data(), postgres.folder.join("password"));
        fs::write(&password, &postgres.password).unwrap();
        if let Some((user, group)) = unprivileged() {
            for path in [&postgres.folder, &password] {
                std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
            }
        }
        let mut initdb = as_unprivileged(&program("initdb"));
        initdb.arg("--pgdata").arg(&data).arg(format!("--pwfile={}", password.display()));
        // What is made here is not worth a sync; what is written later is synced as in production.
        initdb.args([
            "--no-sync",
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        run(&mut initdb);
        let mut configuration = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        configuration.push_str(
            "listen_addresses = '127.0.0.1'\nmax_connections = 300\nlog_line_prefix = '%m [%p] %u '\n",
        );
        configuration += "unix_socket_directories = '";
        configuration += postgres.folder.to_str().unwrap();
        configuration += "'\n";
        fs::write(data.join("postgresql.conf"), configuration).unwrap();
        // Another process may take the port between looking and starting.
        for _ in 0..10 {
            postgres.port = free_port();
            if postgres.try_start().is_ok() {
                return postgres;
            }
        }
        panic!("PostgreSQL does not start: {}", postgres.log());
    }

    /// The cluster's own folder. Its socket is in the one above.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn control(&self, arguments: &[&str]) -> Command {
        let mut control = as_unprivileged(&program("pg_ctl"));
        control.arg("--pgdata").arg(self.data()).args(["--silent", "--wait"]).args(arguments);
        control
    }

    fn try_start(&self) -> Result<(), String> {
        let log = format!("--log={}", self.folder.join("log").display());
        let status = self
            .control(&["start", &log, "-o", &format!("-p {}", self.port)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("pg_ctl runs");
        if status.success() { Ok(()) } else { Err(self.log()) }
    }

    /// Starts the keeper in a session of its own, so that it outlives a test run that is interrupted.
    fn keep(&self, users: &Path, entrance: &Path, looks: u32) {
        let stop = self.control(&["stop", "--mode=immediate"]);
        let words = std::iter::once(stop.get_program()).chain(stop.get_args());
        let stop: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
        Command::new("setsid")
            .args(["--fork", "sh", "-c", KEEPER, KEEPER])
            .args([users, entrance, &self.folder])
            .args([&looks.to_string(), &stop.join(" ")])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("setsid is installed");
    }
}

impl Deref for OwnPostgres {
    type Target = Postgres;

    fn deref(&self) -> &Postgres {
        &self.postgres
    }
}

impl OwnPostgres {
    /// Starts it again, on the same port, and waits until it accepts connections.
    pub fn start(&self) {
        // What a kill left behind may still hold the shared memory, or somebody passing by the port.
        until("PostgreSQL starts", || self.postgres.try_start().is_ok());
    }

    /// Stops it and waits for that.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "--mode=fast",
            Stop::Immediate => "--mode=immediate",
        };
        run(&mut self.postgres.control(&["stop", mode]));
    }

    /// `kill -9` of the postmaster; its children end when they notice.
    pub fn kill(&self) {
        let pid = self.postmaster();
        kill_9(pid);
        until("the postmaster is gone", || has_ended(pid));
    }

    /// `kill -9` of one backend that serves this database, upon which PostgreSQL ends all others and recovers.
    /// Says whether there was one.
    pub fn kill_backend(&self, database: &Database) -> bool {
        let pid = self.query(&format!(
            "SELECT pid FROM pg_stat_activity WHERE datname = '{}' AND backend_type = 'client backend'
             ORDER BY state = 'active' DESC, random() LIMIT 1",
            database.name
        ));
        let Some(pid) = pid.ok().and_then(|pid| pid.parse().ok()) else { return false };
        kill_9(pid);
        true
    }

    /// The process id of the postmaster.
    pub fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.postgres.data().join("postmaster.pid")).expect("running");
        file.lines().next().unwrap().parse().unwrap()
    }

    /// Whether it accepts connections.
    pub fn accepts(&self) -> bool {
        self.query("SELECT 1").is_ok()
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("PostgreSQL's last words:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

impl Database {
    /// The URL of the serving role.
    pub fn url(&self) -> String {
        self.url_at(self.postgres.address())
    }

    /// The URL of the serving role at another address, such as a proxy's. No TLS is tried: the proxy reads along.
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("postgres://{}:{}@{address}/{}?sslmode=disable", self.role(), self.password, self.name)
    }

    /// The URL of the role that owns the tables.
    pub fn migration_url(&self) -> String {
        format!(
            "postgres://{}:{}@{}/{}?sslmode=disable",
            self.owner(),
            self.password,
            self.postgres.address(),
            self.name
        )
    }

    /// Runs a statement in it as superuser; gives its rows, columns joined by `|`, without heading.
    ///
    /// # Errors
    /// What `psql` said.
    pub fn query(&self, sql: &str) -> Result<String, String> {
        psql(&self.admin_url(), sql)
    }

    /// Ends every other connection to it; gives how many there were.
    pub fn terminate_backends(&self) -> usize {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.query(sql).unwrap().parse().unwrap()
    }

    /// Everything in it, as `pg_dump` writes it.
    pub fn dump(&self) -> Vec<u8> {
        run(Command::new(program("pg_dump")).arg(self.admin_url()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role that owns it.
    pub fn owner(&self) -> String {
        format!("{}_owner", self.name)
    }

    /// The role that serves.
    pub fn role(&self) -> String {
        format!("{}_server", self.name)
    }

    fn admin_url(&self) -> String {
        format!("postgres://postgres:{}@{}/{}", self.postgres.password, self.postgres.address(), self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Where the server is gone, so is the database.
        for sql in [
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
            format!("DROP ROLE IF EXISTS {}, {}", self.owner(), self.role()),
        ] {
            if let Err(error) = self.postgres.query(&sql) {
                println!("{sql}: {error}");
            }
        }
    }
}

/// Runs a statement; gives its rows, columns joined by `|`, without heading.
///
/// # Errors
/// What `psql` said.
pub fn psql(url: &str, sql: &str) -> Result<String, String> {
    psql_all(url, &[sql])
}

/// Runs statements one after the other on one connection, each by itself, until one fails.
///
/// # Errors
/// What `psql` said.
pub fn psql_all(url: &str, statements: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program("psql"));
    command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", url]).env("PGCONNECT_TIMEOUT", "10");
    for sql in statements {
        command.args(["-c", sql]);
    }
    let output = command.stdin(Stdio::null()).output().expect("psql runs");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// A program of PostgreSQL's.
pub fn program(name: &str) -> PathBuf {
    programs().join(name)
}

/// The folder of PostgreSQL's programs: as told, else the newest that Debian has, else one from `PATH`.
pub fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        if let Some(told) = std::env::var_os("FARTHING_TEST_POSTGRES_BIN") {
            return told.into();
        }
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let debian = versions.map(|version| version.path().join("bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut found: Vec<PathBuf> = debian.filter(|folder| folder.join("initdb").exists()).collect();
        // Fifteen comes behind nine.
        found.sort_by_key(|folder| folder.parent().and_then(|version| version.file_name()?.to_str()?.parse::<u32>().ok()));
        found
            .pop()
            .or_else(|| std::env::split_paths(&path).find(|folder| folder.join("initdb").exists()))
            .expect("PostgreSQL's server is installed (Debian: postgresql), or FARTHING_TEST_POSTGRES_BIN names its programs")
    })
}

/// The user and group as which root runs what refuses to run as root; `None` for everybody else.
pub fn unprivileged() -> Option<(u32, u32)> {
    static USER: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *USER.get_or_init(|| {
        let id = |arguments: &[&str]| -> Option<u32> {
            let output = Command::new("id").args(arguments).output().expect("id is installed");
            String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.status.success())
        };
        if id(&["-u"]) != Some(0) {
            return None;
        }
        let user = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Some((id(&["-u", name])?, id(&["-g", name])?)));
        Some(user.expect("there is a user postgres or nobody"))
    })
}

/// A command that runs as a user who is not root, with the process id that it is started with.
pub fn as_unprivileged(program: &Path) -> Command {
    let mut command = match unprivileged() {
        None => Command::new(program),
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command
                .args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups"])
                .arg(program);
            command
        }
    };
    // Where it was started may be closed to that user.
    command.current_dir("/");
    command
}

/// A port of 127.0.0.1 that nobody listened on just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Something random that nobody else knows.
pub fn secret() -> String {
    let mut bytes = [0u8; 16];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// `kill -9`.
pub fn kill_9(pid: u32) {
    // It may have ended by itself just now.
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
}

fn has_ended(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.contains("State:") || status.contains("State:\tZ")
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// Runs a program that must succeed; gives its standard output.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
