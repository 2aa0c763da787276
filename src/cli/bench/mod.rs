//! `farthing bench`: how many payments a second, and how long each takes.
//!
//! Without a URL it measures a throw-away server: this same binary as a process of its own, on a ledger that was seeded
//! through the library, with its fsyncs and all; afterwards the ledger is verified, so that a bench that cheats fails.
//! However it ends, no server and no ledger of its own stays behind; a run that is interrupted has no result.

pub mod load;
pub mod remote;
pub mod report;
pub mod request;
pub mod seed;
pub mod server;
pub mod steps;
pub mod webhooks;
pub mod wire;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::key_file::{KeyFile, Ledger};
use super::open;
use super::terminal::{Failure, print};
use crate::clock::{Clock, RandomError};
use crate::store::{self, Location, PostgresSettings};
use load::Load;
use report::{Report, Setting};
use request::{Pages, Payments, Random, Traffic};
use seed::{HISTORY_ROWS, Prefill, Seeded};
use server::{Folder, Server};
use steps::{Step, Steps};
use webhooks::Endpoints;

/// How long to run before anything counts: until the servers have seen most of those who pay.
const WARM_UP: Duration = Duration::from_secs(3);
/// Pages of the long history that are asked for at random.
const PAGES: usize = 1_000;

/// What `farthing bench` can be told.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct BenchArgs {
    /// Load this server instead of a throw-away one.
    #[arg(long)]
    pub url: Option<String>,
    /// Connections kept open, each with one request under way.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Requests a second in all; without it, each connection asks again as soon as it is answered.
    #[arg(long)]
    pub rate: Option<NonZeroU32>,
    /// Seconds of load that count; a short warm-up comes before.
    #[arg(long, default_value_t = 10)]
    pub duration: u64,
    /// Users that pay each other.
    #[arg(long, default_value_t = 10_000)]
    pub users: usize,
    /// Every payment goes to the house.
    #[arg(long)]
    pub hot: bool,
    /// Risk rules as they are by default, and rate limits with quotas that the load keeps; without it, both are off.
    #[arg(long)]
    pub guarded: bool,
    /// One JSON object instead of the summary.
    #[arg(long)]
    pub json: bool,
    /// Payments that are in the ledger before the load begins.
    #[arg(long, default_value_t = 0)]
    pub prefill: u64,
    /// Where the throw-away ledger is made; it must be empty, and stays afterwards.
    #[arg(long, hide = true)]
    pub data: Option<PathBuf>,
    /// An empty PostgreSQL database for the throw-away ledger, instead of a folder; the ledger stays there afterwards.
    #[arg(long, env = "FARTHING_BENCH_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// Servers that share the database.
    #[arg(long, default_value_t = 1, requires = "database")]
    pub nodes: usize,
    /// What is asked of the server.
    #[arg(long, value_enum, default_value_t = BenchMix::Payments)]
    pub mix: BenchMix,
    /// So many users, each with a webhook of which every second one never answers; the load runs without them, then with them.
    #[arg(long, requires = "rate", conflicts_with_all = ["url", "users", "mix", "hot"])]
    pub webhooks: Option<usize>,
    /// How often in turn without webhooks and with them, as long as '--duration' each time.
    #[arg(long, default_value = "1", requires = "webhooks")]
    pub rounds: NonZeroUsize,
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
    /// `POST /payment` with manual capture, then its capture by the payee.
    Captures,
    /// `POST /payment`, then its refund by the payee.
    Refunds,
    /// `POST /requests`, then its payment by somebody else.
    Links,
}

impl BenchMix {
    const fn name(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::Transactions => "transactions",
            Self::Captures => "captures",
            Self::Refunds => "refunds",
            Self::Links => "links",
        }
    }

    /// What the second request of each pair does, if there are pairs.
    const fn step(self) -> Option<Step> {
        match self {
            Self::Payments | Self::Transactions => None,
            Self::Captures => Some(Step::Capture),
            Self::Refunds => Some(Step::Refund),
            Self::Links => Some(Step::Link),
        }
    }
}

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

impl From<RandomError> for BenchError {
    fn from(error: RandomError) -> Self {
        Self::Server(error.to_string())
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Usage(why) => Self::Usage(why),
            BenchError::Server(why) => Self::Refused(why),
        }
    }
}

/// Measures, and says what came of it.
///
/// # Errors
/// Usage; a server that fails; any answer that is no success; a ledger that does not verify.
pub fn run(args: &BenchArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Refused(error.to_string()))?;
    // Whichever loses is dropped, and the server and the folder of an interrupted run go with it.
    let (report, is_bad) = runtime.block_on(async {
        tokio::select! {
            measured = measure(args) => measured,
            interrupted = interrupted() => Err(interrupted),
        }
    })?;
    if args.json {
        print(&serde_json::to_string(&report).map_err(|error| Failure::Refused(error.to_string()))?)?;
    } else {
        print(&report.to_string())?;
    }
    if is_bad { Err(Failure::Refused("the run had failures".into())) } else { Ok(()) }
}

/// Waits for the terminal's interrupt or a request to terminate.
async fn interrupted() -> BenchError {
    let deaf = |error: std::io::Error| BenchError::Server(format!("signals cannot be heard: {error}"));
    let (mut interrupt, mut terminate) =
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(error), _) | (_, Err(error)) => return deaf(error),
        };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    BenchError::Server("interrupted; there is no result".into())
}

async fn measure(args: &BenchArgs) -> Result<(Report, bool), BenchError> {
    let mut random = Random::new(Clock::system().random::<32>()?);
    match &args.url {
        Some(url) => measure_remote(args, &remote::authority(url)?, random).await,
        None => measure_throw_away(args, &mut random).await,
    }
}

