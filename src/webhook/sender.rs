//! One attempt: resolve, check, connect, sign, send, read a little of the answer.
//!
//! The whole takes at most [`TIMEOUT`]. Every attempt has a connection of its own, to an address that the guard allowed,
//! directly: no proxy of the environment is asked and no redirect is followed. Of the answer [`KEPT_BYTES`] are kept and
//! the rest is never read.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, InvalidHeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::resolver::Resolver;
use super::signature::Secret;
use super::target::{Place, Target, TargetRules};
use crate::ledger::Timestamp;

/// How long an attempt may take, from the look-up of the name to the last byte of the answer.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an answer's body is kept.
pub const KEPT_BYTES: usize = 2_048;
/// How long one address of several may take to be connected.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 4;
/// How long the status line and the headers of an answer may be.
const HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;
/// A `Retry-After` of more than this is this.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const AGENT: &str = concat!("Farthing/", env!("CARGO_PKG_VERSION"));

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The event's id: the same at each attempt.
    pub id: &'a str,
    /// When it is sent.
    pub at: Timestamp,
    /// The event, as JSON.
    pub body: &'a str,
    /// What signs it: during a rotation two.
    pub secrets: &'a [Secret],
}

/// What an attempt led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The answer, or why there was none.
    pub outcome: Result<Answer, Failure>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// An endpoint's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The beginning of the body, as text without control characters.
    pub body: String,
    /// When the endpoint wants to be asked again, from now.
    pub retry_after: Option<Duration>,
}

impl Answer {
    /// Whether the endpoint took it.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there was no answer. The text is for the endpoint's owner: it says nothing about what was found in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The URL may not be an endpoint's any more.
    #[error("the URL is not allowed by this server's settings")]
    TargetNotAllowed,
    /// The name was not found.
    #[error("the name could not be resolved")]
    NotResolved,
    /// The name leads to an address that is not public.
    #[error("the name leads to an address that is not public")]
    AddressNotAllowed,
    /// Nobody took the connection.
    #[error("no connection could be made")]
    NotConnected,
    /// No TLS, or a certificate that does not prove the name.
    #[error("TLS failed: the certificate must be valid for the name")]
    Tls,
    /// The time was over.
    #[error("there was no answer within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
    /// The answer was no HTTP, or broke off.
    #[error("the answer was not HTTP, or broke off")]
    Protocol,
}

impl Failure {
    /// Every failure.
    pub const ALL: [Self; 7] = [
        Self::TargetNotAllowed,
        Self::NotResolved,
        Self::AddressNotAllowed,
        Self::NotConnected,
        Self::Tls,
        Self::TimedOut,
        Self::Protocol,
    ];

    /// The failure's code in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TargetNotAllowed => "url_not_allowed",
            Self::NotResolved => "name_not_resolved",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::NotConnected => "not_connected",
            Self::Tls => "tls_failed",
            Self::TimedOut => "timed_out",
            Self::Protocol => "not_http",
        }
    }

    /// The failure of that code.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.name() == name)
    }
}

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    rules: Arc<TargetRules>,
    resolver: Arc<dyn Resolver>,
    tls: TlsConnector,
}

impl Sender {
    /// A sender under these rules, that trusts these roots.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(
        rules: TargetRules,
        resolver: Arc<dyn Resolver>,
        roots: RootCertStore,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { rules: Arc::new(rules), resolver, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// The certificates that this machine trusts; none if it has none, and then no `https` endpoint is reached.
    pub fn system_roots() -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    }

    /// What endpoints may be.
    pub fn rules(&self) -> &TargetRules {
        &self.rules
    }

    /// Makes one attempt. Never fails: whatever goes wrong is the attempt's outcome.
    pub async fn send(&self, url: &str, message: Message<'_>) -> Attempt {
        let started = Instant::now();
        let deadline = started.checked_add(TIMEOUT).unwrap_or(started);
        // What takes long is within: a body that drips is cut at the deadline, and the status that came before it counts.
        let outcome = timeout_at(deadline, self.attempt(url, message, deadline))
            .await
            .unwrap_or(Err(Failure::TimedOut));
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Attempt { outcome, elapsed_ms }
    }

