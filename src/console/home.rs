//! The wallet: what there is in each currency, what can be done with it, and what happened last.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::format::{Sign, money};
use super::history;
use super::shell::{self, Place};
use crate::http::call::Call;
use crate::http::spec::Answer;
use crate::ledger::{AccountKind, Currency, Mode};
use crate::store::{AccountBalance, HistoryFilter, PageRequest};

/// How many movements the wallet shows.
const LATEST: usize = 8;

/// What somebody has in one currency.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Wallet {
    /// What can be spent.
    pub(super) available: i64,
    /// What is set aside for payments that were authorised.
    pub(super) held: i64,
}

/// Accounts, by currency.
pub(super) fn wallets(accounts: &[AccountBalance]) -> BTreeMap<Currency, Wallet> {
    let mut wallets: BTreeMap<Currency, Wallet> = BTreeMap::new();
    for account in accounts {
        let wallet = wallets.entry(account.balance.currency).or_default();
        match account.kind {
            AccountKind::Wallet => wallet.available = account.balance.amount_minor,
            AccountKind::Holds => wallet.held = account.balance.amount_minor,
        }
    }
    wallets
}

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let note = query.word("note");
    query.finish(())?;
    let who = call.who()?;
    let wallets = wallets(&call.teller().wallets(who).await?);
    let latest = PageRequest { limit: LATEST, after: None };
    let movements = call.teller().transactions(who, latest, HistoryFilter::default()).await?;
    let is_sandbox = call.teller().rules().mode == Mode::Sandbox;
    let content = html! {
        h1 { "Wallet" }
        @if note == Some("welcome") { (welcome(is_sandbox)) }
        section.wallets id="wallets" data-live aria-label="Balances" {
            @for (currency, wallet) in &wallets { (card(*currency, *wallet)) }
            @if wallets.is_empty() {
                div.empty { p { "No money yet. Somebody can pay you by your email, " strong { (who.user.email.as_str()) } "." } }
            }
        }
        div.actions {
            a.button href="/console/send" { "Send money" }
            a.button.second href="/console/requests/new" { "Ask for money" }
            @if is_sandbox { a.button.second href="/console/topup" { "Add play money" } }
        }
        section {
            div.heading { h2 { "Latest" } span { a href="/console/history" { "All movements" } " · " a href="/console/statement" { "Statement" } } }
            div id="latest" data-live { (history::table(&call, &movements.rows)?) }
        }
    };
    shell::page(&call, "Wallet", Place::Home, &content)
}

fn welcome(is_sandbox: bool) -> Markup {
    html! {
        div.notice.good role="status" {
            p { strong { "Your account is ready." } @if is_sandbox { " There is play money in it: send some to see how it goes." } }
        }
    }
}

fn card(currency: Currency, wallet: Wallet) -> Markup {
    html! {
        div.wallet {
            p.balance { (money(wallet.available.saturating_add(wallet.held), currency, Sign::Plain)) }
            @if wallet.held > 0 {
                p.quiet.small { (money(wallet.available, currency, Sign::Plain)) " available, " a href="/console/payments?status=authorized" { (money(wallet.held, currency, Sign::Plain)) " held" } }
            } @else {
                p.quiet.small { "available" }
            }
        }
    }
}
