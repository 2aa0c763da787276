//! The throw-away server: this same binary on a ledger of its own, started, watched and stopped like any other.
//!
//! It runs as a process, not in this one, so that what is measured is what is run: the load generator is another
//! process with its own memory and its own thread, and the server is stopped as an operator would stop it.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::BenchError;

/// How long a server may take until it accepts connections.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long a server may take to stop: the contract's 10 s and some slack.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How often the removal of a folder is tried.
const REMOVAL_TRIES: usize = 20;
/// The pause between two tries.
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);
/// How many of the server's last lines are kept, to show them if it fails.
const LINES_KEPT: usize = 20;
/// What the server prints once it accepts connections.
const LISTENING: &str = "listening on http://";
/// Variables that may tune the server. All others of ours are taken away, so that the ledger meant is the throw-away one
/// and nothing of the surroundings changes the figures.
const TUNING: [&str; 4] = [
    "FARTHING_SERVER_WORKERS",
    "FARTHING_DATABASE_CONNECTIONS",
    "FARTHING_DATABASE_WRITERS",
    "FARTHING_LOG_",
];
/// Quotas that are looked up as any others are, and let everything pass.
const PLENTY: &str = "1000000/s per address, 1000000/s per account, 1000000/s per key";
/// File systems that keep everything in memory (`statfs`'s numbers of tmpfs and ramfs).
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// The folder of a throw-away ledger.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    removed_at_end: bool,
}

impl Folder {
    /// A new folder with that name, which is removed with everything in it when this is dropped.
    ///
    /// It stands among the temporary files, unless these are kept in memory, where a durable write costs nothing and the
    /// figures would flatter; then it stands in the current folder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn temporary(name: &str) -> Result<Self, BenchError> {
        let temporary = std::env::temp_dir();
        let parent = if is_in_memory(&temporary) { PathBuf::from(".") } else { temporary };
        let path = parent.join(name);
        make(&path)?;
        Ok(Self { path, removed_at_end: true })
    }

    /// That folder, made if it is missing, and kept.
    ///
    /// # Errors
    /// If there is anything in it: a real ledger must never be taken for a throw-away one.
    pub fn kept(path: &Path) -> Result<Self, BenchError> {
        make(path)?;
        let mut content = path.read_dir().map_err(|error| unusable(path, &error))?;
        if content.next().is_some() {
            return Err(BenchError::Usage(format!("{} is not empty; name a new folder", path.display())));
        }
        Ok(Self { path: path.to_path_buf(), removed_at_end: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is kept in memory, where nothing is durable.
    pub fn is_in_memory(&self) -> bool {
        is_in_memory(&self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.removed_at_end {
            return;
        }
        // A server that was killed a moment ago may still make a file while the folder is emptied.
        for _ in 0..REMOVAL_TRIES {
            match std::fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(REMOVAL_PAUSE);
                }
                _ => break,
            }
        }
    }
}

/// A running server. Killed if it is dropped without [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    child: Child,
    authority: String,
    log: Log,
}

impl Server {
    /// Starts this binary as a server on that data folder or database and a free port, and waits until it accepts connections.
    /// Its webhooks may go to that port of this machine.
    ///
    /// # Errors
    /// If it does not start; with what it said.
    pub async fn start(
        data: &Path,
        database: Option<&str>,
        is_guarded: bool,
        webhooks: Option<u16>,
    ) -> Result<Self, BenchError> {
        let mut command = this_binary(database)?;
        command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0", "--mode", "sandbox"]);
        if is_guarded {
            command.env("FARTHING_RATE_LIMITS_PAYMENT", PLENTY).env("FARTHING_RATE_LIMITS_READ", PLENTY);
        } else {
            command.env("FARTHING_RATE_LIMITS_ENABLED", "false").env("FARTHING_RISK_ENABLED", "false");
        }
        if let Some(port) = webhooks {
            command.env("FARTHING_WEBHOOKS_ALLOW_PRIVATE_ADDRESSES", "true");
            command.env("FARTHING_WEBHOOKS_PORTS", port.to_string());
        }
        let log = Log(data.join("bench.log"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.open()?).kill_on_drop(true);
        // In a group of its own, an interrupt at the terminal reaches this process alone, which then stops the server.
        command.process_group(0);
        let failed = |why: String| BenchError::Server(format!("the server did not start: {why}"));
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let mut stdout = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let listening = tokio::time::timeout(START_LIMIT, wait_until_listening(stdout.as_mut())).await;
        let Ok(Some(authority)) = listening else {
            // What it says of its end may still be on its way.
            let _ = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
            return Err(failed(log.last_lines()));
        };
        if let Some(stdout) = stdout {
            // An output that nobody reads would in the end stop the server.
            tokio::spawn(
                async move { tokio::io::copy(&mut stdout.into_inner(), &mut tokio::io::sink()).await },
            );
        }
        Ok(Self { child, authority, log })
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Resident memory now, in MiB, where the system tells (Linux).
    pub fn resident_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
    }

    /// Asks the server to stop, as a service manager would, and waits until it has.
    ///
    /// # Errors
    /// If it ended before, does not stop, or says that something went wrong.
    pub async fn stop(mut self) -> Result<(), BenchError> {
        let failed =
            |why: &str, log: &Log| BenchError::Server(format!("the server {why}: {}", log.last_lines()));
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { return Err(failed("ended during the load", &self.log)) };
        kill_process(pid, Signal::TERM)
            .map_err(|error| BenchError::Server(format!("the server cannot be stopped: {error}")))?;
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(&format!("ended badly ({status})"), &self.log)),
            Ok(Err(error)) => Err(failed(&format!("cannot be waited for ({error})"), &self.log)),
            Err(_) => Err(failed("did not stop in time", &self.log)),
        }
    }
}

