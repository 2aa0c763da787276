//! The throttle by itself, at times that the tests choose.

use super::*;
use crate::ledger::{SessionId, UserId};
use uuid::Uuid;

const OWNER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn stranger(number: u32) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number))
}

fn by_address(count: u32, window_seconds: u32) -> ClassQuotas {
    ClassQuotas { address: Some(Quota { count, window_seconds }), ..Default::default() }
}

fn logins(count: u32) -> Quotas {
    Quotas { login: by_address(count, 60), ..Default::default() }
}

fn registrations(count: u32) -> Quotas {
    Quotas { register: by_address(count, 3_600), ..Default::default() }
}

fn register(throttle: &Throttle, ip: Option<IpAddr>, now: Timestamp) -> Result<Option<Standing>, Limited> {
    throttle.take(CallClass::Register, Asker::Address(ip), now)
}

fn begin(throttle: &Throttle, ip: Option<IpAddr>, now: Timestamp) -> Result<Attempt, Limited> {
    throttle.begin_login("ada@example.com", ip, false, now)
}

fn fail(throttle: &Throttle, ip: Option<IpAddr>, now: Timestamp) -> Result<Settled, Limited> {
    let attempt = begin(throttle, ip, now)?;
    Ok(throttle.settle_login(attempt, false, now))
}

#[test]
fn five_failures_are_free_and_then_the_wait_doubles() {
    let throttle = Throttle::new(Some(ThrottleLimits::default()));
    for _ in 0..5 {
        assert_eq!(fail(&throttle, OWNER, at(0)), Ok(Settled::Quiet));
    }
    assert_eq!(fail(&throttle, OWNER, at(0)), Ok(Settled::LockBegins { seconds: 1 }));
    assert_eq!(fail(&throttle, OWNER, at(0)).unwrap_err().retry_after_seconds, 1);
    assert_eq!(fail(&throttle, OWNER, at(1)), Ok(Settled::Quiet));
    assert_eq!(fail(&throttle, OWNER, at(1)).unwrap_err().retry_after_seconds, 2);
    assert_eq!(fail(&throttle, OWNER, at(3)), Ok(Settled::Quiet));
    assert_eq!(fail(&throttle, OWNER, at(3)).unwrap_err().retry_after_seconds, 4);
}

#[test]
fn success_forgets_the_failures() {
    let throttle = Throttle::new(Some(ThrottleLimits::default()));
    for _ in 0..5 {
        fail(&throttle, OWNER, at(0)).unwrap();
    }
    let attempt = throttle.begin_login("ada@example.com", OWNER, false, at(0)).unwrap();
    throttle.settle_login(attempt, true, at(0));
    assert_eq!(fail(&throttle, OWNER, at(0)), Ok(Settled::Quiet));
}

#[test]
fn success_does_not_hide_a_failure_that_is_still_under_way() {
    let throttle = Throttle::new(Some(ThrottleLimits { free_failures: 0, ..Default::default() }));
    assert_eq!(fail(&throttle, OWNER, at(0)), Ok(Settled::LockBegins { seconds: 1 }));
    let throttle = Throttle::new(Some(ThrottleLimits { free_failures: 1, ..Default::default() }));
    let (right, wrong) = (begin(&throttle, OWNER, at(0)).unwrap(), begin(&throttle, OWNER, at(0)).unwrap());
    assert_eq!(throttle.settle_login(right, true, at(0)), Settled::Quiet);
    assert_eq!(throttle.settle_login(wrong, false, at(0)), Settled::Quiet);
    assert_eq!(fail(&throttle, OWNER, at(0)), Ok(Settled::LockBegins { seconds: 1 }));
}

#[test]
fn an_attempt_that_was_never_settled_is_taken_back() {
    let throttle = Throttle::new(Some(ThrottleLimits { quotas: logins(1_000), ..Default::default() }));
    for _ in 0..100 {
        drop(begin(&throttle, OWNER, at(0)).unwrap());
    }
    let state = lock(&throttle.state);
    assert!(state.accounts.is_empty() && state.addresses.is_empty(), "nothing is left to take memory");
}

