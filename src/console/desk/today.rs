//! Today: what waits for me, what is broken or unusual, what is getting old, how is it going compared with last week.
//!
//! Everything here is a counter or a bounded read: the teller's figures (what is new since somebody last looked), what
//! waits by the records' own indexes, up to 200 holds by when they are due. The journal is never scanned.

use maud::{Markup, html};

use super::overview::{counting, total};
use super::{books, may};
use crate::auth::permission::Permission;
use crate::console::shell::{self, Place};
use crate::console::{format, reply};
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::spec::Answer;
use crate::ledger::{CashRequest, Record, Timestamp, UserId, Webhook, WebhookState};
use crate::store::PageRequest;
use crate::teller::{Figures, Tally, TellerError, Verification};

const DAY_MS: i64 = 86_400_000;
/// The hours of a day and of a week.
const DAY: i64 = 24;
const WEEK: i64 = 7 * DAY;
/// Cash and webhooks that are looked at.
const MOST: PageRequest = PageRequest { after: None, limit: 100 };
/// From how many on a rise is worth a word.
const WORTH_TELLING: u64 = 10;

pub(super) async fn front(_: Call) -> Answer {
    Ok(reply::see_other("/console/desk/"))
}

pub(super) async fn page(call: Call) -> Answer {
    let now = call.teller().clock().now();
    let figures = call.teller().figures().await?;
    let verification = call.teller().verification();
    let waiting = Waiting::look(&call).await?;
    let content = html! {
        div.heading { h1 { "Today" } p id="books" data-live { (badge_of_books(&call, &verification, now)) } }
        div.questions {
            (question("waits", "What waits for me?", &waiting.told(), "Nothing waits for you."))
            (question("broken", "What is broken or unusual?", &broken(&call, &figures, &verification, now).await?, "Nothing that shows."))
            (question("old", "What is getting old?", &old(&call, &waiting, &verification, now).await?, "Nothing is."))
            section.question {
                h2 { "How is it going?" }
                div id="week" data-live { (week(&figures, now)) }
            }
        }
    };
    shell::page(&call, "Today", Place::Today, &content)
}

fn badge_of_books(call: &Call, verification: &Verification, now: Timestamp) -> Markup {
    html! {
        (books(verification, now))
        @if may(call, Permission::ReadAudit) { " " a.small href="/console/desk/audit" { "Audit" } }
    }
}

fn question(id: &str, title: &str, told: &[Markup], nothing: &str) -> Markup {
    html! {
        section.question {
            h2 { (title) }
            div id=(id) data-live {
                @if told.is_empty() { p.quiet { (nothing) } } @else { ul { @for line in told { li { (line) } } } }
            }
        }
    }
}

/// What waits for who looks, by what their role lets them do.
struct Waiting {
    reviews: u64,
    oldest_review_ms: i64,
    cash: Vec<Timestamp>,
    goes_on: bool,
}

impl Waiting {
    async fn look(call: &Call) -> Result<Self, Problem> {
        let mut found = Self { reviews: 0, oldest_review_ms: 0, cash: Vec::new(), goes_on: false };
        if may(call, Permission::ReviewPayments) {
            let queue = call.teller().review_queue().await.map_err(TellerError::from)?;
            (found.reviews, found.oldest_review_ms) = (queue.waiting, queue.oldest_ms);
        }
        if may(call, Permission::MoveCash) {
            let own = call.who()?.user.id;
            let waiting = call.teller().waiting_cash(MOST).await?;
            found.goes_on = waiting.next.is_some();
            let is_mine = |record: &Record| {
                let request = record.read::<CashRequest>();
                request.is_some_and(|request| request.asked_by != own && request.user != own)
            };
            let mine = waiting.rows.iter().filter(|(_, record)| is_mine(record));
            found.cash = mine.map(|(_, record)| record.created_at).collect();
        }
        Ok(found)
    }

