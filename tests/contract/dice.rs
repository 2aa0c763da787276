//! Random commands, and what they have made so far.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use farthing::ledger::{
    Action, Amount, ApiKey, Authority, BeginFactor, Caller, CancelRequest, Capture, ChangePassword,
    ChangeUser, Command, ConfirmFactor, Currency, Email, EndSession, EndUserSessions, EventDraft, EventKind,
    Expire, Hold, IdempotencyKey, LapseRequest, Lifetime, MakeApiKey, MakeRequest, MakeResetLink, Memo,
    Money, OpenSession, Origin, Outcome, PasswordHash, Pay, PayRequested, PaymentId, PaymentRequestId, Proof,
    RefreshSession, Register, RemoveFactor, Rename, Reply, RequestId, ResetFactor, ResetPassword, Role,
    RotateApiKey, SessionId, Settle, Settlement, Shown, Stage, Timestamp, TokenHash, TokenPair, Topup,
    TopupMethod, TransactionId, TransactionKind, UserId,
};
use uuid::Uuid;

use super::beside::{self, Beside};
use super::random::Random;

/// As what people come.
const ROLES: [Role; 8] = [
    Role::Support,
    Role::Cashier,
    Role::Admin,
    Role::Customer,
    Role::Customer,
    Role::Customer,
    Role::Customer,
    Role::Customer,
];

/// What the commands are drawn with.
pub struct Dice(pub Random);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }

    pub fn hash(&mut self) -> TokenHash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        TokenHash(bytes)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let index = usize::try_from(self.next()).ok()?.checked_rem(from.len())?;
        from.get(index).copied()
    }
}

/// What the commands so far have made, as far as their answers told.
#[derive(Default)]
pub struct World {
    pub users: Vec<UserId>,
    pub callers: Vec<Caller>,
    pub refresh_tokens: Vec<TokenHash>,
    pub requests: Vec<(PaymentRequestId, UserId, Money)>,
    pub reset_links: Vec<(UserId, TokenHash)>,
    pub transactions: Vec<TransactionId>,
    /// Payments, with their payer and payee.
    pub payments: Vec<(PaymentId, [UserId; 2])>,
    /// Payments under review, with the request that each pays.
    pub reviews: Vec<(PaymentId, Option<PaymentRequestId>)>,
    /// Those of the callers whose sessions count, …
    pub live: Vec<Caller>,
    /// … and those of these who work for the operator.
    pub operators: Vec<(Caller, Role)>,
    /// API keys, with who made each.
    pub keys: Vec<(SessionId, Caller)>,
    /// What was made beside payments.
    pub beside: Beside,
    /// About what time it is.
    pub now: Timestamp,
    /// How often something came of each kind of command.
    pub done: BTreeMap<String, u32>,
}

impl World {
    /// Somebody whose session counts, if anybody's does; now and then somebody else.
    fn caller(&self, dice: &mut Dice) -> Option<Caller> {
        let lately = &self.live[self.live.len().saturating_sub(16)..];
        dice.pick(lately).filter(|_| dice.below(8) > 0).or_else(|| dice.pick(&self.callers))
    }

    /// Somebody of one of these roles, or now and then whoever asks.
    pub fn operator(&self, dice: &mut Dice, roles: &[Role], caller: Caller) -> Caller {
        let found = self.operators.iter().filter(|(_, role)| roles.contains(role));
        let found: Vec<Caller> = found.map(|(caller, _)| *caller).collect();
        dice.pick(&found).filter(|_| dice.below(6) > 0).unwrap_or(caller)
    }

    fn request_of(&self, payment: PaymentId) -> Option<PaymentRequestId> {
        self.reviews.iter().find(|(id, _)| *id == payment).and_then(|(_, request)| *request)
    }
}

pub fn password(version: u64) -> PasswordHash {
    PasswordHash::from_phc(format!("$argon2id$test${version}")).of_length(version == 0)
}

/// An address of one of six networks. Half of those of IPv4 come as IPv6.
pub fn address(network: u64, host: u64) -> IpAddr {
    let number = u16::try_from(network).unwrap();
    match network {
        0..3 => {
            let ip = Ipv4Addr::new(127, 0, 0, u8::try_from(network).unwrap());
            if host == 0 { IpAddr::V4(ip) } else { IpAddr::V6(ip.to_ipv6_mapped()) }
        }
        _ => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, number, 0, 0, 0, u16::try_from(host).unwrap())),
    }
}

