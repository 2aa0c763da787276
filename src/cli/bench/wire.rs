//! A very cheap HTTP/1.1 client: one connection, one request under way, no allocation a request.
//!
//! The load generator shares the machine with the server that it measures, so each microsecond spent here is one that
//! the server lacks. An answer is therefore parsed just enough: status, length, body. What this client does not
//! understand (chunked bodies, answers without a length, bodies over [`ANSWER_LIMIT`]) is an error with a clear text,
//! never a guess: a wrong answer must not be counted as a payment.

use std::io;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest answer that is read, head and body together, in bytes.
pub const ANSWER_LIMIT: usize = 1024 * 1024;
/// Room for an ordinary answer. The buffer grows for larger ones and then stays.
const BUFFER_START: usize = 16 * 1024;
/// More headers than any answer of ours has.
const HEADERS_LIMIT: usize = 48;

/// Why an exchange failed. The connection cannot be used afterwards.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The server closed the connection before its answer was complete.
    #[error("the server closed the connection before its answer was complete")]
    Closed,
    /// Not HTTP/1.1.
    #[error("the answer is not HTTP/1.1: {0}")]
    Malformed(#[from] httparse::Error),
    /// `Transfer-Encoding` is not understood here.
    #[error(
        "the answer has a Transfer-Encoding (chunked); this client reads only answers with a Content-Length"
    )]
    Chunked,
    /// Neither a length nor a status that goes without a body.
    #[error("the answer has no usable Content-Length")]
    LengthMissing,
    /// Over [`ANSWER_LIMIT`].
    #[error("the answer is larger than {ANSWER_LIMIT} bytes")]
    TooLarge,
    /// Bytes after the end of the answer, though only one request was under way.
    #[error("the server sent more than the one answer that was asked for")]
    Surplus,
}

/// One answer, in the connection's buffer until the next exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// Seconds after which to ask again, where the server says so in whole seconds.
    pub retry_after_seconds: Option<u64>,
    /// The body, as long as `Content-Length` says.
    pub body: &'a [u8],
}

/// A connection that is kept open and carries one request at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    closing: bool,
}

impl Connection {
    /// Connects to `authority` (`host:port`), with `TCP_NODELAY`.
    ///
    /// # Errors
    /// If the host is unknown or nothing accepts connections there.
    pub async fn open(authority: &str) -> Result<Self, WireError> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_START], closing: false })
    }

    /// Whether the server said that it closes the connection after the last answer.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Sends `request`, whole and ready-made, and reads the one answer to it.
    ///
    /// # Errors
    /// [`WireError`]; the connection must then be dropped.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, WireError> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let head = loop {
            filled = self.read_more(filled).await?;
            if let Some(head) = Head::parse(self.buffer.get(..filled).unwrap_or_default())? {
                break head;
            }
        };
        while filled < head.body.end {
            filled = self.read_more(filled).await?;
        }
        if filled > head.body.end {
            return Err(WireError::Surplus);
        }
        self.closing = head.closes;
        Ok(Answer {
            status: head.status,
            retry_after_seconds: head.retry_after_seconds,
            body: self.buffer.get(head.body).unwrap_or_default(),
        })
    }

    /// Reads once behind what is `filled`, and says how much is filled then.
    async fn read_more(&mut self, filled: usize) -> Result<usize, WireError> {
        if filled >= self.buffer.len() {
            if self.buffer.len() >= ANSWER_LIMIT {
                return Err(WireError::TooLarge);
            }
            self.buffer.resize(self.buffer.len().saturating_mul(2).min(ANSWER_LIMIT), 0);
        }
        let room = self.buffer.get_mut(filled..).unwrap_or_default();
        match self.stream.read(room).await? {
            0 => Err(WireError::Closed),
            read => Ok(filled.saturating_add(read)),
        }
    }
}

/// What is needed of an answer's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    closes: bool,
    retry_after_seconds: Option<u64>,
    /// Where in the buffer the body is.
    body: Range<usize>,
}

