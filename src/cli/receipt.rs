//! `farthing receipt verify`: checks a receipt with public keys alone; no ledger, no server.

use std::io::Read as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::keys::public_keys;
use super::terminal::{Failure, print};
use crate::proof::statement::Side;
use crate::proof::{Receipt, Statement};

/// A receipt is far shorter; more is not read.
const LONGEST_BYTES: u64 = 1024 * 1024;

/// What `farthing receipt` can be told.
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Check a receipt with public keys alone: no server, no database
    #[command(after_help = "\
Exit code 1 if the receipt is not to be believed.

Examples:
  farthing receipt verify receipt.json --key farthing.pub
  curl -H \"Authorization: Bearer $TOKEN\" $URL/payment/$ID/receipt | farthing receipt verify - --key ed25519:…")]
    Verify(ReceiptVerifyArgs),
}

/// What `farthing receipt verify` can be told.
#[derive(Debug, Args)]
pub struct ReceiptVerifyArgs {
    /// The receipt; - for standard input
    file: PathBuf,
    /// A public key of the ledger, or a file of 'keys export'
    #[arg(long, value_name = "PUB", required = true)]
    key: Vec<String>,
    /// One JSON object instead of sentences
    #[arg(long)]
    json: bool,
}

/// Checks the receipt in that file, or on standard input.
///
/// # Errors
/// Exit code 1 if it is not to be believed, 2 if it cannot be read or a key is none.
pub fn verify(args: &ReceiptVerifyArgs) -> Result<(), Failure> {
    let keys = public_keys(&args.key)?;
    let name = args.file.display();
    let unreadable = |error| Failure::Usage(format!("cannot read {name}: {error}"));
    let mut text = Vec::new();
    if args.file.as_os_str() == "-" {
        std::io::stdin().lock().take(LONGEST_BYTES).read_to_end(&mut text).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(&args.file).map_err(unreadable)?;
        file.take(LONGEST_BYTES).read_to_end(&mut text).map_err(unreadable)?;
    }
    let receipt = Receipt::parse(&text).and_then(|receipt| receipt.check(&keys).map(|()| receipt));
    let receipt = receipt.map_err(|fault| Failure::Refused(format!("do not believe {name}: {fault}")))?;
    if args.json {
        return print(&serde_json::json!({"valid": true, "payment": receipt.payment()}).to_string());
    }
    print(&told(&receipt))
}

fn told(receipt: &Receipt) -> String {
    let side = |side: &Side| match &side.name {
        Some(name) => format!("{name} ({})", side.id),
        None => side.id.clone(),
    };
    let rows = receipt.rows().iter().map(|row| {
        let Statement { kind, amount, currency, from, to, status, created_at, .. } = &row.statement;
        let (from, to) = (side(from), side(to));
        format!("{kind:<11} {amount} {currency} from {from} to {to}, {status}, on {created_at}")
    });
    let first = format!("payment     {}", receipt.payment());
    let checkpoint = receipt.checkpoint();
    let last = format!(
        "signed      among {} transactions up to {}\nThe journal held this, and its signature is right.",
        checkpoint.transactions(),
        checkpoint.at()
    );
    let lines: Vec<String> = std::iter::once(first).chain(rows).chain([last]).collect();
    lines.join("\n")
}
