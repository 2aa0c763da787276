//! The decision against the contract: a million random commands against a naive model, and the order of refusals.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at what it did not expect"
)]

#[path = "../support/random.rs"]
#[allow(dead_code, clippy::expect_used, reason = "test code, of which other tests use the rest")]
mod random;

mod cash;
mod cash_book;
mod deliveries;
mod life;
mod model;
mod order;
mod post;
mod schedules;
mod timetable;
mod world;

use farthing::ledger::{
    Action, AmountLimits, Caller, Command, Currency, Email, Lifetime, Mode, Money, OpenSession, Origin,
    PasswordHash, Register, RequestId, RiskRules, Role, Rules, SessionId, Shown, TokenHash, TokenPair,
    TransactionId, UserId, WebhookRules, WorkingSet, decide,
};
use random::Random;
use uuid::Uuid;

const GRANT_MINOR: i64 = 100_000;
const ACCESS_TTL_MS: i64 = 900_000;

/// What the commands are drawn with.
struct Dice(Random);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0.next()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next() % u64::try_from(from.len()).unwrap()).unwrap()]
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }

    fn tokens(&mut self) -> TokenPair {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        let access = TokenHash(bytes);
        TokenPair { access, refresh: refresh_of(access) }
    }
}

/// The refresh token that goes with an access token.
fn refresh_of(TokenHash(mut bytes): TokenHash) -> TokenHash {
    bytes[31] = 1;
    TokenHash(bytes)
}

fn rules() -> Rules {
    Rules {
        mode: Mode::Sandbox,
        duplicate_window_ms: 60_000,
        hold_ttl_ms: 7 * 86_400_000,
        four_eyes_above: None,
        access_ttl_ms: ACCESS_TTL_MS,
        refresh_ttl_ms: i64::MAX / 4,
        grant: Money::from_minor(GRANT_MINOR, Currency::USD).unwrap(),
        house_name: "House".into(),
        webhooks: WebhookRules { most: 16, schedule_ms: vec![0, 5_000] },
        step_up_above: AmountLimits::OFF,
        // The models know of none; tests/contract and tests/api look at them.
        risk: RiskRules { enabled: false, ..RiskRules::default() },
    }
}

/// Runs a test with these seeds and with a fresh one, all at the same time.
fn with_seeds(seeds: &[u64], run: impl Fn(u64) + Sync) {
    let (fresh, run) = (Random::seed_of_this_run(), &run);
    std::thread::scope(|scope| {
        for seed in seeds.iter().copied().chain([fresh]) {
            scope.spawn(move || {
                println!("seed {seed}");
                run(seed);
            });
        }
    });
}

fn command(dice: &mut Dice, action: Action) -> Command {
    Command { origin: Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None }, action }
}

/// Somebody who makes an account and logs in.
fn newcomer(dice: &mut Dice, number: usize) -> (Caller, [Action; 2]) {
    let (user, session) = (UserId::new(dice.uuid()), SessionId::new(dice.uuid()));
    let password = PasswordHash::from_phc("*".into()).of_length(true);
    let register = Register {
        user,
        grant: TransactionId::new(dice.uuid()),
        email: Email::parse(&format!("u{number}@example.com")).unwrap(),
        name: None,
        password: password.clone(),
        role: Role::Customer,
    };
    let tokens = dice.tokens();
    let open = OpenSession {
        shown: Shown::Nothing,
        user,
        verified: password,
        rehashed: None,
        session,
        tokens,
        lifetime: Lifetime::Refreshed,
        is_new_address: false,
    };
    let caller = Caller { user, session, access: tokens.access };
    (caller, [Action::Register(register), Action::OpenSession(open)])
}

fn make_user(rules: &Rules, set: &mut WorkingSet, dice: &mut Dice, number: usize) -> Caller {
    let (caller, actions) = newcomer(dice, number);
    for action in actions {
        let command = command(dice, action);
        assert!(decide(rules, set, &command).result.is_ok());
    }
    caller
}

/// Sessions do not end where a test is about other things; that they do is in the test of a million commands.
fn stay_logged_in(set: &mut WorkingSet, callers: &[Caller]) {
    for caller in callers {
        let session = std::sync::Arc::make_mut(set.sessions.get_mut(&caller.session).unwrap());
        session.access_expires_at = set.now.plus_millis(1);
    }
}
