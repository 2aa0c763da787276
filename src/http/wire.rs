//! One connection as bytes: watched, so that a client which is slow on purpose is cut off, and mended where hyper says no
//! by itself.
//!
//! hyper answers a head that is no HTTP, or too large, with a bare head of its own. [`Wire`] puts a problem in its place:
//! such an answer is written while no request is being answered, is a head and nothing else, and has no request id.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use super::edge::Bounds;

/// How much of what a client still sends is thrown away before the connection closes, so that it sees the answer.
const MAX_LINGER_BYTES: usize = 2 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// A connection, plain or in TLS.
#[derive(Debug)]
pub enum Stream {
    /// As it comes.
    Plain(TcpStream),
    /// Deciphered.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a connection is about to do; shared with the service that answers. Counts its changes in all but the last two
/// bits, so that one which came back to the same is seen.
#[derive(Debug, Clone)]
pub struct Phase(Arc<AtomicU32>);

const WAITING: u32 = 0;
const READING_HEAD: u32 = 1;
const ANSWERING: u32 = 2;
const PHASE_BITS: u32 = 3;

impl Phase {
    /// A connection that waits for its first request.
    pub fn waiting() -> Self {
        Self(Arc::new(AtomicU32::new(WAITING)))
    }

    /// A request was handed on.
    pub fn begin_answer(&self) {
        self.begin(ANSWERING);
    }

    /// Its answer is there.
    pub fn end_answer(&self) {
        self.begin(WAITING);
    }

    /// Connection and service are one task, so nothing comes in between.
    fn begin(&self, phase: u32) {
        let changes = self.changes() | PHASE_BITS;
        self.0.store(changes.wrapping_add(1) | phase, Ordering::Relaxed);
    }

    fn changes(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn get(&self) -> u32 {
        self.changes() & PHASE_BITS
    }
}

/// Makes the whole answer, head and body, to a head that cannot be read, with the status and the date that hyper gives.
pub type Refuse = Box<dyn Fn(StatusCode, &str) -> Vec<u8> + Send>;

/// A watched connection.
pub struct Wire {
    stream: Stream,
    phase: Phase,
    bounds: Bounds,
    refuse: Refuse,
    /// When the current phase of reading began.
    since: Instant,
    seen_changes: u32,
    /// Since when the client takes nothing of what is written.
    stalled_since: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
    refusal: Option<Refusal>,
}

/// Our answer in the place of hyper's.
struct Refusal {
    answer: Vec<u8>,
    written: usize,
    is_shut: bool,
    lingered: usize,
}

impl Wire {
    /// Watches a connection.
    pub fn new(stream: Stream, phase: Phase, bounds: Bounds, refuse: Refuse) -> Self {
        let now = Instant::now();
        Self {
            stream,
            phase,
            bounds,
            refuse,
            since: now,
            seen_changes: WAITING,
            stalled_since: None,
            sleep: Box::pin(tokio::time::sleep_until(now + bounds.idle_timeout)),
            refusal: None,
        }
    }

    /// By when something must happen.
    fn deadline(&mut self) -> Option<Instant> {
        if self.phase.changes() != self.seen_changes {
            self.seen_changes = self.phase.changes();
            self.since = Instant::now();
        }
        let of_read = match self.phase.get() {
            WAITING => Some(self.since + self.bounds.idle_timeout),
            READING_HEAD => Some(self.since + self.bounds.head_timeout),
            // The body has its own time, and the answer takes what it takes.
            _ => None,
        };
        let of_write = self.stalled_since.map(|since| since + self.bounds.write_timeout);
        [of_read, of_write].into_iter().flatten().min()
    }

