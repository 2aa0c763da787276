//! An owner's records while more arrive and folds run: what was acknowledged is seen, and no page has a gap.

use std::sync::Arc;

use farthing::clock::Clock;
use farthing::ledger::{
    Action, Caller, Command, Currency, DeliveryCommand, FanOut, FeedCursor, FeedPosition, MakeRequest, Money,
    Notice, Origin, PaymentRequestId, RecordKey, RecordKind, Refusal, Reply, RequestId, Timestamp,
};
use farthing::store::{Order, PageRequest, RecordQuery, Store};
use uuid::Uuid;

use super::dice::Dice;
use super::{Place, two_users};

/// The ids and places of the owner's records of that kind, page by page.
async fn listed(store: &dyn Store, mut query: RecordQuery) -> Vec<(u64, Uuid)> {
    let mut seen = Vec::new();
    loop {
        let found = store.records(query).await.unwrap();
        seen.extend(found.rows.iter().map(|(place, record)| (*place, record.key.id)));
        query.page.after = found.next;
        if query.page.after.is_none() {
            return seen;
        }
    }
}

fn request(caller: Caller, dice: &mut Dice) -> MakeRequest {
    MakeRequest {
        caller,
        request: PaymentRequestId::new(dice.uuid()),
        money: Money::from_minor(1, Currency::USD).unwrap(),
        description: String::new(),
        expires_in_ms: None,
    }
}

/// To be run as a task: a loop of reads on the thread that blocks on the runtime can keep its two others from the writer.
async fn lists_stay_whole(place: Place) {
    let clock = Clock::system();
    let store = place.open(&clock).await;
    let (mut dice, world) = two_users(&*store).await;
    let (caller, owner) = (world.callers[0], world.users[0]);
    let of = move |kind, order, limit| RecordQuery {
        kind,
        owner: Some(owner),
        parent: None,
        order,
        page: PageRequest { after: None, limit },
    };
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut made = Vec::new();
            for number in 0..600 {
                let make = request(caller, &mut dice);
                let origin = Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None };
                let outcome =
                    store.execute(Command { origin, action: Action::MakeRequest(make) }).await.unwrap();
                let Ok(Reply::Request { record, .. }) = outcome.result else { panic!("{outcome:?}") };
                made.push(record.key.id);
                if number % 10 == 0 {
                    let newest = of(RecordKind::PaymentRequest, Order::NewestFirst, 1);
                    let seen = store.records(newest).await.unwrap().rows;
                    assert_eq!(seen.first().map(|(_, record)| record.key.id), Some(record.key.id));
                }
            }
            made
        })
    };
    let mut rounds = 0;
    while !writer.is_finished() || rounds < 3 {
        for kind in [RecordKind::PaymentRequest, RecordKind::Notice] {
            let oldest = listed(&*store, of(kind, Order::OldestFirst, 17)).await;
            let mut newest = listed(&*store, of(kind, Order::NewestFirst, 17)).await;
            newest.reverse();
            for seen in [&oldest, &newest] {
                // Each request is followed by its notice and nothing else.
                let made = seen.windows(2).filter(|pair| pair[1].0 - pair[0].0 != 2).count();
                assert!(made <= usize::from(kind == RecordKind::Notice), "{kind:?} {seen:?}");
            }
            assert!(newest.starts_with(&oldest), "what was seen once is seen later");
        }
        rounds += 1;
    }
    let made = writer.await.unwrap();
    drop(store);
    let store = place.open(&clock).await;
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut seen = listed(&*store, of(RecordKind::PaymentRequest, order, 50)).await;
        if order == Order::NewestFirst {
            seen.reverse();
        }
        assert!(seen.iter().map(|(_, id)| id).eq(&made));
    }
}