impl Head {
    /// Reads the head at the start of `bytes`; nothing if it is not complete yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_LIMIT];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head_length) = response.parse(bytes)? else { return Ok(None) };
        let status = response.code.ok_or(WireError::Malformed(httparse::Error::Status))?;
        // HTTP/1.0 closes unless told otherwise; ours never speaks it.
        let mut closes = response.version != Some(1);
        let mut length = None;
        let mut retry_after_seconds = None;
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                length = Some(whole_number(header.value).ok_or(WireError::LengthMissing)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(WireError::Chunked);
            } else if header.name.eq_ignore_ascii_case("connection") {
                closes |= header.value.eq_ignore_ascii_case(b"close");
            } else if header.name.eq_ignore_ascii_case("retry-after") {
                retry_after_seconds =
                    whole_number(header.value).and_then(|seconds| u64::try_from(seconds).ok());
            }
        }
        let length = match (status, length) {
            (204 | 304, _) => 0,
            (_, Some(length)) => length,
            (_, None) => return Err(WireError::LengthMissing),
        };
        let end =
            head_length.checked_add(length).filter(|end| *end <= ANSWER_LIMIT).ok_or(WireError::TooLarge)?;
        Ok(Some(Self { status, closes, retry_after_seconds, body: head_length..end }))
    }
}

fn whole_number(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::body::Bytes;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use tokio::net::TcpListener;

    use super::*;

    /// Answers with the header and the body that came, so that a mixed-up or cut answer shows.
    async fn echo(headers: HeaderMap, body: Bytes) -> (StatusCode, [(&'static str, String); 1], Bytes) {
        let key = headers.get("idempotency-key").map_or("", |key| key.to_str().unwrap());
        (StatusCode::CREATED, [("x-key", key.to_owned())], body)
    }

    async fn echo_server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let router = Router::new().route("/payment", post(echo));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(router);
            let io = hyper_util::rt::TokioIo::new(stream);
            hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.unwrap();
        });
        authority
    }

    /// Accepts one connection, waits for a request, and sends `parts` with a pause between them.
    async fn raw_server(parts: &'static [&'static [u8]]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(read > 0);
            for part in parts {
                stream.write_all(part).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        authority
    }

    async fn exchange_with(parts: &'static [&'static [u8]]) -> Result<(u16, Vec<u8>, bool), WireError> {
        let mut connection = Connection::open(&raw_server(parts).await).await?;
        let (status, body) = {
            let answer = connection.exchange(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await?;
            (answer.status, answer.body.to_vec())
        };
        Ok((status, body, connection.is_closing()))
    }

    #[tokio::test]
    async fn a_kept_connection_gives_each_request_its_own_answer() {
        let mut connection = Connection::open(&echo_server().await).await.unwrap();
        for length in [0_usize, 1, 45, 20_000, 70_000, 3] {
            let body = vec![b'a'; length];
            let mut request = format!(
                "POST /payment HTTP/1.1\r\nhost: x\r\nidempotency-key: {length}\r\ncontent-length: {length}\r\n\r\n"
            )
            .into_bytes();
            request.extend_from_slice(&body);
            let answer = connection.exchange(&request).await.unwrap();
            assert_eq!((answer.status, answer.body.len()), (201, length));
            assert_eq!(answer.body, body);
        }
        assert_eq!(connection.exchange(b"GET /none HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap().status, 404);
        assert!(!connection.is_closing());
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_put_together() {
        let parts: &[&[u8]] = &[
            b"HTTP/1.1 402 Pay",
            b"ment Required\r\nContent-Length: 5\r\nConnection: close\r\n",
            b"\r\nhe",
            b"llo",
        ];
        assert_eq!(exchange_with(parts).await.unwrap(), (402, b"hello".to_vec(), true));
        let parts: &[&[u8]] = &[b"HTTP/1.1 204 No Content\r\n\r\n"];
        assert_eq!(exchange_with(parts).await.unwrap(), (204, Vec::new(), false));
    }

    #[tokio::test]
    async fn what_is_not_understood_is_an_error_and_never_an_answer() {
        let parts: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"];
        assert!(matches!(exchange_with(parts).await, Err(WireError::Chunked)));
        let parts: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\n\r\nhello"];
        assert!(matches!(exchange_with(parts).await, Err(WireError::LengthMissing)));
        let parts: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello"];
        assert!(matches!(exchange_with(parts).await, Err(WireError::LengthMissing)));
        let parts: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"];
        assert!(matches!(exchange_with(parts).await, Err(WireError::TooLarge)));
        let parts: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"];
        assert!(matches!(exchange_with(parts).await, Err(WireError::Closed)));
        let parts: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello"];
        assert!(matches!(exchange_with(parts).await, Err(WireError::Surplus)));
        let parts: &[&[u8]] = &[b"SSH-2.0-OpenSSH\r\n"];
        assert!(matches!(exchange_with(parts).await, Err(WireError::Malformed(_))));
    }

    #[test]
    fn a_retry_after_in_seconds_is_read() {
        let head =
            Head::parse(b"HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert_eq!(head.unwrap().retry_after_seconds, Some(7));
    }
}
