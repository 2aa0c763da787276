//! The accept loop: HTTP/1.1 over TCP, plain or in TLS, one task a connection.
//!
//! Bounds ([`Bounds`]): a number of connections (more wait in the kernel's queue) and of them from one address, the time
//! that a head, a body, a pause between requests and a client's taking of an answer may last, the size of a head; and a
//! stop that answers every accepted request within `GRACE`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::App;
use super::edge::Bounds;
use super::tls::Tls;
use super::wire::{Phase, Stream, Wire};
use crate::ledger::network_of;

/// How long a stop waits for requests under way. The process has promised to be gone within 10 s.
const GRACE: Duration = Duration::from_secs(8);
/// How long to wait after the kernel had no file for a connection, so that some can close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The first byte of a handshake of TLS (RFC 8446 5.1).
const HANDSHAKE: u8 = 22;

/// Serves connections until `shutdown` is done, then answers what was accepted and returns.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()>,
) {
    let following = tls.clone().map(|tls| tokio::spawn(tls.follow()));
    let bounds = app.edge().bounds;
    let mut http = http1::Builder::new();
    http.max_buf_size(bounds.head_bytes);
    let server =
        Arc::new(Server { http, app: Arc::clone(&app), acceptor: tls.map(|tls| tls.acceptor()), bounds });
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(bounds.connections));
    let guests = Arc::new(Guests::default());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => server.welcome(stream, place, &guests, graceful.watcher()),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if let Some(following) = following {
        following.abort();
    }
    app.begin_stop();
    app.streams().stop();
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time and were cut");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// What every connection is served with.
struct Server {
    http: http1::Builder,
    app: Arc<App>,
    acceptor: Option<TlsAcceptor>,
    bounds: Bounds,
}

impl Server {
    /// Serves a connection in a task of its own, if its address may have one more.
    fn welcome(
        self: &Arc<Self>,
        stream: TcpStream,
        place: OwnedSemaphorePermit,
        guests: &Arc<Guests>,
        watcher: Watcher,
    ) {
        let Ok(peer) = stream.peer_addr() else { return };
        let peer = peer.ip();
        // A proxy brings everybody's connections.
        let most = if self.app.edge().proxies.trusted.contain(peer) {
            usize::MAX
        } else {
            self.bounds.connections_per_address
        };
        let Some(guest) = guests.admit(peer, most) else {
            tracing::debug!(%peer, "an address has too many connections");
            return;
        };
        // Without it small answers wait for the client's acknowledgement of the one before.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let server = Arc::clone(self);
        tokio::spawn(async move {
            // How a connection ends is the client's business: it went away, or sent what is no HTTP.
            if let Err(error) = server.serve(stream, peer, watcher).await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop((place, guest));
        });
    }

    async fn serve(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        watcher: Watcher,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let stream = match &self.acceptor {
            None => Stream::Plain(stream),
            Some(acceptor) => {
                match tokio::time::timeout(self.bounds.head_timeout, shake(acceptor, stream)).await? {
                    Ok(stream) => stream,
                    Err(Handshake::NotTls(stream)) => {
                        return self.say_https(stream, peer).await.map_err(Into::into);
                    }
                    Err(Handshake::Failed(error)) => return Err(error.into()),
                }
            }
        };
        let phase = Phase::waiting();
        let app = Arc::clone(&self.app);
        let refuse = Box::new(move |status, date: &str| app.refuse_head(status, date, peer));
        let wire = Wire::new(stream, phase.clone(), self.bounds, refuse);
        let service = service_fn(|request| {
            let (app, phase) = (Arc::clone(&self.app), phase.clone());
            async move {
                phase.begin_answer();
                let reply = app.respond(request, peer).await;
                phase.end_answer();
                Ok::<_, Infallible>(reply)
            }
        });
        Ok(watcher.watch(self.http.serve_connection(TokioIo::new(wire), service)).await?)
    }

    /// Tells a client that speaks plain HTTP what is spoken here. It is not led on: what it sent was readable on its way,
    /// and whoever wrote that address should hear of it.
    async fn say_https(&self, mut stream: TcpStream, peer: IpAddr) -> io::Result<()> {
        use tokio::io::AsyncWriteExt as _;
        stream.write_all(&self.app.refuse_plain(peer)).await?;
        stream.shutdown().await
    }
}

/// Why there is no TLS on a connection.
enum Handshake {
    NotTls(TcpStream),
    Failed(io::Error),
}

async fn shake(acceptor: &TlsAcceptor, stream: TcpStream) -> Result<Stream, Handshake> {
    let mut first = [0_u8];
    let read = stream.peek(&mut first).await.map_err(Handshake::Failed)?;
    if read == 1 && first != [HANDSHAKE] {
        return Err(Handshake::NotTls(stream));
    }
    let stream = acceptor.accept(stream).await.map_err(Handshake::Failed)?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// Whose connections are open: how many from each address, of IPv6 from each /64.
#[derive(Debug, Default)]
struct Guests(Mutex<HashMap<IpAddr, usize>>);

impl Guests {
    fn admit(self: &Arc<Self>, peer: IpAddr, most: usize) -> Option<Guest> {
        let network = network_of(peer);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_default();
        if *count >= most {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Guest { guests: Arc::clone(self), network })
    }
}

/// One open connection of an address.
struct Guest {
    guests: Arc<Guests>,
    network: IpAddr,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}