#[test]
fn a_lock_begins_once_however_many_failures_were_under_way() {
    let throttle = Throttle::new(Some(ThrottleLimits { quotas: logins(1_000), ..Default::default() }));
    let begun: Vec<_> = (0..100).filter_map(|_| begin(&throttle, OWNER, at(0)).ok()).collect();
    let settled: Vec<_> = begun.into_iter().map(|a| throttle.settle_login(a, false, at(0))).collect();
    let locks = settled.iter().filter(|settled| **settled != Settled::Quiet).count();
    assert_eq!((settled.len(), locks), (6, 1));
}

#[test]
fn a_hundred_threads_get_no_more_guesses_than_one() {
    let throttle = Throttle::new(Some(ThrottleLimits { quotas: logins(1_000), ..Default::default() }));
    let barrier = std::sync::Barrier::new(100);
    let looked_at = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                barrier.wait();
                if fail(&throttle, OWNER, at(0)).is_ok() {
                    looked_at.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
    });
    let looked_at = looked_at.into_inner();
    assert!((1..=6).contains(&looked_at), "{looked_at}");
}

#[test]
fn the_wait_grows_to_its_longest_and_stays_there() {
    let limits = ThrottleLimits::default().per_account();
    let waits: Vec<u32> = (5..18).map(|count| limits.wait_seconds(count)).collect();
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    assert_eq!(limits.wait_seconds(u32::MAX), 900);
}

#[test]
fn failures_of_an_address_count_whatever_the_account_and_though_it_succeeds_in_between() {
    let limits = ThrottleLimits { quotas: logins(1_000), ..Default::default() };
    let throttle = Throttle::new(Some(limits));
    let own_account = || {
        let attempt = throttle.begin_login("thief@example.com", OWNER, false, at(0))?;
        Ok::<_, Limited>(throttle.settle_login(attempt, true, at(0)))
    };
    let looked_at = (0..200)
        .filter(|number| {
            let _ = own_account();
            let attempt = throttle.begin_login(&format!("user{number}@example.com"), OWNER, false, at(0));
            attempt.is_ok_and(|attempt| throttle.settle_login(attempt, false, at(0)) == Settled::Quiet)
        })
        .count();
    assert_eq!(looked_at, 51);
    let limited = begin(&throttle, OWNER, at(0)).unwrap_err();
    assert_eq!((limited.policy, limited.retry_after_seconds), ("address_failures", 1));
    assert_eq!(own_account(), Err(limited));
    assert!(throttle.begin_login("ada@example.com", OWNER, true, at(0)).is_ok(), "the owner was here before");
    assert!(begin(&throttle, Some(stranger(1)), at(0)).is_ok(), "another address is free");
}

#[test]
fn a_refusal_by_one_counter_leaves_no_trace_in_the_other() {
    let throttle = Throttle::new(Some(ThrottleLimits { free_failures_per_address: 0, ..Default::default() }));
    assert!(fail(&throttle, OWNER, at(0)).is_ok());
    assert_eq!(begin(&throttle, OWNER, at(0)).unwrap_err().policy, "address_failures");
    let state = lock(&throttle.state);
    assert_eq!(state.accounts.values().map(|failures| failures.under_way).sum::<u32>(), 0);
}

#[test]
fn old_failures_are_forgotten() {
    let throttle = Throttle::new(Some(ThrottleLimits::default()));
    for number in 0..6 {
        fail(&throttle, Some(stranger(number)), at(0)).unwrap();
    }
    assert_eq!(fail(&throttle, OWNER, at(86_399)), Ok(Settled::Quiet));
    assert_eq!(begin(&throttle, OWNER, at(86_399)).unwrap_err().retry_after_seconds, 2);
    for _ in 0..5 {
        assert_eq!(fail(&throttle, OWNER, at(200_000)), Ok(Settled::Quiet));
    }
    assert_eq!(fail(&throttle, OWNER, at(200_000)), Ok(Settled::LockBegins { seconds: 1 }));
}