pub fn command(dice: &mut Dice, world: &World) -> Command {
    let origin = Origin {
        request: RequestId::new(dice.uuid()),
        ip: Some(address(dice.below(6), dice.below(2))),
        user_agent: None,
    };
    let caller = world.caller(dice).unwrap_or(Caller {
        user: UserId::new(dice.uuid()),
        session: SessionId::new(dice.uuid()),
        access: dice.hash(),
    });
    let key = (dice.below(3) > 0).then(|| IdempotencyKey::parse(&format!("key-{}", dice.below(40))).unwrap());
    let currency = dice.pick(&["USD", "USD", "USD", "JPY", "KWD"]).map(|code| Currency::parse(code).unwrap());
    let currency = currency.unwrap_or(Currency::USD);
    let minor = dice.pick(&[1, 1, 500, 30_000, 999_999_999_999]).unwrap_or(1);
    let money = Money::from_minor(minor, currency).unwrap();
    let user = dice.pick(&world.users).unwrap_or(UserId::HOUSE);
    let tokens = TokenPair { access: dice.hash(), refresh: dice.hash() };
    let action = match dice.below(125) {
        0..8 => Action::Register(Register {
            user: UserId::new(dice.uuid()),
            grant: TransactionId::new(dice.uuid()),
            email: Email::parse(&format!("User{}@Example.com", dice.below(60))).unwrap(),
            name: (dice.below(2) == 0).then(|| format!("Name {}", dice.below(100))),
            password: password(0),
            role: dice.pick(&ROLES).unwrap(),
        }),
        8..18 => Action::OpenSession(OpenSession {
            shown: Shown::Nothing,
            user,
            verified: password(dice.below(2)),
            rehashed: (dice.below(8) == 0).then(|| password(0)),
            session: SessionId::new(dice.uuid()),
            tokens,
            lifetime: if dice.below(4) == 0 { Lifetime::Fixed(40_000) } else { Lifetime::Refreshed },
            is_new_address: dice.below(4) == 0,
        }),
        18..22 => {
            let shown = dice.pick(&world.refresh_tokens).unwrap_or(tokens.access);
            Action::RefreshSession(RefreshSession { shown, tokens })
        }
        22..24 => {
            let other = dice.pick(&world.callers).unwrap_or(caller);
            let session = if dice.below(2) == 0 { caller.session } else { other.session };
            Action::EndSession(EndSession { caller, session })
        }
        24 => Action::TouchSession(caller.session),
        25 => {
            let (verified, new) = (password(dice.below(2)), password(dice.below(2)));
            Action::ChangePassword(ChangePassword { shown: Shown::Nothing, caller, verified, new })
        }
        26 | 41 | 42 => operation(dice, world, caller, user),
        27 => {
            // Now and then an old one, or one of somebody else's.
            let newest = world.reset_links.last().copied();
            let link = if dice.below(2) == 0 { newest } else { dice.pick(&world.reset_links) };
            let (owner, secret) = link.unwrap_or((user, tokens.access));
            let user = if dice.below(8) == 0 { user } else { owner };
            Action::ResetPassword(ResetPassword { user, secret, new: password(dice.below(2)) })
        }
        28 => Action::Rename(Rename { caller, name: Some(format!("Name {}", dice.below(100))) }),
        29..40 => {
            let method = dice.pick(&TopupMethod::ALL).unwrap_or(TopupMethod::Ok);
            Action::Topup(Topup { caller, transaction: TransactionId::new(dice.uuid()), money, method, key })
        }
        40 => {
            Action::Note(vec![EventDraft::new(EventKind::AuthzFail, Some(user)).with("permission", "test")])
        }
        43..46 => {
            let payment = payment(dice, world);
            Action::Expire(Expire {
                payment,
                request: world.request_of(payment),
                step: TransactionId::new(dice.uuid()),
            })
        }
        46..62 => settle(dice, world, caller, key),
        62..66 => request(dice, world, caller, money, key),
        100..125 => beside::command(dice, world, caller, money, key),
        _ => {
            let memo = Memo {
                description: dice.pick(&["", "lunch", "'; DROP TABLE users; --"]).unwrap_or_default().into(),
                reference: dice.pick(&["", "", "R-1"]).unwrap_or_default().into(),
                metadata: dice.pick(&["", "{\"a\":\"b\"}"]).unwrap_or_default().into(),
            };
            let payee = if dice.below(4) == 0 { UserId::HOUSE } else { user };
            let capture = dice.pick(&[Capture::Automatic, Capture::Manual]).unwrap();
            Action::Pay(Pay {
                caller,
                payment: PaymentId::new(dice.uuid()),
                payee,
                money,
                memo,
                capture,
                shown: Shown::Nothing,
                key,
            })
        }
    };
    Command { origin, action }
}

