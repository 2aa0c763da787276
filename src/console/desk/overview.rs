//! The overview: figures of the last two weeks in charts, the newest payments, and how fast this server answers.
//!
//! It costs what is new since somebody last looked (see the teller's figures), one page of five payments, and the
//! rendering of this server's own metrics.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::chart::{Bar, Chart, bars, ranks};
use super::payments::table;
use crate::console::format::{self, Sign};
use crate::console::history::sentence;
use crate::console::shell::{self, Place};
use crate::http::call::Call;
use crate::http::spec::Answer;
use crate::ledger::{Currency, Timestamp, Total};
use crate::store::PageRequest;
use crate::telemetry::Latency;
use crate::teller::{Figures, Search, Tally};

const LATEST: PageRequest = PageRequest { limit: 5, after: None };
/// How many days and minutes the charts go back, and how many routes are listed.
const DAYS: i64 = 14;
const MINUTES: i64 = 60;
const ROUTES: usize = 7;
const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
/// The hours of a week.
const WEEK: i64 = 7 * 24;

pub(super) async fn page(call: Call) -> Answer {
    let (who, now) = (call.who()?, call.teller().clock().now());
    let figures = call.teller().figures().await?;
    let latest =
        call.teller().find_payments(who, call.origin.clone(), None, Search::default(), LATEST).await?;
    let latencies = call.app.telemetry().latencies();
    let hour = now.as_millis().div_euclid(3_600_000).saturating_add(1);
    let week = figures.between(hour.saturating_sub(WEEK), hour);
    let content = html! {
        h1 { "Overview" }
        p id="counting" data-live { (counting(&figures)) }
        div.charts {
            (payments_by_day(&figures, now).show())
            (payments_by_minute(&figures, now).show())
            (volumes(&figures, now))
            (declines(&week))
            (failures_by_day(&figures, now).show())
            (latency(&latencies))
        }
        section {
            div.heading { h2 { "Latest payments" } a href="/console/desk/payments" { "All of them" } }
            div id="latest" data-live {
                @if latest.rows.is_empty() { div.empty { p { "Nobody has paid anybody yet." } } } @else { (table(&latest.rows, now)) }
            }
        }
    };
    shell::page(&call, "Overview", Place::Overview, &content)
}

/// That the figures are not all there yet, while they are not.
pub(super) fn counting(figures: &Figures) -> Markup {
    html! {
        @if !figures.is_complete { span.badge.wait { "Counting two weeks" } " " span.quiet.small { "Figures are below once that is done: look again in a moment." } }
    }
}

/// What happened on each of the last days, the oldest first.
fn days(figures: &Figures, now: Timestamp) -> impl Iterator<Item = (String, Tally)> {
    let today = now.as_millis().div_euclid(DAY_MS);
    (0..DAYS).rev().map(move |back| {
        let day = today.saturating_sub(back);
        let from = day.saturating_mul(24);
        let label = format::date(Timestamp::from_millis(day.saturating_mul(DAY_MS)));
        (label, figures.between(from, from.saturating_add(24)))
    })
}

fn payments_by_day(figures: &Figures, now: Timestamp) -> Chart<'static> {
    Chart {
        id: "by-day",
        title: "Payments per day",
        about: "Payments that were not declined, on each of the last 14 days (UTC).",
        labels: "Day",
        figures: "Payments",
        bars: days(figures, now).map(|(day, tally)| Bar::count(day, tally.payments)).collect(),
    }
}

fn failures_by_day(figures: &Figures, now: Timestamp) -> Chart<'static> {
    Chart {
        id: "failures",
        title: "Failed logins per day",
        about: "Wrong passwords and codes, on each of the last 14 days (UTC).",
        labels: "Day",
        figures: "Failed logins",
        bars: days(figures, now).map(|(day, tally)| Bar::count(day, tally.login_failures)).collect(),
    }
}

fn payments_by_minute(figures: &Figures, now: Timestamp) -> Chart<'static> {
    let minute = now.as_millis().div_euclid(MINUTE_MS);
    let bar = |back: i64| {
        let minute = minute.saturating_sub(back);
        let exact = format::exact(Timestamp::from_millis(minute.saturating_mul(MINUTE_MS)));
        let clock = exact.split(", ").nth(1).and_then(|clock| clock.get(..5)).unwrap_or_default();
        Bar::count(clock.to_owned(), figures.minute(minute))
    };
    Chart {
        id: "by-minute",
        title: "Payments per minute",
        about: "Payments that were not declined, in each of the last 60 minutes (UTC).",
        labels: "Minute",
        figures: "Payments",
        bars: (0..MINUTES).rev().map(bar).collect(),
    }
}