#[test]
fn a_clock_that_runs_back_locks_nobody_out() {
    let limits = ThrottleLimits { quotas: logins(6), ..Default::default() };
    let throttle = Throttle::new(Some(limits));
    let day = 86_400;
    for _ in 0..6 {
        fail(&throttle, OWNER, at(day)).unwrap();
    }
    assert_eq!(begin(&throttle, OWNER, at(0)).unwrap_err().retry_after_seconds, 10, "the rate's wait");
    assert_eq!(begin(&throttle, Some(stranger(1)), at(0)).unwrap_err().retry_after_seconds, 1, "the lock's");
    assert!(begin(&throttle, Some(stranger(1)), at(1)).is_ok());
    assert!(fail(&throttle, OWNER, at(10)).is_ok());
}

#[test]
fn a_thousand_at_once_pass_a_rate_exactly_as_often_as_it_says() {
    for quota in [1, 7, 60, 999] {
        let limits = ThrottleLimits { quotas: registrations(quota), ..Default::default() };
        let throttle = Throttle::new(Some(limits));
        let passed = (0..1_000).filter(|_| register(&throttle, OWNER, at(0)).is_ok()).count();
        assert_eq!(passed, usize::try_from(quota).unwrap());
    }
}

#[test]
fn strangers_do_not_lock_the_owner_out() {
    let throttle = Throttle::new(Some(ThrottleLimits::default()));
    let mut failed = 0;
    for number in 0..1_000 {
        failed += u32::from(fail(&throttle, Some(stranger(number)), at(0)).is_ok());
    }
    assert_eq!(failed, 6);
    assert!(throttle.begin_login("ada@example.com", OWNER, true, at(0)).is_ok());
}

#[test]
fn attempts_at_once_do_not_pass_where_few_may() {
    let throttle = Throttle::new(Some(ThrottleLimits { quotas: logins(1_000), ..Default::default() }));
    let begun: Vec<_> = (0..100).map(|_| throttle.begin_login("a", OWNER, false, at(0))).collect();
    assert_eq!(begun.iter().filter(|attempt| attempt.is_ok()).count(), 6);
}

#[test]
fn an_address_has_its_rate_and_gets_it_back_evenly() {
    let throttle = Throttle::new(Some(ThrottleLimits { quotas: registrations(4), ..Default::default() }));
    let admit = |seconds| register(&throttle, OWNER, at(seconds));
    assert!((0..4).all(|_| admit(0).is_ok()));
    let limited = admit(0).unwrap_err();
    assert_eq!((limited.quota, limited.window_seconds, limited.retry_after_seconds), (4, 3_600, 900));
    assert!(admit(899).is_err());
    assert!(admit(900).is_ok());
    assert!(register(&throttle, Some(stranger(1)), at(0)).is_ok());
}

#[test]
fn ipv6_is_counted_by_its_network() {
    let one = network("2001:db8::1".parse().ok());
    assert_eq!(one, network("2001:db8::ffff:1".parse().ok()));
    assert_ne!(one, network("2001:db8:0:1::1".parse().ok()));
    assert_eq!(network("::ffff:192.0.2.1".parse().ok()), network(OWNER));
}

