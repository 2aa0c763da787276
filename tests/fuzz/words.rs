//! Single values: amounts, addresses, tokens, scopes, codes, ids, keys, passwords, cursors, times and rules.

use std::str::FromStr as _;
use std::time::Instant;

use farthing::auth::password::{Password, Policy};
use farthing::auth::seal::Secret;
use farthing::auth::token::{AccessToken, ApiKeyToken, RefreshToken};
use farthing::auth::totp;
use farthing::clock::Clock;
use farthing::http::extract::{Cursor, Place, parse_end, parse_start};
use farthing::ledger::{
    Currency, Email, IdempotencyKey, Money, PaymentId, Proof, Role, Scope, Timestamp, UserId,
};
use farthing::teller::first_run;

use crate::target;

const AMOUNTS: &[&str] = &[
    "0.1",
    "1.10",
    "12.50",
    "1200",
    "1.250",
    "999999999999",
    "9999999999.99",
    "0.00",
    "1e3",
    "-1",
    "007",
    ".5",
    "5.",
];
const CURRENCIES: [&str; 3] = ["JPY", "USD", "KWD"];

/// The contract's rules on amounts, digit by digit.
fn is_money(text: &str, exponent: usize) -> bool {
    let (whole, decimals) = match text.split_once('.') {
        Some((_, "")) => return false,
        Some((whole, decimals)) => (whole, decimals),
        None => (text, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain =
        digits(whole) && digits(decimals) && !whole.is_empty() && (whole == "0" || !whole.starts_with('0'));
    let significant = format!("{whole}{decimals:0<exponent$}");
    let significant = significant.trim_start_matches('0');
    is_plain && decimals.len() <= exponent && (1..=12).contains(&significant.len())
}

target!(
    /// What is taken is what the contract's rules say, and comes out as it went in.
    an_amount, AMOUNTS, |text: &str| {
        for code in CURRENCIES {
            let currency = Currency::parse(code).unwrap();
            let exponent = usize::from(currency.exponent());
            let money = Money::parse(text, currency);
            assert_eq!(money.is_ok(), is_money(text, exponent), "{text:?} {code}: {money:?}");
            let Ok(money) = money else { continue };
            assert!((1..=Money::MAX_MINOR).contains(&money.amount_minor()), "{text:?}");
            assert_eq!(Money::parse(&money.to_string(), currency).unwrap(), money, "{text:?}");
        }
    }
);

target!(
    /// A currency is written in one way, whichever way it was read.
    a_currency, &["USD", "usd", "KWD", "XAU", "XXX", "jpy"], |text: &str| {
        if let Ok(currency) = Currency::parse(text) {
            assert_eq!(currency.code(), text.to_uppercase());
            assert!(currency.code().len() == 3 && currency.exponent() <= 4);
        }
    }
);

const EMAILS: &[&str] = &[
    "ada@example.org",
    " Ada.Lovelace+pay@Example.ORG ",
    "\"quoted local\"@example.org",
    "ada@[192.0.2.1]",
    "ada@exämple.org",
    "ada@b",
    "Ada <ada@example.org>",
    "ada(comment)@example.org",
    "@",
    "a@b@c",
];

target!(
    /// An address that is taken is taken again as it was kept, and is one account whatever its case.
    an_email, EMAILS, |text: &str| {
        let Ok(email) = Email::parse(text) else { return };
        assert!(email.as_str().len() <= Email::MAX_LENGTH && email.as_str().contains('@'));
        assert!(!email.as_str().chars().any(char::is_control) && email.as_str().trim() == email.as_str());
        assert_eq!(Email::parse(email.as_str()).unwrap().folded(), email.folded());
        assert!(email.as_str().starts_with(email.local_part()));
        if let Ok(lower) = Email::parse(email.folded()) {
            assert_eq!(lower.folded(), email.folded());
        }
    }
);

target!(
    /// What is taken for a token is one to the last letter: none that was bent is.
    a_token, &["fat_", "frt_", "Bearer fat_"], |text: &str| {
        let token = AccessToken::generate(&Clock::system()).unwrap();
        let other = bent_token(token.reveal(), text);
        assert_eq!(AccessToken::parse(&other).is_ok(), other == token.reveal(), "{other}");
        assert!(AccessToken::parse(token.reveal()).is_ok() && RefreshToken::parse(token.reveal()).is_err());
        if let Ok(taken) = AccessToken::parse(text) {
            assert_eq!(taken.reveal(), text);
        }
    }
);

target!(
    /// The same of the key of a server.
    an_api_key, &["fak_", "fat_", "Bearer fak_"], |text: &str| {
        let token = ApiKeyToken::generate(&Clock::system()).unwrap();
        let other = bent_token(token.reveal(), text);
        assert_eq!(ApiKeyToken::parse(&other).is_ok(), other == token.reveal(), "{other}");
        assert!(ApiKeyToken::parse(token.reveal()).is_ok() && AccessToken::parse(token.reveal()).is_err());
        if let Ok(taken) = ApiKeyToken::parse(text) {
            assert_eq!(taken.reveal(), text);
        }
    }
);

/// A token with one of its letters exchanged for what the input says.
fn bent_token(token: &str, input: &str) -> String {
    let bent = input.as_bytes();
    let at = bent.first().map_or(0, |byte| usize::from(*byte)) % token.len();
    let letter = char::from(b'!' + bent.last().copied().unwrap_or_default() % 94);
    token.chars().enumerate().map(|(n, c)| if n == at { letter } else { c }).collect()
}

target!(
    /// A scope is written in one way.
    a_scope, &["payments", "payments:read", "own_wallet:read", "credentials", ":read:read"], |text: &str| {
        if let Ok(scope) = Scope::from_str(text) {
            assert_eq!(scope.to_string(), text);
        }
    }
);

/// When codes are shown in this test.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_015_000);

target!(
    /// Six digits are a code of this moment or none; everything else can only be a recovery code.
    a_code, &[code(0), code(1), " 123456 ".into(), "ABCD-EFGH-IJKL-MNOP-QRST-UVWX".into(), "١٢٣٤٥٦".into()], |text: &str| {
        let shown = text.trim();
        let is_code = shown.len() == 6 && shown.bytes().all(|byte| byte.is_ascii_digit());
        match totp::proof(&seed(), text, NOW) {
            Some(Proof::Step(step)) => {
                assert!(step.abs_diff(totp::step_at(NOW)) <= 1 && totp::code(&seed(), step) == shown, "{text:?}");
            }
            Some(Proof::Recovery(_)) => assert!(!is_code, "{text:?}"),
            None => assert!(is_code && shown != code(0) && shown != code(1), "{text:?}"),
        }
    }
);

fn seed() -> Secret {
    Secret::new(b"12345678901234567890".to_vec())
}

/// The code of so many steps after this moment.
fn code(steps: u64) -> String {
    totp::code(&seed(), totp::step_at(NOW) + steps)
}

const IDS: &[&str] = &[
    "usr_01m87gab34enks5zjf3kvas3k0",
    "pay_01m87gab55fcya22cekvd98x77",
    "pay_7zzzzzzzzzzzzzzzzzzzzzzzzz",
    "pay_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "PAY_01M87GAB55FCYA22CEKVD98X77",
    "house",
];

target!(
    /// An id has one way to be written.
    an_id, IDS, |text: &str| {
        if let Ok(id) = text.parse::<PaymentId>() {
            assert_eq!(id.to_string(), text);
        }
        if let Ok(id) = text.parse::<UserId>() {
            assert_eq!(id.to_string().parse::<UserId>().unwrap(), id);
        }
    }
);

target!(
    /// A key is printable, bounded, and the same inside quotes and without.
    an_idempotency_key, &["lunch-1", "\"lunch-1\"", "\"a \\\" b \\\\ c\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"], |text: &str| {
        let Ok(key) = IdempotencyKey::parse(text) else { return };
        let inside = key.as_str();
        assert!((1..=IdempotencyKey::MAX_LENGTH).contains(&inside.len()));
        assert!(inside.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{inside:?}");
        let quoted = format!("\"{}\"", inside.replace('\\', "\\\\").replace('"', "\\\""));
        assert_eq!(IdempotencyKey::parse(&quoted).unwrap(), key);
        assert_eq!(IdempotencyKey::from_stored(inside).as_ref(), Some(&key));
    }
);

target!(
    /// A cursor is what we wrote or it is none.
    a_cursor, &["AQAAAAAAAAAB", "AQAAAAAAAAAA", "Af__________"], |text: &str| {
        if let Some(cursor) = Cursor::parse(text) {
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
            assert_eq!(cursor.to_string(), text);
        }
    }
);

target!(
    /// The same of a place in the feed, which a browser sends back as Last-Event-ID.
    a_place, &["AgAAAAAAAAABAAAAAAAAAAI", "Av____________________w", "AQAAAAAAAAAB"], |text: &str| {
        if let Some(place) = Place::parse(text) {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
            assert_eq!(place.to_string(), text);
        }
    }
);

const RULES: &[&str] = &[
    "FREQ=MONTHLY;BYMONTHDAY=1",
    "RRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR;COUNT=10",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;INTERVAL=3",
    "FREQ=DAILY;UNTIL=20300101T000000Z",
    "FREQ=MONTHLY;BYDAY=-1FR;BYSETPOS=-1;WKST=SU",
    "FREQ=YEARLY;BYWEEKNO=53;BYYEARDAY=-366",
    "FREQ=HOURLY;BYHOUR=9;BYMINUTE=0;BYSECOND=59",
];

target!(
    /// A rule first runs when it begins or later, and finding out is not work for free.
    a_recurrence_rule, RULES, |text: &str| {
        let began = Instant::now();
        if let Ok(first) = first_run(NOW, Some(text), NOW) {
            assert!(first >= NOW, "{text:?} runs at {first} first");
        }
        assert!(began.elapsed().as_secs() < 5, "{text:?} took {:?}", began.elapsed());
    }
);

target!(
    /// What begins with a moment does not end before it.
    a_moment, &["2026-11-25", "2026-11-25T02:00:00Z", "2026-11-25T02:00:00.123+01:00", "2024-02-29", "2023-02-29"], |text: &str| {
        if let (Some(start), Some(end)) = (parse_start(text), parse_end(text)) {
            assert!(start <= end, "{text}");
        }
    }
);

target!(
    /// A judgement comes, whatever is typed, and a bound keeps it from being work for free.
    a_password, &["seven quiet otters", "4@8({[<3691!|70$5+%24@8({[<3691!|70$5+%2", "пароль-от-кассы-42", "aaaaaaaaaaaaaaaaaaaa"], |text: &str| {
        let began = Instant::now();
        let email = Email::parse("lovelace@example.com").unwrap();
        let faults = Policy::default().check(&Password::new(text), Some(&email), Role::Customer);
        assert!(faults.len() <= 4, "{faults:?}");
        assert!(text.to_lowercase().contains("lovelace") || !faults.iter().any(|fault| fault.code() == "contains_email"));
        assert!(began.elapsed().as_secs() < 5, "{text:?} took {:?}", began.elapsed());
    }
);
