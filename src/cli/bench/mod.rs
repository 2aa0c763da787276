//! `farthing bench`: how many payments a second, and how long each takes.

pub mod load;
pub mod report;
pub mod request;
pub mod wire;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Asked for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The server did something that a load cannot go on from.
    #[error("{0}")]
    Server(String),
}