/// What an operator does to a user.
fn operation(dice: &mut Dice, world: &World, caller: Caller, user: UserId) -> Action {
    let by = authority(dice, caller);
    // Mostly the same few, so that a factor which was begun is confirmed and removed.
    let first = world.live.first().filter(|_| dice.below(3) > 0);
    let with_factor = first.copied().unwrap_or(caller);
    match dice.below(9) {
        4 => {
            Action::BeginFactor(BeginFactor { caller: with_factor, seed: format!("seed {}", dice.below(2)) })
        }
        5 => Action::ConfirmFactor(ConfirmFactor {
            caller: with_factor,
            seed: format!("seed {}", dice.below(2)),
            step: dice.below(20),
            recovery: vec![[1; 32], [2; 32]],
        }),
        6 => Action::RemoveFactor(RemoveFactor { caller: with_factor, verified: password(dice.below(2)) }),
        7 => Action::MakeApiKey(MakeApiKey {
            caller,
            id: SessionId::new(dice.uuid()),
            token: dice.hash(),
            key: ApiKey { name: "shop".into(), scopes: vec!["own_account".parse().unwrap()] },
            expires_in_ms: dice.pick(&[None, Some(60_000)]).flatten(),
            shown: shown(dice),
        }),
        8 => {
            let newest = world.keys.last().copied().filter(|_| dice.below(4) > 0);
            let (old, caller) = newest.unwrap_or((caller.session, caller));
            Action::RotateApiKey(RotateApiKey {
                caller,
                old,
                id: SessionId::new(dice.uuid()),
                token: dice.hash(),
                overlap_ms: 30_000,
                shown: shown(dice),
            })
        }
        0 => Action::EndUserSessions(EndUserSessions { by, user }),
        1 => {
            let role = dice.pick(&[Role::Admin, Role::Support, Role::Customer]);
            let frozen = (dice.below(4) > 0).then(|| dice.below(4) == 0);
            Action::ChangeUser(ChangeUser { by, user, role, frozen })
        }
        2 => Action::ResetFactor(ResetFactor { by, user }),
        _ => Action::MakeResetLink(MakeResetLink { by, user, secret: dice.hash() }),
    }
}

/// A payment made lately, so that most of them are at hand; mostly one whose payee is there.
fn payment(dice: &mut Dice, world: &World) -> PaymentId {
    let lately = &world.payments[world.payments.len().saturating_sub(30)..];
    let is_there = |(_, [_, to]): &&(PaymentId, [UserId; 2])| world.live.iter().any(|live| live.user == *to);
    let with_payee: Vec<_> = lately.iter().filter(is_there).copied().collect();
    let payment = dice.pick(&with_payee).filter(|_| dice.below(4) > 0).or_else(|| dice.pick(lately));
    payment.map_or_else(|| PaymentId::new(dice.uuid()), |(payment, _)| payment)
}

fn request(
    dice: &mut Dice,
    world: &World,
    caller: Caller,
    money: Money,
    key: Option<IdempotencyKey>,
) -> Action {
    let lately = world.requests.len().saturating_sub(6);
    let Some((request, payee, asked)) = dice.pick(&world.requests[lately..]).filter(|_| dice.below(3) > 0)
    else {
        let expires_in_ms = dice.pick(&[None, Some(1), Some(60_000)]).flatten();
        let request = PaymentRequestId::new(dice.uuid());
        return Action::MakeRequest(MakeRequest {
            caller,
            request,
            money,
            description: String::new(),
            expires_in_ms,
        });
    };
    if dice.below(4) == 0 {
        return Action::CancelRequest(CancelRequest { caller, request });
    }
    if dice.below(4) == 0 {
        return Action::LapseRequest(LapseRequest { request, owner: payee });
    }
    let memo = Memo { reference: request.to_string(), ..Memo::default() };
    // Now and then one who was told of another request under this id.
    let money = if dice.below(8) == 0 { money } else { asked };
    let payment = PaymentId::new(dice.uuid());
    let pay =
        Pay { caller, payment, payee, money, memo, capture: Capture::Automatic, shown: Shown::Nothing, key };
    Action::PayRequest(PayRequested { request, pay })
}

