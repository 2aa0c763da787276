//! The command line: one file a command.
//!
//! Exit codes: 0 well, 1 the check failed or the ledger said no, 2 usage or configuration, 3 the database cannot be
//! used. What a script may want goes to standard output, everything else to standard error.

pub mod admin;
pub mod backup;
pub mod banner;
pub mod bench;
pub mod completions;
pub mod config;
pub mod control;
mod durable;
pub mod export;
mod key_file;
mod keys;
pub mod listen;
pub mod lock;
pub mod migrate;
pub mod open;
pub mod progress;
mod receipt;
pub mod remote;
mod risk;
pub mod serve;
pub mod terminal;
pub mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::books::Span;
use crate::books::export::Format;
use crate::config::{Loaded, Override};
use crate::http::extract::{parse_end, parse_start};
use crate::ledger::{Role, Timestamp};
use terminal::{Failure, tell};

const EXAMPLES: &str = "\
Examples:
  farthing                                       serve on 127.0.0.1:8080
  farthing serve --listen 0.0.0.0:8080           serve the network
  farthing admin create --email you@example.com  make the first admin
  farthing verify                                prove the books
  farthing backup monday.backup                  save the ledger and its key
  farthing config show                           what is in force, and why

Every setting is also an environment variable and a key of a TOML file:
'farthing man' lists them. Exit codes: 0 well, 1 the check failed,
2 usage or configuration, 3 the database cannot be used.";

/// A secure payment backend in one binary.
#[derive(Debug, Parser)]
#[command(name = "farthing", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (what happens without a command, too)
    Serve(ServeArgs),
    /// Make and list operators
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Recompute every balance from the journal and check every invariant
    #[command(after_help = "Works while a server is running. Exit code 1 if anything is wrong.")]
    Verify(VerifyArgs),
    /// Write the journal down for other tools
    #[command(after_help = "\
Works while a server is running. The last line counts the rows and sums them up: a file without it was cut.

Examples:
  farthing export --format hledger > ledger.journal && hledger -f ledger.journal check -s
  farthing export --format csv --from 2026-01-01 --to 2026-01-31 > january.csv")]
    Export(ExportArgs),
    /// Save the ledger and its key in one encrypted file
    #[command(after_help = "\
Works while a server is running. The file is whole and proved, or it is not there.

Examples:
  farthing backup ledger-monday.backup
  farthing backup --passphrase-file /etc/farthing/passphrase \"/mnt/backups/$(date +%F).backup\"")]
    Backup(BackupArgs),
    /// Make a ledger and its key of a backup, where there is none
    #[command(after_help = "\
Nothing is overwritten. The books are proved before the ledger appears, and compared with what was saved.

Example:
  farthing restore ledger-monday.backup --data restored")]
    Restore(BackupArgs),
    /// Move a ledger to another place, and prove both equal
    #[command(after_help = "\
Stop the servers first. What is interrupted goes on when it is run again. The source stays as it is.
A URL with a password is better given as FARTHING_MIGRATE_FROM or FARTHING_MIGRATE_TO: everybody on the machine can read arguments.

Examples:
  farthing migrate --from farthing-data --to postgres://owner@db.example/ledger
  farthing migrate --from postgres://owner@db.example/ledger --to farthing-data")]
    Migrate(MigrateArgs),
    /// Forward events to a program that is being developed
    #[command(after_help = "\
Prints the secret that the deliveries are signed with, and a line for each.

Example:
  FARTHING_TOKEN=… farthing listen --forward-to http://127.0.0.1:3000/webhooks --since 1h")]
    Listen(listen::ListenArgs),
    /// Tell an event that did not happen, in a sandbox
    #[command(after_help = "Example:\n  FARTHING_TOKEN=… farthing trigger payment.succeeded")]
    Trigger(listen::TriggerArgs),
    /// The ledger's keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Signed receipts
    #[command(subcommand)]
    Receipt(receipt::ReceiptCommand),
    /// Risk rules
    #[command(subcommand)]
    Risk(risk::RiskCommand),
    /// Measure payments per second
    Bench(bench::BenchArgs),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  farthing completions bash > ~/.local/share/bash-completion/completions/farthing"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  farthing man | man -l -")]
    Man,
}

/// Which ledger is meant, and how it is configured.
#[derive(Debug, Clone, Default, Args)]
pub struct LedgerArgs {
    #[arg(long, value_name = "DIR", help = "The data folder [env: FARTHING_DATA] [default: farthing-data]")]
    data: Option<String>,
    #[arg(
        long,
        value_name = "URL",
        help = "A PostgreSQL database instead of the embedded one [env: FARTHING_DATABASE_URL]"
    )]
    database: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help = "The ledger's key file [env: FARTHING_KEY_FILE] [default: farthing.key in the data folder]"
    )]
    key_file: Option<String>,
    #[arg(long, value_name = "FILE", help = "A configuration file in TOML [env: FARTHING_CONFIG]")]
    config: Option<PathBuf>,
}

