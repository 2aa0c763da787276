//! The real binary, started on a port that the kernel chooses, in a data folder that goes away with the test.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::postgres::{Database, Postgres};
use super::receiver::Receiver;
use super::{Client, User};

/// The program under test.
pub const FARTHING: &str = env!("CARGO_BIN_EXE_farthing");

/// Longer than any start or stop may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that is about to be started.
#[derive(Debug, Clone)]
pub struct Builder {
    env: Vec<(String, String)>,
    args: Vec<String>,
    prefix: Vec<String>,
    data: Option<PathBuf>,
    database: Option<Arc<Database>>,
}

/// A running server, or one that was stopped and may be started again on the same folder.
#[derive(Debug)]
pub struct Server {
    builder: Builder,
    folder: TempDir,
    data: PathBuf,
    child: Option<Child>,
    address: SocketAddr,
    stdout: Arc<Mutex<String>>,
}

impl Builder {
    /// Sets an environment variable of the server.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets webhooks be sent to these receivers, which are on this machine.
    #[must_use]
    pub fn sends_to(self, receivers: &[&Receiver]) -> Self {
        let ports: Vec<String> = receivers.iter().map(|receiver| receiver.port().to_string()).collect();
        self.env("FARTHING_WEBHOOKS_ALLOW_PRIVATE_ADDRESSES", "true")
            .env("FARTHING_WEBHOOKS_PORTS", &ports.join(","))
    }

    /// Adds an argument behind `serve`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Runs the program behind this command, which must `exec` it, so that it keeps its process id.
    #[must_use]
    pub fn behind(mut self, prefix: &[&str]) -> Self {
        self.prefix = prefix.iter().map(|&part| part.to_owned()).collect();
        self
    }

    /// Gives tokens that outlive the longest run.
    #[must_use]
    pub fn with_lasting_tokens(self) -> Self {
        self.env("FARTHING_TOKENS_ACCESS_TTL_SECONDS", "86400")
    }

    /// Uses this data folder instead of a fresh one.
    #[must_use]
    pub fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.to_owned());
        self
    }

    /// Serves from this database, which goes away with the last server on it.
    #[must_use]
    pub fn database(self, database: impl Into<Arc<Database>>) -> Builder {
        let database = database.into();
        let mut builder = self
            .env("FARTHING_DATABASE_URL", &database.url())
            .env("FARTHING_DATABASE_MIGRATION_URL", &database.migration_url());
        builder.database = Some(database);
        builder
    }

    /// Starts the server and waits until it accepts connections.
    pub fn start(self) -> Server {
        let mut server = self.stopped();
        server.start_again();
        server
    }

    /// A server that was not started yet.
    pub fn stopped(self) -> Server {
        let folder = TempDir::new().unwrap();
        let data = self.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let stdout = Arc::new(Mutex::new(String::new()));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Server { builder: self, folder, data, child: None, address, stdout }
    }
}

impl Server {
    /// A server with every default but the limits that are in the way of tests which log in a hundred times.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The same, to be changed before it starts.
    pub fn builder() -> Builder {
        let builder = Self::embedded();
        if on_postgres() { builder.database(Postgres::shared().database()) } else { builder }
    }

    /// The same on the embedded database, whatever the others run on: for tests about its file and its folder.
    pub fn embedded() -> Builder {
        let env = vec![("FARTHING_RATE_LIMITS_ENABLED".to_owned(), "false".to_owned())];
        Builder { env, args: Vec::new(), prefix: Vec::new(), data: None, database: None }
    }

    /// Starts the program on the same folder and waits until it accepts connections.
    pub fn start_again(&mut self) {
        if let Err(status) = self.try_start_again() {
            panic!("the server did not say that it listens ({status:?}); its log:\n{}", self.log());
        }
    }

    /// The same, where it may not come up.
    ///
    /// # Errors
    /// How it ended, if it did by itself.
    pub fn try_start_again(&mut self) -> Result<(), Option<ExitStatus>> {
        let addresses = self.spawn();
        if let Ok(address) = addresses.recv_timeout(PATIENCE) {
            self.address = address;
            return Ok(());
        }
        let ended = self.wait(Duration::from_secs(1));
        if self.child.is_some() {
            self.kill();
        }
        Err(ended)
    }

    /// Starts the program and kills it after this long, wherever it is by then.
    pub fn start_and_kill(&mut self, delay: Duration) {
        self.spawn();
        std::thread::sleep(delay);
        self.kill();
    }

    fn spawn(&mut self) -> mpsc::Receiver<SocketAddr> {
        assert!(self.child.is_none(), "already running");
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(&self.builder.args);
        let stderr = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let addresses = listen(child.stdout.take().unwrap(), &self.stdout);
        self.child = Some(child);
        addresses
    }

