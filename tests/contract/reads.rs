//! Everything that can be read of a ledger.

use std::collections::BTreeMap;

use farthing::ledger::{
    CashRequest, Currency, EventKind, FeedCursor, MovementType, RecordKey, RecordKind, ResetLink, Role,
    Severity, Timestamp, UserId, WebhookList, lane,
};
use farthing::store::oversight::{EventQuery, TransactionQuery, UserQuery};
use farthing::store::{
    HistoryFilter, HistoryQuery, JournalQuery, Listing, Order, PageRequest, RecordQuery, Store, WalletQuery,
};
use uuid::Uuid;

use super::dice::{World, address};

/// Everything that can be read, as comparable text. Entries are left out: engines need not list them in histories.
pub async fn everything(store: &dyn Store, world: &World, limit: usize) -> String {
    let mut seen = String::new();
    for user in world.users.iter().copied().chain([UserId::HOUSE]) {
        seen += &format!("{:?}\n", store.user(user).await.unwrap());
        seen += &format!("{:?}\n", store.wallets(user).await.unwrap());
        for network in 0..6 {
            // A host that never logged in itself.
            seen += &format!("{:?} ", store.network(user, address(network, 7)).await.unwrap());
        }
        seen += &format!("{:?}\n", store.sessions(user, Timestamp::from_millis(0)).await.unwrap());
        let filters = [
            HistoryFilter::default(),
            HistoryFilter { currency: Some(Currency::USD), ..HistoryFilter::default() },
            HistoryFilter {
                listing: Listing::Movements(Some(MovementType::Payment)),
                declined: Some(true),
                ..HistoryFilter::default()
            },
        ];
        for filter in filters {
            let mut after = None;
            loop {
                let query = HistoryQuery { user, page: PageRequest { after, limit }, filter };
                let page = store.history(query).await.unwrap();
                assert!(page.rows.len() <= limit);
                for movement in &page.rows {
                    let transaction = &movement.transaction;
                    seen += &format!(
                        "{} {} {:?} {:?}\n",
                        movement.sequence, transaction.id, transaction.money, movement.balance_after_minor
                    );
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        let mut after = 2;
        loop {
            let query = WalletQuery { user, currency: Currency::USD, after, to: u64::MAX, limit };
            let rows = store.wallet_movements(query).await.unwrap();
            let Some(last) = rows.last() else { break };
            after = last.sequence;
            let rows = rows.iter().map(|row| (row.sequence, row.balance_after_minor));
            seen += &format!("{:?}\n", rows.collect::<Vec<_>>());
        }
        let mut after = 0;
        loop {
            let rows = store.journal(JournalQuery { seer: Some(user), after, limit }).await.unwrap();
            let Some(last) = rows.last() else { break };
            after = last.sequence;
            seen += &format!("{:?}\n", rows.iter().map(|row| row.sequence).collect::<Vec<_>>());
        }
        let payments = HistoryFilter { listing: Listing::Payments, ..HistoryFilter::default() };
        let query = HistoryQuery { user, page: PageRequest { after: None, limit: 100 }, filter: payments };
        let firsts = store.history(query).await.unwrap();
        let ids = firsts.rows.iter().map(|movement| movement.transaction.id.into()).collect();
        let states: BTreeMap<_, _> = store.payment_states(ids).await.unwrap().into_iter().collect();
        seen += &format!("{states:?}\n");
        for payment in states.into_keys() {
            let steps = store.payment_steps(payment, 2).await.unwrap();
            seen += &format!("{:?}\n", steps.iter().map(|step| step.transaction.id).collect::<Vec<_>>());
        }
        for transaction in world.transactions.iter().rev().take(20) {
            seen += &format!("{:?}\n", store.transaction(user, *transaction).await.unwrap());
        }
        let mut page = PageRequest { after: None, limit };
        loop {
            let events = store.events(user, page).await.unwrap();
            seen += &format!("{:?}\n", events.rows);
            page.after = events.next;
            if page.after.is_none() {
                break;
            }
        }
    }
    for caller in world.callers.iter().rev().take(30) {
        seen += &format!("{:?}\n", store.session_by_access(caller.access).await.unwrap());
    }
    seen += &every_record(store, world, limit).await;
    seen += &what_operators_see(store, world, limit).await;
    seen += &format!("{:?}\n", store.users(PageRequest { after: Some(2), limit: 3 }).await.unwrap().rows);
    let last = store.head(None).await.unwrap();
    assert_eq!(store.head(last.map(|head| head.block.unsigned_abs())).await.unwrap(), last);
    seen += &format!("{:?}\n", last.map(|head| (head.transaction, head.event)));
    let status = store.status();
    seen + &format!("{} {}\n", status.sequence, status.blocks > 0)
}

/// Users, transactions and events of all, and figures.
async fn what_operators_see(store: &dyn Store, world: &World, limit: usize) -> String {
    let mut seen = String::new();
    let page = PageRequest { after: None, limit };
    let roles = [None, Some(Role::Support), Some(Role::Customer)];
    for (role, search) in roles.into_iter().zip([None, Some("SER1"), Some("Name 2")]) {
        let search = search.map(str::to_owned);
        let query = UserQuery { search, role, frozen: role.map(|role| role == Role::Support), page };
        let found = store.find_users(query).await.unwrap();
        seen += &format!("{:?} {}\n", found.rows, found.next.is_some());
    }
    let not_of = world.users.first().copied().unwrap_or(UserId::HOUSE);
    let payments = HistoryFilter { listing: Listing::Payments, ..HistoryFilter::default() };
    for filter in [payments, HistoryFilter { declined: Some(true), ..payments }] {
        let found = store.find_transactions(TransactionQuery { not_of, filter, page }).await.unwrap();
        let ids: Vec<_> =
            found.rows.iter().map(|movement| (movement.sequence, movement.transaction.id)).collect();
        seen += &format!("{ids:?} {:?}\n", found.next);
    }
    let severity = Some(Severity::Warning);
    let kind = Some(EventKind::TokenRevoked);
    for (kind, severity, user) in [(None, severity, None), (kind, None, None), (None, None, Some(not_of))] {
        let query = EventQuery { kind, severity, user, from: None, to: None, page };
        seen += &format!("{:?}\n", store.find_events(query).await.unwrap().rows);
    }
    let (now, since) = (Timestamp::from_millis(0), Timestamp::from_millis(1_800_000_100_000));
    let head = store.head(None).await.unwrap().unwrap_or_default();
    seen +=
        &format!("{:?} {} {}\n", store.statistics(now, since).await.unwrap(), head.transaction, head.event);
    seen
}

/// Records by key, by what they are found by, by when they are due, and in lists from either end. Their numbers are each
/// engine's own; their order is not.
async fn every_record(store: &dyn Store, world: &World, limit: usize) -> String {
    let mut seen = String::new();
    let kind = RecordKind::ResetLink;
    for (user, secret) in world.reset_links.iter().rev().take(10) {
        let by_key = store.record(RecordKey::of::<ResetLink>(user.uuid())).await.unwrap();
        let found = store.record_by_lookup(kind, secret.0).await.unwrap();
        seen += &format!("{by_key:?} {:?}\n{found:?}\n", by_key.as_ref().map(|record| &record.value));
    }
    let kinds = [kind, RecordKind::PaymentRequest, RecordKind::Notice];
    let orders = [Order::NewestFirst, Order::OldestFirst];
    for (kind, order) in kinds.into_iter().flat_map(|kind| orders.map(|order| (kind, order))) {
        let of_all = kind.is_listed_by_kind().then_some(None);
        let owners = [world.users.first().copied(), world.users.last().copied()];
        for owner in of_all.into_iter().chain(owners.into_iter().flatten().map(Some)) {
            let mut page = PageRequest { after: None, limit };
            loop {
                let query = RecordQuery { kind, owner, parent: None, order, page };
                let found = store.records(query).await.unwrap();
                let records = found.rows.iter().map(|(_, record)| format!("{record:?}\n"));
                seen.extend(records);
                page.after = found.next;
                if page.after.is_none() {
                    break;
                }
            }
            let nowhere = RecordQuery { kind, owner, parent: Some(Uuid::nil()), order, page };
            assert_eq!(store.records(nowhere).await.unwrap().rows, []);
        }
    }
    let until = Timestamp::from_millis(1_800_002_000_000);
    let due = [RecordKind::Schedule, RecordKind::Delivery, RecordKind::Replay];
    for kind in [kind, RecordKind::Deadline].into_iter().chain(due) {
        seen += &format!("{:?}\n", store.due_records(kind, until, limit).await.unwrap());
    }
    seen + &beside_payments(store, world, limit).await
}

/// Cash that waits, schedules, webhooks and their deliveries, with what they keep, in the lists that clients and the courier
/// see, and by key.
async fn beside_payments(store: &dyn Store, world: &World, limit: usize) -> String {
    let mut seen = String::new();
    let of = |kind, owner, parent| (kind, owner, parent);
    let some = [world.users.first(), world.users.last(), Some(&UserId::HOUSE)];
    let mut lists = vec![
        of(RecordKind::CashRequest, None, Some(CashRequest::WAITING)),
        of(RecordKind::Webhook, None, None),
    ];
    for owner in some.into_iter().flatten().copied().map(Some) {
        lists.extend(
            [RecordKind::Schedule, RecordKind::Webhook, RecordKind::Delivery]
                .map(|kind| of(kind, owner, None)),
        );
    }
    let webhooks = world.beside.webhooks.iter().rev().take(8);
    lists.extend(webhooks.map(|(webhook, _)| of(RecordKind::Delivery, None, Some(*webhook))));
    for (kind, owner, parent) in lists {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let mut page = PageRequest { after: None, limit };
            loop {
                let found = store.records(RecordQuery { kind, owner, parent, order, page }).await.unwrap();
                seen.extend(found.rows.iter().map(|(_, record)| format!("{record:?} {}\n", record.value)));
                page.after = found.next;
                if page.after.is_none() {
                    break;
                }
            }
        }
    }
    let lists = world.users.iter().map(|user| RecordKey::of::<WebhookList>(user.uuid()));
    let cash = world.beside.cash.iter().map(|(cash, ..)| RecordKey::of::<CashRequest>(cash.uuid()));
    for key in lists.chain(cash).chain([FeedCursor::FAN_OUT]) {
        let found = store.record(key).await.unwrap();
        seen += &format!("{:?}\n", found.map(|record| record.value.clone()));
    }
    for new in world.beside.deliveries.iter().rev().take(20) {
        let waits =
            store.record_by_lookup(RecordKind::Delivery, lane(new.webhook, new.object)).await.unwrap();
        seen += &format!("{waits:?}\n");
    }
    seen
}