fn settle(dice: &mut Dice, world: &World, caller: Caller, key: Option<IdempotencyKey>) -> Action {
    let amount = dice.pick(&["", "", "0.01", "3", "250"]).and_then(|amount| Amount::parse(amount).ok());
    if let Some((payment, request)) = dice.pick(&world.reviews).filter(|_| dice.below(4) == 0) {
        let note = dice.pick(&["well", "no"]).unwrap().to_owned();
        let approves = dice.below(2) == 0;
        return Action::Settle(Settle {
            caller: world.operator(dice, &[Role::Support, Role::Admin], caller),
            payment,
            request,
            step: TransactionId::new(dice.uuid()),
            settlement: if approves { Settlement::Approve { note } } else { Settlement::Reject { note } },
            key,
        });
    }
    let settlement = match dice.below(8) {
        0..3 => Settlement::Capture { amount },
        3 => Settlement::Void,
        4..7 => Settlement::Refund { amount, reason: dice.pick(&["", "cold"]).unwrap().to_owned() },
        _ => Settlement::Approve { note: "well".to_owned() },
    };
    let payment = payment(dice, world);
    // Mostly somebody who is a party to it, so that something comes of it.
    let sides = world.payments.iter().find(|(id, _)| *id == payment).map(|(_, sides)| *sides);
    let party = sides.map(|[from, to]| if dice.below(5) == 0 { from } else { to });
    let by_party = world.live.iter().rev().find(|caller| Some(caller.user) == party).copied();
    Action::Settle(Settle {
        caller: by_party.unwrap_or(caller),
        payment,
        request: None,
        step: TransactionId::new(dice.uuid()),
        settlement,
        key,
    })
}

/// Something for a second factor, mostly nothing.
fn shown(dice: &mut Dice) -> Shown {
    match dice.below(4) {
        0 => Shown::Proof(Proof::Step(dice.below(40))),
        1 => Shown::Proof(Proof::Recovery([1; 32])),
        _ => Shown::Nothing,
    }
}

/// The host more often than the caller, who is an operator now and then.
fn authority(dice: &mut Dice, caller: Caller) -> Authority {
    if dice.below(3) > 0 { Authority::Host } else { Authority::Operator(caller) }
}

pub fn learn(world: &mut World, command: &Command, outcome: &Outcome) {
    beside::learn(&mut world.beside, &command.action, outcome);
    if outcome.result.is_ok() {
        *world.done.entry(name_of(&command.action)).or_default() += 1;
    }
    match (&outcome.result, &command.action) {
        (Ok(Reply::User(user)), Action::Register(_)) => world.users.push(user.id),
        (Ok(Reply::User(user)), Action::MakeResetLink(made)) => {
            world.reset_links.push((user.id, made.secret));
        }
        (Ok(Reply::Session(session, user)), action) => {
            if let Action::MakeApiKey(made) = action {
                world.keys.push((session.id, made.caller));
            }
            let caller = Caller { user: user.id, session: session.id, access: session.access };
            world.callers.push(caller);
            world.refresh_tokens.push(session.refresh);
        }
        (Ok(Reply::Transaction(transaction)), _) => {
            world.transactions.push(transaction.id);
            if transaction.kind == TransactionKind::Payment {
                let sides = [transaction.from.id, transaction.to.id];
                world.payments.push((transaction.id.into(), sides));
                if transaction.stage == Stage::Held(Hold::ForReview) {
                    let request = transaction.memo.reference.parse().ok();
                    world.reviews.push((transaction.id.into(), request));
                }
            }
        }
        (Ok(Reply::Request { record, .. }), Action::MakeRequest(made)) => {
            world.requests.push((made.request, record.filing.owner, made.money));
        }
        (Ok(Reply::Step { step, .. }), _) => {
            world.transactions.push(step.id);
        }
        _ => {}
    }
}

/// The kind of a command; of a step, and of what is asked about webhooks and deliveries, which.
fn name_of(action: &Action) -> String {
    let told = match action {
        Action::Settle(settle) => format!("{:?}", settle.settlement.step()),
        Action::Webhook(asked) => format!("Webhook{asked:?}"),
        Action::Delivery(asked) => format!("Delivery{asked:?}"),
        other => format!("{other:?}"),
    };
    told.chars().take_while(|letter| letter.is_alphanumeric()).collect()
}