    async fn attempt(&self, url: &str, message: Message<'_>, deadline: Instant) -> Result<Answer, Failure> {
        // The rules may have become stricter since the endpoint was made.
        let target = Target::parse(url, &self.rules).map_err(|_| Failure::TargetNotAllowed)?;
        let request = request(&target, &message).map_err(|_| Failure::TargetNotAllowed)?;
        let addresses = self.addresses(&target).await?;
        let stream = self.connect(&addresses, target.port()).await?;
        if target.is_encrypted() {
            let name = server_name(&target).ok_or(Failure::Tls)?;
            let stream = self.tls.connect(name, stream).await.map_err(|_| Failure::Tls)?;
            exchange(stream, request, message.at, deadline).await
        } else {
            exchange(stream, request, message.at, deadline).await
        }
    }

    /// Where the connection may go. A name of which one address is not allowed is refused whole: no honest name leads to
    /// the internet and into somebody's network at the same time.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, Failure> {
        let found = match target.place() {
            Place::Address(address) => vec![*address],
            Place::Name(name) => self.resolver.resolve(name).await.map_err(|_| Failure::NotResolved)?,
        };
        if found.is_empty() {
            return Err(Failure::NotResolved);
        }
        if found.iter().all(|address| self.rules.guard.allows(*address)) {
            Ok(found)
        } else {
            Err(Failure::AddressNotAllowed)
        }
    }

    async fn connect(&self, addresses: &[IpAddr], port: u16) -> Result<TcpStream, Failure> {
        for address in addresses.iter().take(MAX_ADDRESSES) {
            let connecting = TcpStream::connect(SocketAddr::new(*address, port));
            let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, connecting).await else { continue };
            // Checked once more on what is really connected.
            let peer = stream.peer_addr().map_err(|_| Failure::NotConnected)?;
            if !self.rules.guard.allows(peer.ip()) {
                return Err(Failure::AddressNotAllowed);
            }
            // Without it only a few milliseconds more go by.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
        Err(Failure::NotConnected)
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("rules", &self.rules).finish_non_exhaustive()
    }
}

fn server_name(target: &Target) -> Option<ServerName<'static>> {
    match target.place() {
        Place::Name(name) => ServerName::try_from(name.clone()).ok(),
        Place::Address(address) => Some(ServerName::from(*address)),
    }
}

fn request(target: &Target, message: &Message<'_>) -> Result<Request<Full<Bytes>>, InvalidHeaderValue> {
    let seconds = message.at.as_millis().div_euclid(1_000);
    let signatures: Vec<String> = message
        .secrets
        .iter()
        .map(|secret| secret.sign(message.id, seconds, message.body.as_bytes()))
        .collect();
    let mut request = Request::new(Full::new(Bytes::from(message.body.to_owned())));
    *request.method_mut() = hyper::Method::POST;
    // A path that the URL's reader accepts and the request line would not is as good as none.
    *request.uri_mut() = target.path_and_query().parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&target.authority())?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(WEBHOOK_ID, HeaderValue::from_str(message.id)?);
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(seconds));
    headers.insert(WEBHOOK_SIGNATURE, HeaderValue::from_str(&signatures.join(" "))?);
    Ok(request)
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    now: Timestamp,
    deadline: Instant,
) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES).max_headers(MAX_HEADERS);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Protocol)?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let response = sender.send_request(request).await.map_err(|_| Failure::Protocol)?;
        Ok(read(response, now, deadline).await)
    });
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // Whatever the connection brought before its end is still to be read.
        _ = &mut connection => answer.await,
    }
}

/// What is kept of an answer. Its status counts, whatever becomes of its body.
async fn read(response: Response<Incoming>, now: Timestamp, deadline: Instant) -> Answer {
    let status = response.status();
    let retry_after = retry_after(status, response.headers(), now);
    let mut kept = Vec::new();
    let mut body = response.into_body();
    let before_deadline = deadline.checked_sub(Duration::from_millis(50)).unwrap_or(deadline);
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                kept.extend(data.iter().take(KEPT_BYTES.saturating_sub(kept.len())));
            }
            if kept.len() >= KEPT_BYTES {
                break;
            }
        }
    };
    // An answer that drips has been given: its status is known.
    let _ = timeout_at(before_deadline, reading).await;
    Answer { status: status.as_u16(), body: legible(&kept), retry_after }
}

/// Text that is safe to keep and to show: whatever the bytes were.
fn legible(bytes: &[u8]) -> String {
    let shown = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c };
    String::from_utf8_lossy(bytes).chars().map(shown).collect()
}

/// `Retry-After` of an answer that says "later", in seconds or as a date.
fn retry_after(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if status.is_success() {
        return None;
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let at = httpdate::parse_http_date(text).ok()?;
        let now = UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(now.as_millis()).ok()?))?;
        at.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}
