//! `farthing risk replay`: other risk rules over the recorded history, also while a server runs.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::LedgerArgs;
use super::export::read;
use super::open::{location, rules};
use super::terminal::Failure;
use crate::books::replay::{Change, Replay, replay as run_rules};
use crate::ledger::{Hit, PaymentId};
use crate::store;

/// Changes that are listed for a person; JSON has all of them.
const LISTED: u64 = 100;

/// What `farthing risk` can be told.
#[derive(Debug, Subcommand)]
pub enum RiskCommand {
    /// Run other rules over the recorded history, and say what would have changed
    #[command(after_help = "\
Works while a server is running, and changes nothing. Of FILE the section [risk] counts, and
payments.duplicate_window_seconds; what it does not set is as by default.

Examples:
  farthing risk replay --rules stricter.toml
  farthing risk replay --rules stricter.toml --json | jq -r 'select(.payment) | .payment'")]
    Replay(ReplayArgs),
}

/// What `farthing risk replay` can be told.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A configuration file with the rules
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// A JSON object for each payment with which something else would have been done, and one for the rules
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Runs the rules of that file over the ledger that the settings name.
///
/// # Errors
/// Exit code 1 if the ledger is damaged or the output cannot be written, 2 if the rules cannot be read, 3 if the ledger
/// cannot.
pub fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let settings = args.ledger.load(&[])?.settings;
    let other = rules(&crate::config::load(Some(&args.rules), &[], [])?.settings)?;
    let mut reader =
        store::reader(&location(&settings)).map_err(|error| Failure::Database(error.to_string()))?;
    let mut output = BufWriter::new(io::stdout().lock());
    let mut told: u64 = 0;
    let mut on_change = |change: &Change<'_>| {
        told = told.saturating_add(1);
        if args.json {
            writeln!(output, "{}", change_json(change))
        } else if told <= LISTED {
            writeln!(output, "{}", change_line(change))
        } else {
            Ok(())
        }
    };
    let ran = run_rules(&mut *reader, &other.risk, other.duplicate_window_ms, &mut on_change);
    let Some(replay) = read(ran)? else { return Ok(()) };
    let written = if args.json {
        writeln!(output, "{}", summary_json(&replay))
    } else {
        write_summary(&replay, &mut output)
    };
    read(written.and_then(|()| output.flush()).map_err(Into::into)).map(drop)
}

fn change_line(change: &Change<'_>) -> String {
    let Change { payment, was, would, hits } = change;
    let currency = payment.money.currency();
    let why = |hit: &Hit| {
        let Hit { rule, .. } = hit;
        format!("{rule} {} above {}", hit.figure_in(currency), hit.limit_in(currency))
    };
    let why = if hits.is_empty() {
        "hits no rule".to_owned()
    } else {
        hits.iter().map(why).collect::<Vec<_>>().join(", ")
    };
    let (at, id, money) = (payment.created_at, PaymentId::from(payment.id), payment.money);
    format!("{at}  {id}  {money} {currency}  {} would be {}: {why}", was.name(), would.name())
}

fn change_json(change: &Change<'_>) -> Value {
    let Change { payment, was, would, hits } = change;
    let currency = payment.money.currency();
    let hits = hits.iter().map(|hit| {
        let (figure, limit) = (hit.figure_in(currency), hit.limit_in(currency));
        json!({"rule": hit.rule, "action": hit.action.name(), "figure": figure, "limit": limit})
    });
    json!({
        "payment": PaymentId::from(payment.id).to_string(),
        "created_at": payment.created_at.to_string(),
        "from": payment.from.id.to_string(),
        "to": payment.to.id.to_string(),
        "amount": payment.money.to_string(),
        "currency": currency.code(),
        "was": was.name(),
        "would": would.name(),
        "hits": hits.collect::<Vec<_>>(),
    })
}

fn write_summary(replay: &Replay, out: &mut dyn Write) -> io::Result<()> {
    let Replay { payments, span, hits, changed } = replay;
    let unlisted = changed.saturating_sub(LISTED);
    if unlisted > 0 {
        writeln!(out, "… and {unlisted} more; --json lists all of them")?;
    }
    if !hits.is_empty() {
        writeln!(out, "{:<16}  {:<8}  {:>8}  amounts", "rule", "action", "payments")?;
    }
    for (rule, (action, totals)) in hits {
        let sums: Vec<String> = totals.sums().map(|sum| format!("{sum} {}", sum.currency)).collect();
        let (action, sums) = (action.name(), sums.join(", "));
        writeln!(out, "{rule:<16}  {action:<8}  {:>8}  {sums}", totals.rows)?;
    }
    let span = span.map(|(first, last)| format!(", from {first} to {last}")).unwrap_or_default();
    writeln!(out, "{payments} payments looked at{span}; {changed} would have gone another way")
}

fn summary_json(replay: &Replay) -> Value {
    let Replay { payments, span, hits, changed } = replay;
    let rules = hits.iter().map(|(rule, (action, totals))| {
        let sums =
            totals.sums().map(|sum| json!({"amount": sum.to_string(), "currency": sum.currency.code()}));
        let sums: Vec<_> = sums.collect();
        json!({"rule": rule, "action": action.name(), "payments": totals.rows, "sums": sums})
    });
    json!({
        "payments": payments,
        "from": span.map(|(first, _)| first.to_string()),
        "to": span.map(|(_, last)| last.to_string()),
        "changed": changed,
        "rules": rules.collect::<Vec<_>>(),
    })
}