impl LedgerArgs {
    /// The settings in force, with these flags and those of `more`. Warnings are told.
    ///
    /// # Errors
    /// If the configuration has mistakes.
    pub fn load(&self, more: &[(&'static str, &'static str, Option<&String>)]) -> Result<Loaded, Failure> {
        let own = [
            ("server.data", "--data", self.data.as_ref()),
            ("database.url", "--database", self.database.as_ref()),
            ("database.key_file", "--key-file", self.key_file.as_ref()),
        ];
        let given = own
            .iter()
            .chain(more)
            .filter_map(|(key, flag, value)| value.map(|value| Override { key, flag, value: value.clone() }));
        let environment = environment(std::env::vars_os())?;
        let loaded = crate::config::load(self.config.as_deref(), &given.collect::<Vec<_>>(), environment)?;
        for warning in &loaded.warnings {
            tell(&format!("warning: {warning}"));
        }
        Ok(loaded)
    }
}

/// What `farthing serve` can be told.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Which ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    #[arg(
        long,
        value_name = "ADDR",
        help = "Where to accept connections [env: FARTHING_LISTEN] [default: 127.0.0.1:8080]"
    )]
    listen: Option<String>,
    #[arg(
        long,
        value_name = "MODE",
        help = "sandbox (play money) or live [env: FARTHING_MODE] [default: sandbox]"
    )]
    mode: Option<String>,
}

impl ServeArgs {
    fn load(&self) -> Result<Loaded, Failure> {
        self.ledger.load(&[
            ("server.listen", "--listen", self.listen.as_ref()),
            ("server.mode", "--mode", self.mode.as_ref()),
        ])
    }
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Make an operator, and a password unless one is given
    #[command(after_help = "\
Works while a server is running. The password that is made up is shown once.

Examples:
  farthing admin create --email you@example.com
  farthing admin create --email sam@example.com --role support --name Sam
  printf %s \"$PASSWORD\" | farthing admin create --email you@example.com --password-stdin")]
    Create(CreateArgs),
    /// List users and their roles
    List(ListArgs),
    /// Change what a user may do
    #[command(after_help = "\
Works while a server is running, and counts from the user's next request on.
Who becomes an operator needs a password of 15 characters or more and, in live mode, a second factor first.

Example:
  farthing admin set-role --email sam@example.com --role support")]
    SetRole(SetRoleArgs),
    /// Let a user move no money
    Freeze(UserArgs),
    /// Let a frozen user move money again
    Unfreeze(UserArgs),
    /// Take away the second factor of a user who has lost it
    ResetTotp(UserArgs),
    /// Make a one-time token by which a user sets a new password
    ResetPassword(UserArgs),
}

/// Which user a command of `farthing admin` is about.
#[derive(Debug, Args)]
pub struct UserArgs {
    /// The user's email
    #[arg(long)]
    email: String,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// What `farthing admin set-role` can be told.
#[derive(Debug, Args)]
pub struct SetRoleArgs {
    /// customer, support, cashier, auditor or admin
    #[arg(long, value_parser = role)]
    role: Role,
    #[command(flatten)]
    user: UserArgs,
}

/// What `farthing admin create` can be told.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The operator's email
    #[arg(long)]
    email: String,
    /// customer, support, cashier, auditor or admin
    #[arg(long, default_value = "admin", value_parser = role)]
    role: Role,
    /// The name that others see
    #[arg(long)]
    name: Option<String>,
    /// Read the password from standard input (its first line) instead of making one up
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// What `farthing admin list` can be told.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// One JSON array instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// What `farthing verify` can be told.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// One JSON object instead of sentences
    #[arg(long)]
    json: bool,
    /// Signed checkpoints to compare the journal with, such as a copy kept elsewhere [default: the ledger's own]
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// A public key that signed them, or a file of 'keys export' [default: those of the key file]
    #[arg(long, value_name = "PUB")]
    key: Vec<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// What `farthing export` can be told.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The format
    #[arg(long, value_enum)]
    format: ExportFormat,
    /// From this date or RFC 3339 time on (UTC)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to the end of this date, or before this RFC 3339 time (UTC)
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
}