#[test]
fn memory_is_bounded_under_a_flood_of_a_million_addresses() {
    let throttle = Throttle::new(Some(ThrottleLimits::default()));
    for number in 0..1_000_000 {
        let (address, now) = (Some(stranger(number)), Timestamp::from_millis(i64::from(number)));
        let attempt = throttle.begin_login(&number.to_string(), address, false, now).unwrap();
        throttle.settle_login(attempt, false, now);
    }
    let last = 999_999;
    let capacity = rates::SHARDS * rates::SHARD_CAPACITY;
    let (counters, room) = throttle.rates.sizes();
    assert!((capacity / 4..=capacity).contains(&counters), "{counters} counters");
    assert!(room <= 16 * 28_672, "there is room for {room}: over 22 MiB");
    let state = lock(&throttle.state);
    let lengths = [state.accounts.len(), state.addresses.len()];
    assert!(lengths.iter().all(|length| (CAPACITY / 2..=CAPACITY).contains(length)), "{lengths:?}");
    assert!(
        state.accounts.contains_key(&(digest(&last.to_string()), NO_ADDRESS)),
        "the youngest is remembered"
    );
    assert!(!state.accounts.contains_key(&(digest("0"), NO_ADDRESS)), "the oldest is not");
}

#[test]
fn switched_off_it_lets_everything_pass() {
    let throttle = Throttle::new(None);
    assert!((0..1_000).all(|_| fail(&throttle, OWNER, at(0)) == Ok(Settled::Quiet)));
}

#[test]
fn what_one_node_counted_counts_on_the_others() {
    let quotas = Quotas { register: registrations(2).register, ..logins(20) };
    let limits = ThrottleLimits { quotas, ..Default::default() };
    let (one, two) = (Throttle::new(Some(limits.clone())), Throttle::new(Some(limits)));
    for _ in 0..6 {
        fail(&one, OWNER, at(0)).unwrap();
    }
    register(&one, OWNER, at(0)).unwrap();
    two.hear(&one.take_news(), at(0));
    assert!(one.take_news().is_empty(), "told once");
    assert_eq!(begin(&two, OWNER, at(0)).unwrap_err().policy, "login_failures");
    assert_eq!(begin(&two, Some(stranger(1)), at(0)).unwrap_err().policy, "login_failures");
    assert_eq!(lock(&two.state).addresses[&network(OWNER)].count, 6);
    register(&two, OWNER, at(0)).unwrap();
    assert_eq!(register(&two, OWNER, at(0)).unwrap_err().policy, "register-address");
    assert!(
        two.take_news().iter().all(|news| news.what != Counted::AccountFailure),
        "what was heard is not told again"
    );

    // The success that one of them sees is the other's as well.
    let attempt = begin(&two, OWNER, at(1)).unwrap();
    two.settle_login(attempt, true, at(1));
    one.hear(&two.take_news(), at(1));
    assert_eq!(fail(&one, OWNER, at(1)), Ok(Settled::Quiet));
    for _ in 0..30 {
        let Ok(attempt) = begin(&one, OWNER, at(2)) else { break };
        one.settle_login(attempt, true, at(2));
    }
    two.hear(&one.take_news(), at(2));
    assert_eq!(begin(&two, OWNER, at(2)).unwrap_err().policy, "login-address");
}

fn user(number: u128) -> Asker {
    Asker::Account(UserId::new(Uuid::from_u128(number)))
}

#[test]
fn each_is_counted_by_itself() {
    let throttle = Throttle::new(Some(ThrottleLimits::default()));
    let left = |class, asker| throttle.take(class, asker, at(0)).unwrap().unwrap().remaining;
    let key = Asker::Key(SessionId::new(Uuid::from_u128(1)));
    assert_eq!(left(CallClass::Payment, user(1)), 599);
    assert_eq!(left(CallClass::Payment, user(1)), 598);
    assert_eq!(left(CallClass::Payment, user(2)), 599);
    assert_eq!(left(CallClass::Payment, key), 299);
    assert_eq!(left(CallClass::Read, user(1)), 1_199);
    assert_eq!(left(CallClass::Payment, Asker::Address(OWNER)), 1_199);
    assert_eq!(throttle.take(CallClass::Login, key, at(0)), Ok(None), "nothing counts logins by key");
}