/// What was paid in each currency, beside what was the week before. Each has a scale of its own.
fn volumes(figures: &Figures, now: Timestamp) -> Markup {
    let days: Vec<(String, Tally)> = days(figures, now).collect();
    let currencies: BTreeSet<Currency> =
        days.iter().flat_map(|(_, day)| day.volumes.keys().copied()).collect();
    html! {
        figure.chart id="volumes" data-live {
            figcaption { h2 { "Volume per currency" } p.quiet.small { "What was paid on each of the last 14 days (UTC); each currency has a scale of its own." } }
            @if currencies.is_empty() { p.quiet { "Nothing was paid in two weeks." } }
            @for currency in currencies { (volume(currency, &days)) }
        }
    }
}

fn volume(currency: Currency, days: &[(String, Tally)]) -> Markup {
    let of = |tally: &Tally| tally.volumes.get(&currency).copied().unwrap_or_default();
    let told = |minor: i128| Total { amount_minor: minor, currency }.to_string();
    let bar = |(day, tally): &(String, Tally)| Bar {
        label: day.clone(),
        value: u64::try_from(of(tally)).unwrap_or(u64::MAX),
        figure: told(of(tally)),
    };
    let all: i128 = days.iter().fold(0, |sum, (_, day)| sum.saturating_add(of(day)));
    let drawn: Vec<Bar> = days.iter().map(bar).collect();
    let (id, title) = (format!("volume-{currency}"), format!("Volume in {currency}"));
    html! {
        div.volume {
            p { strong { (currency.code()) } span.number { (total(all, currency)) } }
            (bars(&id, &title, &format!("{} {currency} in two weeks", told(all)), &drawn))
            details {
                summary { "Figures" span.unseen { " of " (title) } }
                table.rows {
                    thead { tr { th scope="col" { "Day" } th.end scope="col" { "Volume" } } }
                    tbody { @for bar in &drawn { tr { th scope="row" { (bar.label) } td.end.number { (bar.figure) } } } }
                }
            }
        }
    }
}

/// A sum as money is written; one that no account could hold, as digits.
pub(super) fn total(minor: i128, currency: Currency) -> Markup {
    html! {
        @match i64::try_from(minor) {
            Ok(minor) => { (format::money(minor, currency, Sign::Plain)) }
            Err(_) => { (Total { amount_minor: minor, currency }.to_string()) " " (currency.code()) }
        }
    }
}

fn declines(week: &Tally) -> Markup {
    let mut reasons: Vec<(String, u64)> =
        week.declines.iter().map(|(why, count)| (sentence(why), *count)).collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    html! {
        figure.chart id="declines" data-live {
            figcaption { h2 { "Declines by reason" } p.quiet.small { "Payments that were declined in the last 7 days, by why." } }
            @if reasons.is_empty() { p.quiet { "None was declined." } } @else { (ranks(&reasons)) }
        }
    }
}

fn latency(latencies: &[Latency]) -> Markup {
    // Pages and what leads nowhere would hide the API, which programs wait for.
    let of_api =
        |latency: &&Latency| latency.route.starts_with('/') && !latency.route.starts_with("/console");
    let latencies: Vec<&Latency> = latencies.iter().filter(of_api).take(ROUTES).collect();
    html! {
        figure.chart id="latency" {
            figcaption { h2 { "Response times" } p.quiet.small { "Of this server since its start: half of the API’s calls, and 99 of 100, took at most so long." } }
            @if latencies.is_empty() { p.quiet { "Nothing was answered yet." } } @else {
                table.rows {
                    thead { tr { th scope="col" { "Route" } th.end.wide scope="col" { "Requests" } th.end scope="col" { "p50" } th.end scope="col" { "p99" } } }
                    tbody {
                        @for latency in latencies {
                            tr {
                                th scope="row" { code { (latency.route) } }
                                td.end.wide.number { (format::count(latency.requests)) }
                                td.end.number { (span(latency.median_us)) } td.end.number { (span(latency.p99_us)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn span(micros: Option<u64>) -> String {
    match micros {
        None => "over 10 s".to_owned(),
        Some(micros) if micros < 1_000 => format!("{micros} µs"),
        Some(micros) if micros < 1_000_000 => {
            let (whole, part) = (micros / 1_000, micros % 1_000 / 100);
            if part == 0 { format!("{whole} ms") } else { format!("{whole}.{part} ms") }
        }
        Some(micros) => {
            let (whole, part) = (micros / 1_000_000, micros % 1_000_000 / 100_000);
            if part == 0 { format!("{whole} s") } else { format!("{whole}.{part} s") }
        }
    }
}