    fn told(&self) -> Vec<Markup> {
        let mut told = Vec::new();
        if self.reviews > 0 {
            told.push(
                html! { a href="/console/desk/reviews" { (of(self.reviews, "payment")) " to review" } },
            );
        }
        let cash = u64::try_from(self.cash.len()).unwrap_or(u64::MAX);
        if cash > 0 {
            told.push(html! {
                a href="/console/desk/cash" { (of(cash, "cash movement")) @if self.goes_on { " or more" } " for a second operator" }
            });
        }
        told
    }
}

/// A count of things.
fn of(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", format::count(count), if count == 1 { "" } else { "s" })
}

/// The hour that has not begun yet: where spans up to now end.
fn next_hour(now: Timestamp) -> i64 {
    now.as_millis().div_euclid(3_600_000).saturating_add(1)
}

async fn broken(
    call: &Call,
    figures: &Figures,
    verification: &Verification,
    now: Timestamp,
) -> Result<Vec<Markup>, Problem> {
    let mut told = Vec::new();
    if !call.teller().status().ready {
        told.push(
            html! { span.badge.bad { "Down" } " The database cannot be written: payments are refused." },
        );
    }
    let is_sound = matches!(&verification.last, None | Some((_, Ok(_)))) && !does_not_balance(verification);
    if !is_sound {
        told.push(html! { span.badge.bad { "Books" } " " (books(verification, now)) });
    }
    if let Some(failed) =
        call.teller().proof_status().map(|status| status.failures).filter(|count| *count > 0)
    {
        told.push(html! { span.badge.bad { "Checkpoints" } " " (of(failed, "signed checkpoint")) " could not be written." });
    }
    let hour = next_hour(now);
    let day = figures.between(hour.saturating_sub(DAY), hour);
    if day.grave > 0 {
        let text = html! { (of(day.grave, "security event")) " of high severity in 24 hours" };
        told.push(html! {
            @if may(call, Permission::ReadAudit) { a href="/console/desk/events?severity=high" { (text) } } @else { (text) }
        });
    }
    told.extend(unusual(
        &day,
        &figures.between(hour.saturating_sub(WEEK.saturating_add(DAY)), hour.saturating_sub(DAY)),
    ));
    if may(call, Permission::Administer) {
        let webhooks = call.teller().webhooks(UserId::HOUSE, MOST).await?;
        let is_off = |record: &Record| {
            record.read::<Webhook>().is_some_and(|webhook| webhook.state != WebhookState::Enabled)
        };
        let off = webhooks.rows.iter().filter(|record| is_off(record)).count();
        if off > 0 {
            let off = u64::try_from(off).unwrap_or(u64::MAX);
            told.push(html! { a href="/console/desk/webhooks" { (of(off, "webhook")) " of the house switched off" } });
        }
    }
    Ok(told)
}

fn does_not_balance(verification: &Verification) -> bool {
    matches!(&verification.last, Some((_, Ok(report))) if !report.discrepancies.is_empty())
}

/// What was at least twice as much in a day as on the days of the week before.
fn unusual(day: &Tally, week: &Tally) -> Vec<Markup> {
    let compared = [
        ("declined payment", day.declined(), week.declined()),
        ("failed login", day.login_failures, week.login_failures),
    ];
    let rose = compared.into_iter().filter(|(_, today, week)| {
        *today >= WORTH_TELLING && today.saturating_mul(7) >= week.saturating_mul(2)
    });
    rose.map(|(thing, today, week)| {
        html! { span.badge.wait { "Unusual" } " " (of(today, thing)) " in 24 hours; on a day of the week before it were " (format::count(week.div_euclid(7))) "." }
    })
    .collect()
}