/// Notices are kept for 90 days, whoever asks to forget them before; then they are in no list, folded or not.
async fn old_notices_are_forgotten(place: Place) {
    let clock = Clock::fixed(Timestamp::from_millis(1_800_000_000_000));
    let store = place.open(&clock).await;
    let (mut dice, world) = two_users(&*store).await;
    let (caller, owner) = (world.callers[0], world.users[0]);
    let page = PageRequest { after: None, limit: 7 };
    let order = Order::OldestFirst;
    let notices = RecordQuery { kind: RecordKind::Notice, owner: Some(owner), parent: None, order, page };
    let run = async |action| {
        let origin = Origin { request: RequestId::new(clock.uuid().unwrap()), ip: None, user_agent: None };
        store.execute(Command { origin, action }).await.unwrap().result.unwrap();
    };
    for _ in 0..80 {
        run(Action::MakeRequest(request(caller, &mut dice))).await;
    }
    let made = listed(&*store, notices).await;
    assert!(made.len() > 80);
    let half: Vec<_> = made.iter().step_by(2).map(|(_, id)| RecordKey::of::<Notice>(*id)).collect();
    clock.advance_ms(90 * 86_400_000 - 1);
    run(Action::Delivery(DeliveryCommand::Purge(half.clone()))).await;
    assert_eq!(listed(&*store, notices).await, made);
    clock.advance_ms(1);
    run(Action::Delivery(DeliveryCommand::Purge(half.clone()))).await;
    let left: Vec<_> = made.into_iter().skip(1).step_by(2).collect();
    assert_eq!(listed(&*store, notices).await, left);
    assert_eq!(store.record(half[0]).await.unwrap(), None);
    drop(store);
    let store = place.open(&clock).await;
    assert_eq!(listed(&*store, notices).await, left);
    let location = place.location();
    let proved = move || farthing::store::verify(&location).unwrap().discrepancies;
    assert_eq!(tokio::task::spawn_blocking(proved).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_old_notices_are_forgotten() {
    old_notices_are_forgotten(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_old_notices_are_forgotten() {
    old_notices_are_forgotten(Place::database()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_lists_stay_whole_while_records_arrive() {
    tokio::spawn(lists_stay_whole(Place::folder())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_lists_stay_whole_while_records_arrive() {
    tokio::spawn(lists_stay_whole(Place::database())).await.unwrap();
}

/// A cursor stands where it is moved from, and yet the feed that was read was another ledger's, as the webhook is.
async fn a_feed_of_another_ledger_moves_no_cursor(place: Place) {
    let store = place.open(&Clock::system()).await;
    let (mut dice, _) = two_users(&*store).await;
    let (origin, to) = (
        Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None },
        FeedPosition { transaction: 5_000, notice: 70 },
    );
    let fan_out = FanOut { from: None, to, webhook: dice.uuid(), deliveries: Vec::new() };
    let action = Action::Delivery(DeliveryCommand::FanOut(fan_out));
    let outcome = store.execute(Command { origin, action }).await.unwrap();
    assert_eq!(outcome.result, Err(Refusal::Overtaken));
    assert_eq!(store.record(FeedCursor::FAN_OUT).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_a_feed_of_another_ledger_moves_no_cursor() {
    a_feed_of_another_ledger_moves_no_cursor(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_a_feed_of_another_ledger_moves_no_cursor() {
    a_feed_of_another_ledger_moves_no_cursor(Place::database()).await;
}

/// What was opened by one runtime answers another, and goes on when that one stands still.
async fn another_runtime_may_ask(place: Place) {
    let store = place.open(&Clock::system()).await;
    let page = PageRequest { after: None, limit: 1 };
    let order = Order::OldestFirst;
    let query = RecordQuery { kind: RecordKind::Notice, owner: None, parent: None, order, page };
    let asked = Arc::clone(&store);
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // At once, so that there are not enough connections yet.
            let reads = (0..16).map(|_| {
                let asked = Arc::clone(&asked);
                tokio::spawn(async move { asked.records(query).await })
            });
            for read in reads.collect::<Vec<_>>() {
                read.await.unwrap().unwrap();
            }
        });
        runtime
    });
    let standing = other.join().unwrap();
    for _ in 0..16 {
        store.records(query).await.unwrap();
    }
    standing.shutdown_background();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_another_runtime_may_ask() {
    another_runtime_may_ask(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_another_runtime_may_ask() {
    another_runtime_may_ask(Place::database()).await;
}
