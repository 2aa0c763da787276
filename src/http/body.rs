//! Reading bodies: bounded in size and time, and copied only if they come in pieces.

use std::pin::Pin;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};

use super::problem::{Code, Problem};

/// The most bytes of a refused body that are read and thrown away so that the client gets to see the answer.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;
/// How long a refused body is read.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The whole body of at most so many bytes, if it arrives within that time.
///
/// # Errors
/// 413 `body_too_large`; 408 `request_timeout` if it does not arrive whole and in time.
pub async fn read<B: Body<Data = Bytes>>(
    body: Pin<&mut B>,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    let is_too_large = usize::try_from(body.size_hint().lower()).map_or(true, |least| least > limit);
    if is_too_large {
        return Err(Problem::new(Code::BodyTooLarge));
    }
    tokio::time::timeout(timeout, collect(body, limit))
        .await
        .unwrap_or_else(|_| Err(Problem::new(Code::RequestTimeout)))
}

/// Reads a body that nobody wants, up to a bound, so that a client which sends first and reads then sees the answer.
pub async fn discard<B: Body<Data = Bytes>>(mut body: Pin<&mut B>) {
    let reading = async {
        let mut left = MAX_DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Whether it was read to its end or given up, the answer is the same.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
}

async fn collect<B: Body<Data = Bytes>>(mut body: Pin<&mut B>, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(Code::RequestTimeout))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len().max(whole.len()).saturating_add(data.len());
        if length > limit {
            return Err(Problem::new(Code::BodyTooLarge));
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}
