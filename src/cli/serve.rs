//! `farthing serve`: from settings to a server that answers, and back down again.
//!
//! The order matters: the folder's lock before anything in it is touched, the database before the listener (who can
//! connect is served), the control socket before the banner that speaks of it. On the way down the listener goes
//! first and the lock last. A stop has `STOP_LIMIT`, which is less than the 10 s that were promised.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::admin;
use super::banner::Banner;
use super::control::ControlSocket;
use super::lock::FolderLock;
use super::open::{self, Listeners};
use super::terminal::{Failure, print, tell};
use crate::config::Loaded;

/// The server cuts what is still open after 8 s by itself; this is for a server that hangs. Closing comes on top.
const STOP_LIMIT: Duration = Duration::from_millis(8_500);

/// Serves until it is told to stop.
///
/// # Errors
/// If the folder, the database or the address cannot be used.
pub fn run(loaded: &Loaded) -> Result<(), Failure> {
    let settings = &loaded.settings;
    open::start_log(settings)?;
    let lock = open::lock(settings)?;
    let is_embedded = lock.is_some();
    let mut warnings = Vec::new();
    if lock.as_ref().is_some_and(FolderLock::open_to_others) {
        warnings.push("other users of this machine may enter the data folder; chmod 700 mends it".to_owned());
    }
    let ledger = open::ledger(loaded, lock)?;
    let result = ledger.run(async {
        let (api, address) = listen("server.listen", settings.server.listen).await?;
        let metrics = match settings.metrics.listen {
            Some(address) => Some(listen("metrics.listen", address).await?.0),
            None => None,
        };
        let mut control = JoinSet::new();
        match is_embedded.then(|| ControlSocket::open(&settings.server.data)).transpose() {
            // Commands come to PostgreSQL by themselves.
            Ok(None) => {}
            Ok(Some(socket)) => {
                let teller = Arc::clone(ledger.teller());
                control.spawn(socket.serve(move |request| {
                    let teller = Arc::clone(&teller);
                    async move { admin::carry_out(&teller, request).await }
                }));
            }
            // Payments need no control socket, so a server without one is better than none.
            Err(error) => warnings.push(format!("admin commands will not reach this server: {error}")),
        }
        let mut signals = Signals::listen()?;
        tell(&Banner::new(loaded, ledger.mode(), address, warnings).text());
        print(&format!("listening on http://{address}"))?;
        until_stopped(|stop| open::serve(&ledger, Listeners { api, metrics }, stop), &mut signals).await;
        // The socket goes before the database, so that no command comes to a ledger that is closing.
        control.shutdown().await;
        Ok(())
    });
    ledger.close();
    result
}

/// Listens, and says where: with port 0 the system chooses.
async fn listen(key: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let cannot = |error| Failure::Usage(format!("cannot listen on {address}: {error}; choose another {key}"));
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok((listener, address))
}

/// Runs a server until the first signal, then lets it finish what it accepted; a second signal or the limit ends it.
async fn until_stopped<F>(server: impl FnOnce(oneshot::Receiver<()>) -> F, signals: &mut Signals)
where
    F: Future<Output = ()>,
{
    let (stop, stopped) = oneshot::channel();
    let mut serving = std::pin::pin!(server(stopped));
    tokio::select! {
        () = &mut serving => return,
        () = signals.next() => {}
    }
    tell("stopping: what was accepted is finished first; a second signal stops at once");
    // If nobody receives it, the server has ended already.
    let _ = stop.send(());
    tokio::select! {
        () = &mut serving => {}
        () = signals.next() => tell("stopped at once"),
        () = tokio::time::sleep(STOP_LIMIT) => tell("stopped, though not everything had finished"),
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let on =
            |kind| signal(kind).map_err(|error| Failure::Usage(format!("cannot receive signals: {error}")));
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
