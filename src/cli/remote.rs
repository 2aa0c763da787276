//! A server that is asked over HTTP, by commands that need no ledger of their own.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::terminal::Failure;
use crate::webhook::Sender;

/// How long a connection and the head of an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Which server, and who asks.
#[derive(Debug, Clone, Args)]
pub struct RemoteArgs {
    /// The server
    #[arg(long, value_name = "URL", env = "FARTHING_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An access token or an API key; better given as `FARTHING_TOKEN`, since everybody on the machine can read arguments
    #[arg(long, value_name = "TOKEN", env = "FARTHING_TOKEN", hide_env_values = true)]
    token: String,
}

/// A server, and the token that is shown to it.
pub(super) struct Remote {
    url: Url,
    token: String,
    tls: TlsConnector,
}

impl Remote {
    /// The server that the arguments name.
    ///
    /// # Errors
    /// If the URL is none.
    pub(super) fn new(args: &RemoteArgs) -> Result<Self, Failure> {
        let url = Url::parse(&args.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url =
            url.ok_or_else(|| Failure::Usage("--url must be a URL such as http://127.0.0.1:8080".into()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::Usage(format!("TLS: {error}")))?
            .with_root_certificates(Sender::system_roots())
            .with_no_client_auth();
        Ok(Self { url, token: args.token.clone(), tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Asks; what is no success is an error that says why.
    ///
    /// # Errors
    /// [`Failure::Refused`] if nobody answers, or the answer is no.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, Asked> {
        let asking = self.ask_in_time(method, path, body);
        let response = timeout(TIMEOUT, asking).await.map_err(|_| Asked::away("no answer in time"))??;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes);
        let problem: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        let told = problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or("no reason given");
        Err(Asked::Refused(status, told.to_owned()))
    }

    async fn ask_in_time(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, Asked> {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let port = self.url.port_or_known_default().unwrap_or(80);
        let mut request =
            Request::new(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(Asked::away)?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(format!("{host}:{port}")).map_err(Asked::away)?);
        let bearer = format!("Bearer {}", self.token);
        headers.insert(AUTHORIZATION, HeaderValue::try_from(bearer).map_err(|_| Asked::away("the token"))?);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let address = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let stream = TcpStream::connect((address.as_str(), port)).await.map_err(Asked::away)?;
        if self.url.scheme() == "https" {
            let name = ServerName::try_from(address).map_err(Asked::away)?;
            let stream = self.tls.connect(name, stream).await.map_err(Asked::away)?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        }
    }
}

/// Why there is no answer to go on with.
#[derive(Debug, thiserror::Error)]
pub(super) enum Asked {
    /// Nobody answered.
    #[error("the server cannot be reached: {0}")]
    Away(String),
    /// The answer was no.
    #[error("the server says {0}: {1}")]
    Refused(StatusCode, String),
}

impl Asked {
    /// Nobody answered, for this reason.
    pub(super) fn away(error: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Away(error.into().to_string())
    }
}

impl From<Asked> for Failure {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Away(_) => Self::Database(asked.to_string()),
            Asked::Refused(..) => Self::Refused(asked.to_string()),
        }
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Asked>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Asked::away)?;
    // It ends with the answer's body.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(Asked::away)
}
