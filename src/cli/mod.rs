//! The command line: one file a command.

pub mod bench;

use std::path::PathBuf;

/// What `farthing bench` can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct BenchArgs {
    /// Load this server instead of a throw-away one.
    #[arg(long)]
    pub url: Option<String>,
    /// Connections kept open, each with one request under way.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Seconds of load that count; a short warm-up comes before.
    #[arg(long, default_value_t = 10)]
    pub duration: u64,
    /// Users that pay each other.
    #[arg(long, default_value_t = 10_000)]
    pub users: usize,
    /// Every payment goes to the house.
    #[arg(long)]
    pub hot: bool,
    /// One JSON object instead of the summary.
    #[arg(long)]
    pub json: bool,
    /// Payments that are in the ledger before the load begins.
    #[arg(long, default_value_t = 0)]
    pub prefill: u64,
    /// Where the throw-away ledger is made; it must be empty, and stays afterwards.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// What is asked of the server.
    #[arg(long, value_enum, default_value_t = BenchMix::Payments)]
    pub mix: BenchMix,
    /// Leaves out the check of the ledger afterwards.
    #[arg(long)]
    pub no_verify: bool,
}

/// What `farthing bench` asks of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BenchMix {
    /// `POST /payment`.
    Payments,
    /// `GET /transactions`: random pages of one long history.
    Transactions,
}
