//! Wallets: what the caller has, by currency, and simulated top-ups.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::payments::mark_replay;
use super::problem::Problem;
use super::reply::{self, List};
use super::spec::Answer;
use super::views::{Text, TopupView};
use crate::ledger::{AccountKind, Balance, Currency, IdempotencyKey, TopupMethod};
use crate::store::{AccountBalance, PageRequest};
use crate::teller::TopupRequest;

/// The names of the simulated methods.
pub(crate) const METHODS: &[&str] =
    &["sim_ok", "sim_declined", "sim_insufficient_funds", "sim_expired", "sim_processing_error", "sim_slow"];

#[derive(Serialize)]
struct WalletView {
    currency: Currency,
    balance: Text<Balance>,
    available: Option<Text<Balance>>,
    held: Option<Text<Balance>>,
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let time = query.until("at");
    let pairs = query.pairs();
    query.finish(())?;
    let wallets = match time {
        None => wallets(&call.teller().wallets(call.who()?).await?),
        Some(time) => {
            let balances = call.teller().wallets_before(call.who()?, time).await?;
            let then = |balance: Balance| WalletView {
                currency: balance.currency,
                balance: Text(balance),
                available: None,
                held: None,
            };
            balances.into_iter().map(then).collect()
        }
    };
    let wallets = wallets.into_iter().map(|wallet| (position(wallet.currency), wallet));
    Ok(List::page_of(wallets, page).into_reply("/wallets", &pairs))
}

/// A wallet's place in the list: the letters of its currency, as a number.
fn position(currency: Currency) -> u64 {
    currency.code().bytes().fold(0, |position, letter| (position << 8) | u64::from(letter))
}

fn wallets(accounts: &[AccountBalance]) -> Vec<WalletView> {
    let mut by_currency: BTreeMap<Currency, (i64, i64)> = BTreeMap::new();
    for account in accounts {
        let (available, held) = by_currency.entry(account.balance.currency).or_default();
        match account.kind {
            AccountKind::Wallet => *available = account.balance.amount_minor,
            AccountKind::Holds => *held = account.balance.amount_minor,
        }
    }
    let view = |(currency, (available, held)): (Currency, (i64, i64))| {
        let of = |amount_minor| Text(Balance { amount_minor, currency });
        WalletView {
            currency,
            balance: of(available.saturating_add(held)),
            available: Some(of(available)),
            held: Some(of(held)),
        }
    };
    by_currency.into_iter().map(view).collect()
}

pub(super) async fn topup(call: Call) -> Answer {
    let request = read_topup(&call, call.idempotency_key()?)?;
    let answer = call.teller().topup(call.who()?, call.origin.clone(), request).await?;
    let reply = reply::json(StatusCode::CREATED, &TopupView::new(&answer.transaction));
    Ok(mark_replay(reply, answer.replayed))
}

/// The top-up that somebody wants to make.
///
/// # Errors
/// 422 with every wrong field.
pub(crate) fn read_topup(call: &Call, key: Option<IdempotencyKey>) -> Result<TopupRequest, Problem> {
    let mut form = call.form()?;
    let money = form.money("amount", "currency");
    let method = form.word("method").and_then(TopupMethod::from_name).unwrap_or(TopupMethod::Ok);
    let money = form.finish(money)?;
    Ok(TopupRequest { money, method, key })
}