impl ExportArgs {
    fn span(&self) -> Result<Span, Failure> {
        let read = |flag: &str, text: Option<&String>, parse: fn(&str) -> Option<Timestamp>| {
            let cure = "must be a date such as 2026-01-31 or a time such as 2026-01-31T09:30:00Z";
            let wrong = |text: &String| Failure::Usage(format!("{flag} {text}: {cure}"));
            text.map(|text| parse(text).ok_or_else(|| wrong(text))).transpose()
        };
        let from = read("--from", self.from.as_ref(), parse_start)?;
        let to = read("--to", self.to.as_ref(), parse_end)?;
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(Failure::Usage("--from must be before --to".into()));
        }
        Ok(Span { from, to })
    }
}

/// In which format `farthing export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// RFC 4180, a record per entry
    Csv,
    /// One JSON object, a transaction per line
    Json,
    /// A journal for hledger and Ledger
    Hledger,
    /// A journal for beancount
    Beancount,
    /// ISO 20022 bank statements (camt.053.001.08)
    Camt053,
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Csv => Self::Csv,
            ExportFormat::Json => Self::Json,
            ExportFormat::Hledger => Self::Hledger,
            ExportFormat::Beancount => Self::Beancount,
            ExportFormat::Camt053 => Self::Camt053,
        }
    }
}

/// What `farthing backup` and `farthing restore` can be told.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The backup
    file: PathBuf,
    #[arg(
        long,
        value_name = "FILE",
        help = "A file whose first line is the passphrase [env: FARTHING_BACKUP_PASSPHRASE_FILE] [default: \
                FARTHING_BACKUP_PASSPHRASE, or asked for]"
    )]
    passphrase_file: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
}

impl BackupArgs {
    fn load(&self) -> Result<Loaded, Failure> {
        self.ledger.load(&[("backup.passphrase_file", "--passphrase-file", self.passphrase_file.as_ref())])
    }
}

/// What `farthing migrate` can be told.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Where the ledger is: a data folder or a PostgreSQL URL
    #[arg(long, value_name = "DIR|URL", env = "FARTHING_MIGRATE_FROM", hide_env_values = true)]
    from: String,
    /// Where it goes: an empty or new folder, or an empty PostgreSQL database
    #[arg(long, value_name = "DIR|URL", env = "FARTHING_MIGRATE_TO", hide_env_values = true)]
    to: String,
    /// The ledger's key file [default: farthing.key in the folder, in farthing-data for PostgreSQL]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the configuration: exit code 0, or 2 and every mistake
    Check(ServeArgs),
    /// Print the configuration in force as TOML, secrets masked
    Show(ServeArgs),
    /// Print every key with its variable, default and meaning, as Markdown
    Keys,
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => args.load().and_then(|loaded| serve::run(&loaded)),
        Command::Admin(AdminCommand::Create(args)) => admin::create(&args),
        Command::Admin(AdminCommand::List(args)) => admin::list(&args),
        Command::Admin(AdminCommand::SetRole(args)) => admin::set_role(&args),
        Command::Admin(AdminCommand::Freeze(args)) => admin::freeze(&args),
        Command::Admin(AdminCommand::Unfreeze(args)) => admin::unfreeze(&args),
        Command::Admin(AdminCommand::ResetTotp(args)) => admin::reset_totp(&args),
        Command::Admin(AdminCommand::ResetPassword(args)) => admin::reset_password(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Backup(args) => args.load().and_then(|loaded| backup::save::run(&loaded, &args.file)),
        Command::Restore(args) => args.load().and_then(|loaded| backup::restore::run(&loaded, &args.file)),
        Command::Migrate(args) => migrate::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::Trigger(args) => listen::trigger(&args),
        Command::Keys(command) => keys::run(&command),
        Command::Receipt(receipt::ReceiptCommand::Verify(args)) => receipt::verify(&args),
        Command::Risk(risk::RiskCommand::Replay(args)) => risk::replay(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Config(ConfigCommand::Check(args)) => args.load().and_then(|loaded| config::check(&loaded)),
        Command::Config(ConfigCommand::Show(args)) => args.load().and_then(|loaded| config::show(&loaded)),
        Command::Config(ConfigCommand::Keys) => config::keys(),
        Command::Completions { shell } => completions::completions(shell),
        Command::Man => completions::man(),
    };
    terminal::finish(result)
}

/// The variables that are ours. A value that is no text is refused: read loosely, it would name another folder.
fn environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Failure> {
    variables
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(crate::config::VARIABLE_PREFIX))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(Failure::Usage(format!("{name}: the value is not UTF-8"))),
        })
        .collect()
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_name(text).ok_or_else(|| {
        let names = Role::ALL.map(Role::name).join(", ");
        format!("there is no such role; the roles are {names}")
    })
}
