//! `farthing serve`: from settings to a server that answers, and back down again.
//!
//! The order matters: the address is taken first, so that a taken one leaves nothing behind; the folder's lock before
//! anything in it is touched; the database before anybody can connect; the control socket before the banner that speaks
//! of it. On the way down the listeners go first and the lock last. A stop has `STOP_LIMIT`, which is less than the 10 s
//! that were promised.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::admin;
use super::banner::Banner;
use super::control::ControlSocket;
use super::lock::FolderLock;
use super::open::{self, Ledger, Listeners};
use super::terminal::{Failure, print, tell};
use crate::config::Loaded;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;
/// The server cuts what is still open after 8 s by itself; this is for a server that hangs. Closing comes on top.
const STOP_LIMIT: Duration = Duration::from_millis(8_500);

/// How long after the start every thread has what it needs while nobody calls.
const SETTLED: Duration = Duration::from_secs(2);

/// Serves until it is told to stop.
///
/// # Errors
/// If the folder, the database or the address cannot be used.
pub fn run(loaded: &Loaded) -> Result<(), Failure> {
    let settings = &loaded.settings;
    huge_pages(false);
    open::start_log(settings)?;
    let tls = open::tls(settings)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let api = Taken::bind("server.listen", settings.server.listen)?;
    let metrics =
        settings.metrics.listen.map(|address| Taken::bind("metrics.listen", address)).transpose()?;
    let lock = open::lock(settings)?;
    let is_embedded = lock.is_some();
    let mut warnings = Vec::new();
    if lock.as_ref().is_some_and(FolderLock::open_to_others) {
        warnings.push("other users of this machine may enter the data folder; chmod 700 mends it".to_owned());
    }
    let ledger = open::ledger(loaded, lock)?;
    let result = ledger.run(async {
        let address = api.address;
        let listeners =
            Listeners { api: api.listen()?, metrics: metrics.map(Taken::listen).transpose()?, tls };
        // Commands come to PostgreSQL by themselves.
        let control = is_embedded.then(|| ControlSocket::open(&settings.server.data)).transpose();
        let control = control.unwrap_or_else(|error| {
            // Payments need no control socket, so a server without one is better than none.
            warnings.push(format!("admin commands will not reach this server: {error}"));
            None
        });
        let mut signals = Signals::listen()?;
        let first_admin = ledger.teller().offer_first_admin().await.unwrap_or_else(|error| {
            warnings.push(format!("no link for the first administrator could be made: {error}"));
            None
        });
        tell(&Banner::new(loaded, ledger.mode(), address, warnings).with_first_admin(first_admin).text());
        print(&format!("listening on {scheme}://{address}"))?;
        tokio::spawn(async {
            tokio::time::sleep(SETTLED).await;
            huge_pages(true);
        });
        until_stopped(|stop| serve(&ledger, listeners, control, stop), &mut signals).await;
        Ok(())
    });
    ledger.close();
    result
}

/// Whether memory that is touched from now on may come in huge pages. They make a loaded server faster by a tenth and
/// more, but what is touched once while it starts would take 2 MiB for a few KiB each.
fn huge_pages(allowed: bool) {
    // An old kernel, or a sandbox that forbids it, is no reason not to serve.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(!allowed) {
        tracing::debug!(%error, "huge pages could not be switched");
    }
}

/// An address that this process has, and on which nobody can connect yet.
struct Taken {
    key: &'static str,
    socket: TcpSocket,
    /// With port 0 the system has chosen one.
    address: SocketAddr,
}

impl Taken {
    fn bind(key: &'static str, address: SocketAddr) -> Result<Self, Failure> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let bound = socket.and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let address = socket.local_addr()?;
            Ok(Self { key, socket, address })
        });
        bound.map_err(|error| cannot_listen(key, address, &error))
    }

    /// Lets clients connect. Of two servers that took the same address at the same time, one fails here.
    fn listen(self) -> Result<TcpListener, Failure> {
        self.socket.listen(BACKLOG).map_err(|error| cannot_listen(self.key, self.address, &error))
    }
}

fn cannot_listen(key: &str, address: SocketAddr, error: &io::Error) -> Failure {
    Failure::Usage(format!("cannot listen on {address}: {error}; choose another {key}"))
}

/// Serves clients and the host's commands until told to stop, and answers what was accepted. Both end before the database
/// closes, so that nothing comes to a ledger that is closing.
async fn serve(
    ledger: &Ledger,
    listeners: Listeners,
    control: Option<ControlSocket>,
    stop: oneshot::Receiver<()>,
) {
    let (stop_control, control_stop) = oneshot::channel::<()>();
    let stopped = async move {
        // A sender that is gone means the same, here as below.
        let _ = stop.await;
        drop(stop_control);
    };
    let commands = async move {
        let Some(socket) = control else { return };
        let teller = Arc::clone(ledger.teller());
        let carry_out = move |request| {
            let teller = Arc::clone(&teller);
            async move { admin::carry_out(&teller, request).await }
        };
        let stopped = async move {
            let _ = control_stop.await;
        };
        socket.serve(carry_out, stopped).await;
    };
    tokio::join!(open::serve(ledger, listeners, stopped), commands);
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