/// Runs `farthing verify` on that data folder or database: whether the ledger is in order, and what was said.
///
/// # Errors
/// If the command cannot be run.
pub async fn verify(data: &Path, database: Option<&str>) -> Result<(ExitStatus, String), BenchError> {
    let output = this_binary(database)?
        .arg("verify")
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| BenchError::Server(format!("verify cannot be run: {error}")))?;
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
        .join("\n");
    Ok((output.status, text))
}

/// This same program, without the variables that would turn it to another ledger.
fn this_binary(database: Option<&str>) -> Result<Command, BenchError> {
    let path = std::env::current_exe()
        .map_err(|error| BenchError::Server(format!("where this program is cannot be found out: {error}")))?;
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("FARTHING_") && !TUNING.iter().any(|tuning| text.starts_with(tuning)) {
            command.env_remove(&name);
        }
    }
    // Not an argument: it may hold a password, which everybody on the machine could read there.
    command.envs(database.map(|url| ("FARTHING_DATABASE_URL", url)));
    Ok(command)
}

async fn wait_until_listening(stdout: Option<&mut Lines<BufReader<ChildStdout>>>) -> Option<String> {
    let lines = stdout?;
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, address)) = line.split_once(LISTENING) {
            return Some(address.trim().trim_end_matches('/').to_owned());
        }
    }
    None
}

/// Where the server writes its log, to show the end of it if it fails. A file, as servers have: a pipe would wake its reader
/// for each line, who sends the load.
#[derive(Debug)]
struct Log(PathBuf);

impl Log {
    /// The file, for one more server to write to.
    fn open(&self) -> Result<File, BenchError> {
        File::options().create(true).append(true).open(&self.0).map_err(|error| unusable(&self.0, &error))
    }

    fn last_lines(&self) -> String {
        let said = std::fs::read(&self.0).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let mut lines: Vec<_> = said.lines().rev().take(LINES_KEPT).collect();
        if lines.is_empty() {
            return "it said nothing".to_owned();
        }
        lines.reverse();
        format!("it said\n{}", lines.join("\n"))
    }
}

fn make(path: &Path) -> Result<(), BenchError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> BenchError {
    BenchError::Usage(format!("the folder {} cannot be used: {error}", path.display()))
}

fn is_in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path)
        .ok()
        .and_then(|found| u64::try_from(found.f_type).ok())
        .is_some_and(|kind| IN_MEMORY.contains(&kind))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_temporary_folder_goes_with_everything_in_it() {
        let folder = Folder::temporary(&format!("farthing-bench-test-{}", std::process::id())).unwrap();
        let path = folder.path().to_path_buf();
        std::fs::write(path.join("ledger.db"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_named_folder_stays_and_must_be_empty() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("deep/ledger");
        drop(Folder::kept(&path).unwrap());
        assert!(path.is_dir());
        std::fs::write(path.join("farthing.db"), "x").unwrap();
        assert!(matches!(Folder::kept(&path), Err(BenchError::Usage(_))));
        assert!(path.join("farthing.db").exists());
    }

    #[test]
    fn the_last_lines_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log(folder.path().join("log"));
        assert_eq!(log.last_lines(), "it said nothing");
        for line in 0..=LINES_KEPT {
            writeln!(log.open().unwrap(), "{line}").unwrap();
        }
        assert!(log.last_lines().starts_with("it said\n1\n2\n"));
        assert!(log.last_lines().ends_with("\n20"));
    }
}
