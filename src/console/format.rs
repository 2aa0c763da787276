//! How values look: money by its currency's own rules, times relative with the exact one behind them, ids, devices.

use maud::{Markup, html};

use crate::ledger::{Balance, Currency, Money, Timestamp, date_of};

/// A sign that money shows in front of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// Only where it is below zero.
    Plain,
    /// Came in.
    In,
    /// Went out.
    Out,
}

/// An amount with its currency: digits in the groups and with the decimals that the currency has.
pub(super) fn money(amount_minor: i64, currency: Currency, sign: Sign) -> Markup {
    let (whole, decimals) = digits(amount_minor, currency);
    let mark = match sign {
        _ if amount_minor < 0 => "\u{2212}",
        Sign::Plain => "",
        Sign::In => "+",
        Sign::Out => "\u{2212}",
    };
    let tone = match sign {
        Sign::In => "money in",
        _ => "money",
    };
    html! {
        span class=(tone) {
            (mark) (symbol(currency)) (whole) span.decimals { @if !decimals.is_empty() { "." (decimals) } }
            " " span.currency { (currency.code()) }
        }
    }
}

/// The same for an amount that somebody asks for.
pub(super) fn amount(money_: Money, sign: Sign) -> Markup {
    money(money_.amount_minor(), money_.currency(), sign)
}

/// An amount as plain text, for titles and labels.
pub(super) fn plain(amount_minor: i64, currency: Currency) -> String {
    let (whole, decimals) = digits(amount_minor, currency);
    let sign = if amount_minor < 0 { "\u{2212}" } else { "" };
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{sign}{}{whole}{point}{decimals} {}", symbol(currency), currency.code())
}

/// The whole units in groups, and the decimals.
fn digits(amount_minor: i64, currency: Currency) -> (String, String) {
    let text = Balance { amount_minor, currency }.to_string();
    let text = text.trim_start_matches('-');
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    (grouped(whole, currency), decimals.to_owned())
}

/// Digits in groups of three; of rupees in lakhs and crores; of Swiss francs with apostrophes.
fn grouped(whole: &str, currency: Currency) -> String {
    let (size, separator) = match currency.code() {
        "INR" | "PKR" | "BDT" | "NPR" | "LKR" => (2, ','),
        "CHF" => (3, '\u{2019}'),
        _ => (3, ','),
    };
    let mut reversed = String::with_capacity(whole.len().saturating_mul(2));
    for (at, digit) in whole.chars().rev().enumerate() {
        // The group next to the point always has three.
        let is_boundary = at >= 3 && at.saturating_sub(3).is_multiple_of(size);
        if is_boundary {
            reversed.push(separator);
        }
        reversed.push(digit);
    }
    reversed.chars().rev().collect()
}

/// The sign in front of the digits, of currencies that are commonly written with one.
fn symbol(currency: Currency) -> &'static str {
    match currency.code() {
        "USD" | "CAD" | "AUD" | "NZD" | "MXN" | "SGD" | "HKD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        "JPY" | "CNY" => "¥",
        "INR" => "₹",
        "KRW" => "₩",
        "NGN" => "₦",
        "TRY" => "₺",
        "UAH" => "₴",
        "VND" => "₫",
        "ILS" => "₪",
        "PHP" => "₱",
        _ => "",
    }
}

/// A count with its digits in groups.
pub(super) fn count(number: u64) -> String {
    grouped(&number.to_string(), Currency::USD)
}

/// A time, as long ago as it was, with the exact one for whoever points at it.
pub(super) fn time(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at) title=(exact(at)) { (relative(at, now)) } }
}

/// Date and time in UTC, for people.
pub(super) fn exact(at: Timestamp) -> String {
    let text = at.to_string();
    let clock = text.get(11..19).unwrap_or_default();
    format!("{}, {clock} UTC", date(at))
}

/// The date in UTC, for people.
pub(super) fn date(at: Timestamp) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day) = date_of(at.as_millis().div_euclid(86_400_000));
    let month = usize::try_from(month.saturating_sub(1)).ok().and_then(|index| MONTHS.get(index));
    format!("{day} {} {year}", month.copied().unwrap_or_default())
}

/// How long ago, or in how long; past a week the date says more.
fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_millis().saturating_sub(at.as_millis()).div_euclid(1_000);
    let (span, is_past) = (seconds.unsigned_abs(), seconds >= 0);
    let (number, unit) = match span {
        0..=44 => return if is_past { "just now".to_owned() } else { "in a moment".to_owned() },
        45..=3_569 => ((span.saturating_add(30)) / 60, "minute"),
        3_570..=84_599 => ((span.saturating_add(1_800)) / 3_600, "hour"),
        84_600..=604_799 => ((span.saturating_add(43_200)) / 86_400, "day"),
        _ => return date(at),
    };
    let plural = if number == 1 { "" } else { "s" };
    if is_past { format!("{number} {unit}{plural} ago") } else { format!("in {number} {unit}{plural}") }
}

/// What somebody seems to use, from what their client calls itself.
pub(super) fn device(user_agent: Option<&str>) -> String {
    let Some(agent) = user_agent else { return "Unknown client".to_owned() };
    let find = |known: &[(&'static str, &'static str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    let browser = find(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = find(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => agent.chars().take(40).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "USD", "$0.00 USD")]
    #[case(123_456_789, "USD", "$1,234,567.89 USD")]
    #[case(-5, "EUR", "\u{2212}€0.05 EUR")]
    #[case(1_200, "JPY", "¥1,200 JPY")]
    #[case(1_250, "KWD", "1.250 KWD")]
    #[case(12_345_678_900, "INR", "₹12,34,56,789.00 INR")]
    #[case(123_456_700, "CHF", "1\u{2019}234\u{2019}567.00 CHF")]
    fn money_follows_its_currency(#[case] minor: i64, #[case] code: &str, #[case] expected: &str) {
        assert_eq!(plain(minor, Currency::parse(code).unwrap()), expected);
    }

    #[rstest]
    #[case(0, "just now")]
    #[case(44, "just now")]
    #[case(45, "1 minute ago")]
    #[case(3_569, "59 minutes ago")]
    #[case(3_570, "1 hour ago")]
    #[case(84_600, "1 day ago")]
    #[case(604_799, "7 days ago")]
    #[case(604_800, "24 Nov 2026")]
    #[case(-10, "in a moment")]
    #[case(-7_200, "in 2 hours")]
    fn times_are_told_as_long_ago_as_they_are(#[case] seconds: i64, #[case] expected: &str) {
        let now = Timestamp::from_millis(1_795_540_387_000 + 604_800_000);
        assert_eq!(relative(now.plus_millis(-seconds * 1_000), now), expected);
    }

    #[test]
    fn the_exact_time_names_its_zone() {
        assert_eq!(exact(Timestamp::from_millis(1_795_540_387_000)), "24 Nov 2026, 17:13:07 UTC");
    }

    #[rstest]
    #[case(None, "Unknown client")]
    #[case(Some("curl/8.5"), "curl")]
    #[case(
        Some("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131 Safari/537.36"),
        "Chrome on Linux"
    )]
    #[case(
        Some("Mozilla/5.0 (iPhone; CPU iPhone OS 17 like Mac OS X) Version/17 Safari/604"),
        "Safari on iPhone"
    )]
    #[case(Some("<script>alert(1)</script>"), "<script>alert(1)</script>")]
    fn devices_are_told_by_their_names(#[case] agent: Option<&str>, #[case] expected: &str) {
        assert_eq!(device(agent), expected);
    }
}
