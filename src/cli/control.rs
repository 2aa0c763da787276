//! The control socket: how a command that writes reaches the server that holds the data folder.
//!
//! A Unix socket in the data folder; one JSON object a line, one request a connection, one response. Who may open it
//! may open the ledger as well (folder 0700, socket 0600), so a request carries no credentials of its own. A request
//! is at most [`LONGEST_LINE_BYTES`] long and must arrive within [`PATIENCE`]. A stop waits up to `GRACE` for the
//! commands under way, so that who gave one learns what came of it.

use std::future::Future;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

/// The socket's name within the data folder.
pub const SOCKET: &str = "control.sock";
/// The longest request or response, in bytes.
pub const LONGEST_LINE_BYTES: u64 = 64 * 1024;
/// How long either side waits for the other.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a stop waits for commands under way; less than the server's own limit.
const GRACE: Duration = Duration::from_secs(5);
/// What the kernel allows for a socket's path (`sun_path`), less the zero at its end.
const LONGEST_PATH_BYTES: usize = 107;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// What to do.
    pub command: ControlCommand,
}

/// What a server can be asked to do. A new command is a variant here and an arm in `admin::carry_out`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlCommand {
    /// Make a user.
    CreateUser {
        /// Its email.
        email: String,
        /// What others see.
        name: Option<String>,
        /// The name of its role.
        role: String,
        /// Its password; hashed by who carries the command out.
        password: SecretText,
    },
    /// Change what a user may do; what is absent stays.
    ChangeUser {
        /// The user's email.
        email: String,
        /// The name of the new role.
        role: Option<String>,
        /// Whether they are frozen from now on.
        frozen: Option<bool>,
    },
    /// Take a user's second factor away.
    ResetTotp {
        /// The user's email.
        email: String,
    },
    /// Make a one-time link by which a user sets a new password.
    ResetPassword {
        /// The user's email.
        email: String,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlResponse {
    /// The user that was made.
    User {
        /// Its id.
        id: String,
        /// Its email.
        email: String,
        /// Its role.
        role: String,
    },
    /// The link that was made.
    Link {
        /// What the user shows for it.
        token: SecretText,
    },
    /// The answer is no.
    Refused {
        /// Why, for the person at the terminal.
        message: String,
    },
    /// It could not be done, or not understood.
    Failed {
        /// Why, for the person at the terminal.
        message: String,
    },
}

/// A text that does not print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// The server's end. The socket's file goes when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: tokio::net::UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Opens the socket in a folder whose lock the caller holds. Call within a runtime.
    ///
    /// # Errors
    /// If the folder's path is too long for a socket, or the system refuses.
    pub fn open(folder: &Path) -> Result<Self, ControlError> {
        let path = socket_path(folder)?;
        let failed = |source| ControlError::Unusable { path: path.clone(), source };
        // Whoever holds the folder's lock is alone, so a socket that is there was left by a process that died.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = tokio::net::UnixListener::bind(&path).map_err(failed)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, path })
    }

    /// Answers requests until `stop` is done, then takes no more and lets those under way come to their end.
    pub async fn serve<H, F>(self, handler: H, stop: impl Future<Output = ()>)
    where
        H: Fn(ControlRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ControlResponse> + Send + 'static,
    {
        let mut under_way = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                // Only lets go of what has ended.
                Some(_) = under_way.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                // A client that is slow or gone hurts only itself.
                Ok((stream, _)) => {
                    under_way.spawn(tokio::time::timeout(PATIENCE, answer(stream, handler.clone())));
                }
                // Out of descriptors, most likely: trying again at once would only burn a core.
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        drop(self);
        let ended = async { while under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("some commands of the control socket did not end in time and were cut");
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // A socket that is left behind is replaced by the next server.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Asks the server that holds the folder, and waits for its response.
///
/// # Errors
/// If there is no server, or it does not answer.
pub fn ask(folder: &Path, request: &ControlRequest) -> Result<ControlResponse, ControlError> {
    let path = socket_path(folder)?;
    let failed = |source| ControlError::Unusable { path: path.clone(), source };
    let mut stream = std::os::unix::net::UnixStream::connect(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NobodyListens(path.clone())
        }
        _ => failed(error),
    })?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let line = to_line(request).map_err(failed)?;
    stream.write_all(line.as_bytes()).map_err(failed)?;
    let mut response = String::new();
    BufReader::new(stream.take(LONGEST_LINE_BYTES)).read_line(&mut response).map_err(failed)?;
    serde_json::from_str(&response).map_err(|error| failed(error.into()))
}

/// Why the control socket is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The kernel has no room for such a path.
    #[error(
        "the path of the control socket, {}, has {} bytes, and the system allows {LONGEST_PATH_BYTES}; \
         use a data folder with a shorter path (a relative one will do)",
        .0.display(), .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    /// Nobody has it open, so nothing was asked.
    #[error("nobody listens at the control socket {}", .0.display())]
    NobodyListens(PathBuf),
    /// It cannot be opened, or the answer did not come.
    #[error("the control socket {} cannot be used: {source}", path.display())]
    Unusable {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

fn socket_path(folder: &Path) -> Result<PathBuf, ControlError> {
    let path = folder.join(SOCKET);
    if path.as_os_str().as_bytes().len() > LONGEST_PATH_BYTES {
        return Err(ControlError::PathTooLong(path));
    }
    Ok(path)
}

fn to_line(message: &impl Serialize) -> io::Result<String> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    Ok(line)
}

async fn answer<H, F>(mut stream: tokio::net::UnixStream, handler: H) -> io::Result<()>
where
    H: Fn(ControlRequest) -> F,
    F: Future<Output = ControlResponse>,
{
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(LONGEST_LINE_BYTES)).read_line(&mut line).await?;
    let response = match serde_json::from_str(&line) {
        Ok(request) => handler(request).await,
        // The parser's message could quote a password.
        Err(_) => ControlResponse::Failed {
            message: "the server does not understand this command; is it of another version?".to_owned(),
        },
    };
    writer.write_all(to_line(&response)?.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn create(email: &str) -> ControlRequest {
        let password = SecretText("a long enough password".to_owned());
        let command = ControlCommand::CreateUser {
            email: email.to_owned(),
            name: None,
            role: "admin".to_owned(),
            password,
        };
        ControlRequest { command }
    }

    /// Refuses with the email that it was sent, which shows that the request arrived whole.
    async fn echo(request: ControlRequest) -> ControlResponse {
        match request.command {
            ControlCommand::CreateUser { email, .. } => ControlResponse::Refused { message: email },
            other => ControlResponse::Failed { message: format!("{other:?}") },
        }
    }

    async fn until(stopped: tokio::sync::oneshot::Receiver<()>) {
        let _ = stopped.await;
    }

    async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_is_answered_and_a_stale_socket_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = ControlSocket::open(folder.path()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(socket.serve(echo, until(stopped)));
        for email in ["ann@example.com", "bob@example.com"] {
            let at = folder.path().to_path_buf();
            let response = blocking(move || ask(&at, &create(email))).await.unwrap();
            assert_eq!(response, ControlResponse::Refused { message: email.to_owned() });
        }

        drop(stop);
        server.await.unwrap();
        assert!(!path.exists(), "the socket goes with its server");
        let at = folder.path().to_path_buf();
        let error = blocking(move || ask(&at, &create("ann@example.com"))).await.unwrap_err();
        assert!(matches!(error, ControlError::NobodyListens(_)), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_request_is_answered_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        let server =
            tokio::spawn(ControlSocket::open(folder.path()).unwrap().serve(echo, std::future::pending()));
        let too_long = format!("{{\"x\":\"{}\n", "x".repeat(70_000));
        for text in ["{\"command\":{\"open_sesame\":{}}}\n", "hunter2\n", "\n", too_long.as_str()] {
            let (path, text) = (folder.path().join(SOCKET), text.to_owned());
            let reply = blocking(move || {
                let mut stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                // The server may hang up before the end of an overlong line.
                let _ = stream.write_all(text.as_bytes());
                let mut reply = String::new();
                let _ = BufReader::new(stream).read_line(&mut reply);
                reply
            });
            let reply = reply.await;
            assert!(reply.starts_with("{\"failed\":") && !reply.contains("hunter2"), "{reply}");
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_command_under_way_and_takes_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let socket = ControlSocket::open(folder.path()).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (begun, mut beginnings) = tokio::sync::mpsc::unbounded_channel();
        let go_on = std::sync::Arc::new(tokio::sync::Notify::new());
        let released = std::sync::Arc::clone(&go_on);
        let slow = move |request| {
            begun.send(()).unwrap();
            let released = std::sync::Arc::clone(&released);
            async move {
                released.notified().await;
                echo(request).await
            }
        };
        let server = tokio::spawn(socket.serve(slow, until(stopped)));
        let at = folder.path().to_path_buf();
        let asked = tokio::spawn(blocking(move || ask(&at, &create("ann@example.com"))));
        beginnings.recv().await.unwrap();

        stop.send(()).unwrap();
        while folder.path().join(SOCKET).exists() {
            tokio::task::yield_now().await;
        }
        let at = folder.path().to_path_buf();
        let late = blocking(move || ask(&at, &create("bob@example.com"))).await.unwrap_err();
        assert!(matches!(late, ControlError::NobodyListens(_)), "{late}");
        assert!(!server.is_finished(), "the command is still under way");

        go_on.notify_one();
        let response = asked.await.unwrap().unwrap();
        assert_eq!(response, ControlResponse::Refused { message: "ann@example.com".to_owned() });
        server.await.unwrap();
    }

    #[test]
    fn passwords_in_requests_do_not_print() {
        assert!(!format!("{:?}", create("ann@example.com")).contains("long enough"));
    }

    #[tokio::test]
    async fn a_path_that_the_kernel_has_no_room_for_is_told_plainly() {
        let folder = PathBuf::from(format!("/{}", "d".repeat(200)));
        let error = ControlSocket::open(&folder).unwrap_err().to_string();
        assert!(error.contains("has 214 bytes, and the system allows 107"), "{error}");
        let longest = "d".repeat(LONGEST_PATH_BYTES - SOCKET.len() - 1);
        assert!(socket_path(Path::new(&longest)).is_ok());
        assert!(socket_path(Path::new(&format!("{longest}d"))).is_err());
    }
}