async fn measure_throw_away(args: &BenchArgs, random: &mut Random) -> Result<(Report, bool), BenchError> {
    let folder = match &args.data {
        Some(path) => Folder::kept(path)?,
        None => Folder::temporary(&format!("farthing-bench-{:016x}", random.number()))?,
    };
    let loaded = crate::config::load(None, &[], []).map_err(|error| BenchError::Usage(error.to_string()))?;
    let mut settings = loaded.settings;
    settings.server.data = folder.path().to_owned();
    let rules = open::rules(&settings).map_err(|error| BenchError::Usage(error.to_string()))?;
    let location = match &args.database {
        None => Location::Folder(folder.path().to_owned()),
        Some(url) => Location::Postgres(PostgresSettings::at(url)),
    };
    if store::exists(&location).await.map_err(|error| BenchError::Server(error.to_string()))? {
        return Err(BenchError::Usage("there is a ledger already; name an empty folder or database".into()));
    }
    let failed = |error: Failure| BenchError::Server(error.to_string());
    let keys = KeyFile::settle(&settings.key_file(), Ledger::IsNew, &Clock::system()).map_err(failed)?;
    let proofs = open::proof_settings(&settings, keys.keys()).map_err(failed)?;
    let history = match args.mix {
        BenchMix::Transactions => HISTORY_ROWS,
        _ => 0,
    };
    let prefill = Prefill { other_sessions: args.webhooks.is_some(), spread: args.prefill, history };
    let users = args.webhooks.unwrap_or(args.users);
    let seeded = seed::seed(&location, keys.fingerprint(), proofs, rules, users, prefill, random).await?;
    let endpoints = if args.webhooks.is_some() { Some(Endpoints::open()?) } else { None };
    let port = endpoints.as_ref().map(Endpoints::port);
    let mut servers = Vec::new();
    for _ in 0..args.nodes {
        servers.push(Server::start(folder.path(), args.database.as_deref(), args.guarded, port).await?);
    }
    let authorities: Vec<String> = servers.iter().map(|server| server.authority().to_owned()).collect();
    let (measured, figures) = match &endpoints {
        None => (load::run(load(args, authorities, seeded, random).await?).await?, None),
        Some(endpoints) => {
            let (measured, figures) =
                webhooks::measure(args, &authorities, seeded, endpoints, random).await?;
            (measured, Some(figures))
        }
    };
    let warning = folder.is_in_memory().then_some("the ledger stood in memory: nothing was durable");
    let engine = if args.database.is_some() { "postgres" } else { "sqlite" };
    let mut report = Report::new(&measured, setting(args, users, engine, warning));
    report.webhooks = figures;
    report.server_resident_mib = servers.iter().filter_map(Server::resident_mib).max();
    for server in servers {
        server.stop().await?;
    }
    let mut verified = None;
    if !args.no_verify {
        let (status, said) = server::verify(folder.path(), args.database.as_deref()).await?;
        verified = Some(status.success());
        if !status.success() {
            report.failures.push(said);
        }
    }
    Ok(finish(report, &measured, verified))
}

/// A report, and whether any answer was a failure.
fn finish(mut report: Report, measured: &load::Measured, verified: Option<bool>) -> (Report, bool) {
    report.verified = verified;
    let is_bad = measured.has_failures() || verified == Some(false);
    (report, is_bad)
}

async fn measure_remote(
    args: &BenchArgs,
    authority: &str,
    mut random: Random,
) -> Result<(Report, bool), BenchError> {
    let least = if args.hot || args.mix == BenchMix::Transactions { 1 } else { 2 };
    let seeded = remote::users(authority, args.users, least, &mut random).await?;
    let users = seeded.tokens.len();
    let load = load(args, vec![authority.to_owned()], seeded, &mut random).await?;
    let measured = load::run(load).await?;
    Ok(finish(Report::new(&measured, setting(args, users, "unknown", None)), &measured, None))
}

async fn load(
    args: &BenchArgs,
    authorities: Vec<String>,
    seeded: Seeded,
    random: &mut Random,
) -> Result<Load, BenchError> {
    let authority = authorities.first().map(String::as_str).unwrap_or_default();
    let Seeded { tokens, user_ids, .. } = seeded;
    let traffic = match (args.mix, args.mix.step()) {
        (_, Some(step)) => Traffic::Steps(Steps::between_users(step, authority, tokens, user_ids)?),
        (BenchMix::Transactions, None) => {
            let token =
                tokens.first().ok_or_else(|| BenchError::Usage("a load needs at least one user".into()))?;
            let cursors = remote::cursors(authority, token, PAGES).await?;
            Traffic::Pages(Pages::behind(authority, token, &cursors)?)
        }
        (_, None) if args.hot => Traffic::Payments(Payments::to_the_house(authority, tokens)?),
        (_, None) => Traffic::Payments(Payments::between_users(authority, tokens, user_ids)?),
    };
    Ok(Load {
        traffic,
        authorities,
        connections: args.connections.max(1),
        rate: args.rate,
        warm_up: WARM_UP,
        duration: Duration::from_secs(args.duration.max(1)),
        random: random.fork(),
        keeps_answers: false,
        unit: if args.mix == BenchMix::Payments { "payments" } else { "requests" },
    })
}

fn setting(args: &BenchArgs, users: usize, engine: &'static str, warning: Option<&'static str>) -> Setting {
    Setting {
        mix: args.mix.name(),
        connections: args.connections,
        rate: args.rate,
        users,
        hot: args.hot,
        guarded: args.guarded,
        prefill: args.prefill,
        engine,
        nodes: args.nodes,
        cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        warning,
    }
}