    /// Runs another command of the program on the same data folder, in the same surroundings.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).stdin(Stdio::null()).output().expect("the program starts")
    }

    /// `farthing verify`, which must find nothing.
    #[track_caller]
    pub fn verify(&self) {
        let output = self.run(&["verify"]);
        assert!(
            output.status.success(),
            "verify: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Registers a user and logs them in.
    pub fn user(&self, name: &str) -> User {
        User::register(self.client(), name)
    }

    /// Makes the one operator of that role and logs them in.
    pub fn operator(&self, role: &str) -> User {
        let email = format!("{role}@example.com");
        let made = self.run(&["admin", "create", "--email", &email, "--role", role]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let said = String::from_utf8(made.stdout).expect("text");
        let password = said.lines().find_map(|line| line.trim().strip_prefix("password"));
        let password = password.unwrap_or_else(|| panic!("no password in {said}")).trim_matches([' ', ':']);
        User::log_in(self.client(), role, &email, password)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The database behind it; none if it is embedded.
    pub fn database(&self) -> Option<&Database> {
        self.builder.database.as_deref()
    }

    /// The same, for another node on it.
    pub fn shared_database(&self) -> Option<Arc<Database>> {
        self.builder.database.clone()
    }

    /// Changes an environment variable for the next start.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.builder = self.builder.clone().env(name, value);
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// `kill -9`, as far as the program can tell a power cut without the loss of what the kernel holds.
    pub fn kill(&mut self) {
        self.child.as_mut().expect("running").kill().unwrap();
        self.wait(PATIENCE);
    }

    /// Whether it was started and not waited for yet.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Whether the process has ended, though nobody waited for it yet.
    pub fn has_ended(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        !status.contains("State:") || status.contains("State:\tZ")
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success(), "kill -{name}: {status}");
    }

    /// Asks the server to stop and waits for it.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(PATIENCE).expect("the server stops when it is asked to")
    }

    /// Waits for the end of the process; `None` if it did not end.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut().expect("running");
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = child.try_wait().unwrap() {
                self.child = None;
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Asks `/readyz` until it says yes.
    pub fn wait_until_ready(&self) {
        assert!(self.is_ready_before_it_ends(), "the server has ended; its log:\n{}", self.log());
    }

    /// Asks `/readyz` until it says yes, or the process has ended.
    pub fn is_ready_before_it_ends(&self) -> bool {
        let start = Instant::now();
        let mut last = String::new();
        while start.elapsed() < PATIENCE {
            match self.client().send(&super::Request::get("/readyz")) {
                Ok(response) if response.status == 200 => return true,
                Ok(response) => last = response.to_string(),
                Err(_) if self.has_ended() => return false,
                Err(error) => last = error.to_string(),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not ready: {last}; its threads:\n{}its log:\n{}", self.threads(), self.log());
    }

    /// What each of its threads does just now, a line each.
    fn threads(&self) -> String {
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid()));
        let mut lines = String::new();
        for task in tasks.into_iter().flatten().flatten() {
            let (status, name) = (read(task.path().join("status")), read(task.path().join("comm")));
            let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or_default();
            let (place, call) = (read(task.path().join("wchan")), read(task.path().join("syscall")));
            lines += &format!("{} {state} in {place}, system call {}\n", name.trim(), call.trim());
        }
        lines
    }

    /// What it wrote to its standard error stream so far, over all starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// What it wrote to its standard output so far, over all starts.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("stderr.log")
    }

    fn command(&self) -> Command {
        let mut words = self.builder.prefix.iter().map(String::as_str).chain([FARTHING]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(self.folder.path()).env_clear();
        for name in ["PATH", "HOME", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("FARTHING_DATA", &self.data);
        command.envs(self.builder.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("the server's last words:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

/// Reads the standard output to its end, keeps it, and tells the address once it is said.
fn listen(stdout: ChildStdout, kept: &Arc<Mutex<String>>) -> mpsc::Receiver<SocketAddr> {
    let (sender, receiver) = mpsc::channel();
    let kept = Arc::clone(kept);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let mut so_far = kept.lock().unwrap();
            so_far.push_str(&line);
            so_far.push('\n');
            drop(so_far);
            let said = line.trim().strip_prefix("listening on ");
            if let Some((_, address)) = said.and_then(|said| said.split_once("://")) {
                let _ = sender.send(address.parse().expect("an address with a port"));
            }
        }
    });
    receiver
}

/// Whether the tests of the API run on PostgreSQL this time (`./test` does both).
pub fn on_postgres() -> bool {
    std::env::var("FARTHING_TEST_ENGINE").is_ok_and(|engine| engine == "postgres")
}

/// Creates a file that fills its file system up to `leave` bytes; deleting it gives the room back.
pub fn fill_disk(path: &Path, leave: u64) {
    use std::io::Write as _;
    let mut file = File::create(path).unwrap();
    let block = [0u8; 4096];
    while file.write_all(&block).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(leave)).unwrap();
}