    /// An error once the time is over. The alarm is set only if it would come too late: most are never set anew.
    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while let Some(deadline) = self.deadline() {
            if self.sleep.deadline() > deadline || self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(deadline);
            }
            if self.sleep.as_mut().poll(context).is_pending() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the client was too slow"));
            }
        }
        Ok(())
    }

    /// What a write came to, with the time that it may take.
    fn after_write<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => {
                self.stalled_since.get_or_insert_with(Instant::now);
                self.check_time(context)?;
                Poll::Pending
            }
            ready @ Poll::Ready(_) => {
                self.stalled_since = None;
                ready
            }
        }
    }

    /// Whether hyper is saying no by itself; then our answer takes the place of its own.
    fn takes_over(&mut self, bytes: &[u8]) -> bool {
        if self.refusal.is_some() {
            return true;
        }
        let of_hyper = (self.phase.get() != ANSWERING).then(|| refusal_of_hyper(bytes)).flatten();
        let Some((status, date)) = of_hyper else { return false };
        let answer = (self.refuse)(status, date);
        self.refusal = Some(Refusal { answer, written: 0, is_shut: false, lingered: 0 });
        true
    }

    /// Writes what is left of our answer.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.refusal.as_ref().and_then(|refusal| refusal.answer.get(refusal.written..))
        {
            if rest.is_empty() {
                break;
            }
            let written = Pin::new(&mut self.stream).poll_write(context, rest);
            let written = ready!(self.after_write(written, context))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(refusal) = &mut self.refusal {
                refusal.written = refusal.written.saturating_add(written);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads on for a while after our answer: closing with bytes unread would take the answer from the client.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        let mut scratch = [0_u8; 4096];
        while refusal.lingered < MAX_LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    refusal.lingered = refusal.lingered.saturating_add(buffer.filled().len());
                }
                // How the client goes is its own business.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => return self.sleep.as_mut().poll(context).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The status and the date of a refusal that hyper made by itself.
fn refusal_of_hyper(bytes: &[u8]) -> Option<(StatusCode, &str)> {
    if !bytes.starts_with(b"HTTP/1.1 4") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?;
    let field = |name: &str| {
        let of_name =
            |line: &&str| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        head.lines().find(of_name).and_then(|line| line.get(name.len()..)).map(str::trim)
    };
    let status = StatusCode::from_bytes(head.get(9..12)?.as_bytes()).ok()?;
    // Those of ours carry a request id.
    field("request-id:").is_none().then(|| (status, field("date:").unwrap_or_default()))
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut wire.stream).poll_read(context, buffer) {
            Poll::Pending => {
                wire.check_time(context)?;
                Poll::Pending
            }
            Poll::Ready(result) => {
                if wire.phase.get() == WAITING && buffer.filled().len() > before {
                    wire.phase.begin(READING_HEAD);
                }
                // A head that comes byte by byte must not win time by it.
                if wire.phase.get() == READING_HEAD {
                    wire.check_time(context)?;
                }
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if wire.takes_over(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut wire.stream).poll_write(context, bytes);
        wire.after_write(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if slices.first().is_some_and(|first| wire.takes_over(first)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut wire.stream).poll_write_vectored(context, slices);
        wire.after_write(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.poll_refusal(context))?;
        let flushed = Pin::new(&mut wire.stream).poll_flush(context);
        wire.after_write(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.poll_refusal(context))?;
        if wire.refusal.as_ref().is_none_or(|refusal| !refusal.is_shut) {
            let shut = Pin::new(&mut wire.stream).poll_shutdown(context);
            ready!(wire.after_write(shut, context))?;
            if let Some(refusal) = &mut wire.refusal {
                refusal.is_shut = true;
                wire.sleep.as_mut().reset(Instant::now() + LINGER);
            }
        }
        wire.poll_linger(context)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_hyper_says_by_itself_is_taken_over() {
        let of_hyper =
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\
            date: Wed, 25 Nov 2026 02:00:00 GMT\r\n\r\n";
        let expected = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Wed, 25 Nov 2026 02:00:00 GMT");
        assert_eq!(refusal_of_hyper(of_hyper), Some(expected));
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\nRequest-Id: req_1\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\", \"and a text that somebody wrote\"}",
            b"{}",
        ] {
            assert_eq!(refusal_of_hyper(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