#[test]
fn a_standing_says_what_is_left_and_when_there_is_more() {
    let throttle = Throttle::new(Some(ThrottleLimits { quotas: registrations(4), ..Default::default() }));
    let standing = |now| throttle.standing(CallClass::Register, Asker::Address(OWNER), now).unwrap();
    assert_eq!((standing(at(0)).remaining, standing(at(0)).more_in_seconds), (4, 900));
    for left in [3, 2, 1, 0] {
        let taken = register(&throttle, OWNER, at(10)).unwrap().unwrap();
        assert_eq!(
            taken,
            Standing { policy: "register-address", quota: 4, remaining: left, more_in_seconds: 900 }
        );
        assert_eq!(standing(at(10)), taken, "asking counts nothing");
    }
    assert_eq!(register(&throttle, OWNER, at(10)).unwrap_err().retry_after_seconds, 900);
    assert_eq!((standing(at(110)).remaining, standing(at(110)).more_in_seconds), (0, 800));
    assert_eq!((standing(at(910)).remaining, standing(at(910)).more_in_seconds), (1, 900));
    let tight = standing(at(910)).tighter(Standing {
        policy: "other",
        quota: 1_000,
        remaining: 240,
        more_in_seconds: 1,
    });
    assert_eq!(tight.policy, "other");
}

#[test]
fn a_thousand_threads_pass_a_rate_exactly_as_often_as_it_says() {
    let throttle = Throttle::new(Some(ThrottleLimits::default()));
    let barrier = std::sync::Barrier::new(100);
    let passed = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                barrier.wait();
                let takes = (0..10).filter(|_| throttle.take(CallClass::Payment, user(1), at(0)).is_ok());
                passed.fetch_add(takes.count(), std::sync::atomic::Ordering::SeqCst);
            });
        }
    });
    assert_eq!(passed.into_inner(), 600);
}

#[test]
fn a_flood_of_addresses_does_not_free_whoever_is_limited() {
    let throttle = Throttle::new(Some(ThrottleLimits::default()));
    while throttle.take(CallClass::Read, Asker::Address(OWNER), at(0)).is_ok() {}
    for number in 0..1_000_000 {
        let _ = throttle.take(CallClass::Read, Asker::Address(Some(stranger(number))), at(0));
    }
    assert!(throttle.take(CallClass::Read, Asker::Address(OWNER), at(0)).is_err());
}

#[test]
fn nodes_tell_of_a_rate_once_an_eighth_of_it_is_used() {
    let (one, two) =
        (Throttle::new(Some(ThrottleLimits::default())), Throttle::new(Some(ThrottleLimits::default())));
    let take = |throttle: &Throttle| throttle.take(CallClass::Payment, user(1), at(0)).map(|_| ());
    for _ in 0..74 {
        take(&one).unwrap();
    }
    assert_eq!(one.take_news(), []);
    take(&one).unwrap();
    let news = one.take_news();
    assert_eq!(
        news.iter().map(|news| (news.what.name(), news.times)).collect::<Vec<_>>(),
        [("payment-account", 75)]
    );
    assert_eq!(Counted::from_name("payment-account"), Some(news[0].what));
    two.hear(&news, at(0));
    assert_eq!(two.take_news(), [], "what was heard is not told again");
    let passed = (0..1_000).filter(|_| take(&two).is_ok()).count();
    assert_eq!(passed, 525);
    // What one node alone lets through, it does not let through again.
    one.hear(&two.take_news(), at(0));
    assert!(take(&one).is_err());
}

#[test]
fn a_call_costs_little() {
    let throttle =
        Throttle::new(Some(ThrottleLimits { quotas: registrations(1_000_000), ..Default::default() }));
    let begun = std::time::Instant::now();
    for number in 0..100_000_u32 {
        register(&throttle, Some(stranger(number % 1_000)), at(0)).unwrap();
    }
    let each = begun.elapsed() / 100_000;
    println!("{each:?} a call");
    assert!(each < std::time::Duration::from_micros(50), "{each:?} a call");
}