async fn old(
    call: &Call,
    waiting: &Waiting,
    verification: &Verification,
    now: Timestamp,
) -> Result<Vec<Markup>, Problem> {
    let mut told = Vec::new();
    let yesterday = now.plus_millis(DAY_MS.saturating_neg());
    if waiting.oldest_review_ms > DAY_MS {
        let since = now.plus_millis(waiting.oldest_review_ms.saturating_neg());
        told.push(html! { a href="/console/desk/reviews" { "The oldest review" } " waits since " (format::time(since, now)) });
    }
    if let Some(since) = waiting.cash.iter().min().copied().filter(|since| *since < yesterday) {
        told.push(html! { a href="/console/desk/cash" { "The oldest cash movement" } " waits since " (format::time(since, now)) });
    }
    let lapsing = call.teller().lapsing(now.plus_millis(DAY_MS)).await?;
    if lapsing > 0 {
        let lapsing = u64::try_from(lapsing).unwrap_or(u64::MAX);
        told.push(html! { (of(lapsing, "held payment")) " go back to their payers within 24 hours unless they are captured or reviewed" });
    }
    let week_ago = now.plus_millis(DAY_MS.saturating_mul(-7));
    if verification.running_since.is_none() && verification.last.as_ref().is_none_or(|(at, _)| *at < week_ago)
    {
        let text = "The books were not verified for a week, or since this server's start";
        told.push(html! {
            @if may(call, Permission::ReadAudit) { a href="/console/desk/audit" { (text) } } @else { (text) }
        });
    }
    Ok(told)
}

/// The last seven days beside the seven before.
fn week(figures: &Figures, now: Timestamp) -> Markup {
    let hour = next_hour(now);
    let (start, before) = (hour.saturating_sub(WEEK), hour.saturating_sub(WEEK.saturating_mul(2)));
    let (this, last) = (figures.between(start, hour), figures.between(before, start));
    let counts = [
        ("Payments", this.payments, last.payments),
        ("Declined", this.declined(), last.declined()),
        ("Failed logins", this.login_failures, last.login_failures),
    ];
    let currencies: std::collections::BTreeSet<_> =
        this.volumes.keys().chain(last.volumes.keys()).copied().collect();
    html! {
        p { (counting(figures)) }
        table.rows {
            thead { tr { th scope="col" { "" span.unseen { "What" } } th.end scope="col" { "7 days" } th.end.wide scope="col" { "7 before" } th.end scope="col" { "Change" } } }
            tbody {
                @for (what, this, last) in counts {
                    tr {
                        th scope="row" { (what) }
                        td.end.number { (format::count(this)) } td.end.wide.number { (format::count(last)) }
                        td.end.number { (change(this.into(), last.into())) }
                    }
                }
                @for currency in currencies {
                    @let of = |tally: &Tally| tally.volumes.get(&currency).copied().unwrap_or_default();
                    tr {
                        th scope="row" { (currency.code()) }
                        td.end { (total(of(&this), currency)) } td.end.wide { (total(of(&last), currency)) }
                        td.end.number { (change(of(&this), of(&last))) }
                    }
                }
            }
        }
    }
}

/// By how many hundredths it is more or less than before.
fn change(this: i128, last: i128) -> String {
    let percent = this.saturating_sub(last).saturating_mul(100).checked_div(last);
    match percent {
        None => "–".to_owned(),
        Some(0) => "0 %".to_owned(),
        Some(percent) if percent > 0 => format!("+{percent} %"),
        Some(percent) => format!("\u{2212}{} %", percent.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_in_hundredths_of_what_was_before() {
        let changes = [(112, 100), (100, 100), (50, 100), (3, 0)].map(|(this, last)| change(this, last));
        assert_eq!(changes, ["+12 %", "0 %", "\u{2212}50 %", "–"]);
    }

    #[test]
    fn only_a_rise_that_is_worth_it_is_unusual() {
        let tally = |failures| Tally { login_failures: failures, ..Tally::default() };
        assert_eq!(unusual(&tally(9), &tally(0)).len(), 0);
        assert_eq!(unusual(&tally(10), &tally(0)).len(), 1);
        assert_eq!(unusual(&tally(20), &tally(70)).len(), 1);
        assert_eq!(unusual(&tally(19), &tally(70)).len(), 0);
    }
}
