//! Statements: a wallet over a span of time, made while it is sent, so that a long one takes no more memory than a short.

use std::io;
use std::sync::Arc;

use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::mpsc::{Sender, channel};

use super::App;
use super::call::Call;
use super::reply::{self, Cut};
use super::spec::{Answer, File};
use super::views::{Text, TransactionView};
use crate::books::Span;
use crate::books::statement::{Format, Line, Moved, Sheet, Statement};
use crate::ledger::{Balance, Currency, RequestId, Timestamp, Total};
use crate::teller::{StatementBounds, StatementRequest};

/// The formats' names.
pub(crate) const FORMATS: &[&str] = &["json", "csv", "camt053", "hledger"];
/// The files of those that are no JSON.
pub(super) const FILES: &[File] = &[
    File { media: "text/csv", example: include_str!("examples/statement.csv") },
    File { media: "application/xml", example: include_str!("examples/statement.xml") },
    File { media: "text/plain", example: include_str!("examples/statement.journal") },
];

/// How much is put together before it is sent.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that may wait for a slow client.
const PIECES: usize = 2;

pub(super) async fn get(call: Call) -> Answer {
    file(&call).await
}

/// The statement that the query asks for, as a file.
///
/// # Errors
/// 422 with every wrong parameter; faults.
pub(crate) async fn file(call: &Call) -> Answer {
    let mut query = call.query();
    query.require("currency");
    let currency = query.currency("currency");
    let (from, to) = (query.from("from"), query.until("to"));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        query.refuse("to", "range_empty", "must be after 'from'");
    }
    let (content_type, ending, sheet): (_, _, Box<dyn Sheet>) = match query.word("format") {
        Some("csv") => ("text/csv; charset=utf-8", "csv", Format::Csv.sheet()),
        Some("camt053") => ("application/xml", "xml", Format::Camt053.sheet()),
        Some("hledger") => ("text/plain; charset=utf-8", "journal", Format::Hledger.sheet()),
        _ => ("application/json", "json", Box::new(Json::default())),
    };
    // A currency that is not there was refused above.
    let currency = query.finish(currency.unwrap_or(Currency::USD))?;
    let bounds = call.teller().statement(call.who()?, StatementRequest { currency, from, to }).await?;
    let span = Span { from, to };
    let StatementBounds { user, at, opening_minor, closing_minor, .. } = bounds;
    let statement = Statement { user, currency, span, at, opening_minor, closing_minor };
    let name = file_name(&statement, ending);
    let (sender, pieces) = channel(PIECES);
    let (app, request) = (Arc::clone(&call.app), call.origin.request);
    tokio::spawn(async move {
        let writer = Writer { app, bounds, statement, sheet, out: Vec::new(), sender };
        writer.run(request).await;
    });
    Ok(reply::file(content_type, &name, pieces))
}

/// `statement-USD-2026-01-01-2026-01-31.csv`: the days that it covers, where they were asked for.
fn file_name(statement: &Statement, ending: &str) -> String {
    let Span { from, to } = statement.span;
    let last = to.map(|to| to.plus_millis(-1));
    let days = [from, last].into_iter().flatten().map(|at| format!("-{:.10}", at.to_string()));
    format!("statement-{}{}.{ending}", statement.currency, days.collect::<String>())
}

/// Makes one statement.
struct Writer {
    app: Arc<App>,
    bounds: StatementBounds,
    statement: Statement,
    sheet: Box<dyn Sheet>,
    out: Vec<u8>,
    sender: Sender<Result<Bytes, Cut>>,
}

/// Why a statement is not sent to its end.
enum Stop {
    /// Nobody reads it any more.
    Gone,
    /// It cannot be told.
    Fault(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Fault(error.to_string())
    }
}

impl Writer {
    async fn run(mut self, request_id: RequestId) {
        if let Err(Stop::Fault(fault)) = self.write().await {
            tracing::error!(%request_id, fault, "a statement was cut: {fault}");
            // Whether or not it arrives, the statement has no end.
            let _ = self.sender.send(Err(Cut)).await;
        }
    }

    async fn write(&mut self) -> Result<(), Stop> {
        self.sheet.begin(&self.statement, &mut self.out)?;
        let (mut moved, mut behind) = (Moved::default(), None);
        loop {
            let piece = self.app.teller().statement_piece(&self.bounds, behind).await;
            let piece = piece.map_err(|error| Stop::Fault(error.to_string()))?;
            let Some(last) = piece.last() else { break };
            behind = Some(last.sequence);
            for movement in &piece {
                let Some(line) = Line::of(movement, self.statement.user) else { continue };
                moved.add(line.amount_minor);
                self.sheet.line(&self.statement, &line, &mut self.out)?;
                if self.out.len() >= PIECE_BYTES {
                    self.send().await?;
                }
            }
        }
        if !moved.explains(&self.statement) {
            return Err(Stop::Fault("the movements do not lead to the closing balance".into()));
        }
        self.sheet.end(&self.statement, &moved, &mut self.out)?;
        self.send().await
    }

    async fn send(&mut self) -> Result<(), Stop> {
        let piece = std::mem::replace(&mut self.out, Vec::with_capacity(PIECE_BYTES + 4096));
        self.sender.send(Ok(piece.into())).await.map_err(|_| Stop::Gone)
    }
}

/// The API's own format: its movements are those of `GET /transactions`.
#[derive(Default)]
struct Json {
    has_rows: bool,
}

#[derive(Serialize)]
struct Head {
    currency: Currency,
    from: Option<Text<Timestamp>>,
    to: Option<Text<Timestamp>>,
    created_at: Text<Timestamp>,
    opening_balance: Text<Balance>,
    closing_balance: Text<Balance>,
}

#[derive(Serialize)]
struct Foot {
    rows: u64,
    total_in: Text<Total>,
    total_out: Text<Total>,
}

impl Sheet for Json {
    fn begin(&mut self, statement: &Statement, out: &mut Vec<u8>) -> io::Result<()> {
        let Statement { currency, span, at, .. } = *statement;
        let of = |amount_minor| Text(Balance { amount_minor, currency });
        let head = Head {
            currency,
            from: span.from.map(Text),
            to: span.to.map(Text),
            created_at: Text(at),
            opening_balance: of(statement.opening_minor),
            closing_balance: of(statement.closing_minor),
        };
        serde_json::to_writer(&mut *out, &head)?;
        // The object goes on.
        out.pop();
        out.extend_from_slice(b",\"movements\":[");
        Ok(())
    }

    fn line(&mut self, statement: &Statement, line: &Line<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        if self.has_rows {
            out.push(b',');
        }
        self.has_rows = true;
        Ok(serde_json::to_writer(out, &TransactionView::new(line.movement, statement.user))?)
    }

    fn end(&mut self, statement: &Statement, moved: &Moved, out: &mut Vec<u8>) -> io::Result<()> {
        let of = |amount_minor| Text(Total { amount_minor, currency: statement.currency });
        let foot = Foot { rows: moved.rows, total_in: of(moved.in_minor), total_out: of(moved.out_minor) };
        let foot = serde_json::to_vec(&foot)?;
        out.extend_from_slice(b"],");
        out.extend_from_slice(foot.get(1..).unwrap_or_default());
        Ok(())
    }
}
