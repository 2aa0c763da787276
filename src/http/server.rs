//! The accept loop: HTTP/1.1 over TCP, one task a connection.
//!
//! Bounds: a fixed number of connections (more wait in the kernel's queue), a head read within 20 s, and a stop that
//! answers every accepted request within `GRACE`. A connection without a request for 20 s is closed.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;

/// The most connections at once.
const MAX_CONNECTIONS: usize = 10_000;
/// How long a request's head may take; also how long a connection may wait between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a stop waits for requests under way. The process has promised to be gone within 10 s.
const GRACE: Duration = Duration::from_secs(8);
/// How long to wait after the kernel had no file for a connection, so that some can close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections until `shutdown` is done, then answers what was accepted and returns.
pub async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => serve_connection(&http, &graceful, &app, stream, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
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

fn serve_connection(
    http: &http1::Builder,
    graceful: &GracefulShutdown,
    app: &Arc<App>,
    stream: TcpStream,
    place: OwnedSemaphorePermit,
) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Without it small answers wait for the client's acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let app = Arc::clone(app);
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(app.respond(request, peer.ip()).await) }
    });
    let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
    tokio::spawn(async move {
        // How a connection ends is the client's business: it went away, or sent what is no HTTP.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(place);
    });
}
