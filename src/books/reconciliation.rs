//! Reconciliation: what a bank booked beside the deposits and withdrawals of the ledger.
//!
//! A line and an entry are the same where reference, currency and amount are; where the first two alone are, and the
//! direction, they differ. A line may have several references: the first that the ledger has with that amount counts.
//! References are compared without regard to case and to runs of blanks. Each is used once, in the order of the file and
//! of the journal. What is left of the file is missing in the ledger, what is left of the ledger within the period is
//! extra. Nothing is changed by it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::bank::BankLine;
use crate::ledger::{Currency, TransactionId};

/// A deposit or withdrawal of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// Which.
    pub transaction: TransactionId,
    /// In minor units: above zero what came in, below what went out.
    pub amount_minor: i64,
    /// Of this currency.
    pub currency: Currency,
    /// For the books.
    pub reference: String,
    /// Whether it is of the period; others are there to be matched, as a bank books on a day of its own.
    pub is_of_period: bool,
}

/// What came of it: places in the lines and the bookings that were compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Lines with the booking of the same reference and amount.
    pub matched: Vec<(usize, usize)>,
    /// Lines with the booking of the same reference and another amount.
    pub differing: Vec<(usize, usize)>,
    /// Lines that the ledger does not have.
    pub missing: Vec<usize>,
    /// Bookings of the period that the file does not have.
    pub extra: Vec<usize>,
}

/// Compares a bank's lines with the ledger's bookings.
pub fn reconcile(lines: &[BankLine], bookings: &[Booking]) -> Reconciliation {
    let mut found = Reconciliation::default();
    let mut exact: HashMap<_, VecDeque<usize>> = HashMap::new();
    for (place, booking) in bookings.iter().enumerate() {
        let key = (normal(&booking.reference), booking.currency, booking.amount_minor);
        exact.entry(key).or_default().push_back(place);
    }
    let mut left_lines = Vec::new();
    for (line, told) in lines.iter().enumerate() {
        // Without a reference an equal amount says nothing.
        let keys = told.references.iter().map(|text| (normal(text), told.currency, told.amount_minor));
        match next_of(&mut exact, keys) {
            Some(booking) => found.matched.push((line, booking)),
            None => left_lines.push(line),
        }
    }
    let mut left: Vec<usize> = exact.into_values().flatten().collect();
    left.sort_unstable();
    let mut alike: HashMap<_, VecDeque<usize>> = HashMap::new();
    for booking in left {
        let Some(told) = bookings.get(booking) else { continue };
        let key = (normal(&told.reference), told.currency, told.amount_minor > 0);
        alike.entry(key).or_default().push_back(booking);
    }
    for line in left_lines {
        let Some(told) = lines.get(line) else { continue };
        let keys = told.references.iter().map(|text| (normal(text), told.currency, told.amount_minor > 0));
        match next_of(&mut alike, keys) {
            Some(booking) => found.differing.push((line, booking)),
            None => found.missing.push(line),
        }
    }
    let is_of_period = |booking: &usize| bookings.get(*booking).is_some_and(|told| told.is_of_period);
    found.extra = alike.into_values().flatten().filter(is_of_period).collect();
    found.extra.sort_unstable();
    found
}

/// Takes the next booking of the first key that has one.
fn next_of<K: Hash + Eq>(
    bookings: &mut HashMap<K, VecDeque<usize>>,
    mut keys: impl Iterator<Item = K>,
) -> Option<usize> {
    keys.find_map(|key| bookings.get_mut(&key)?.pop_front())
}

/// A reference without what people and banks write differently.
fn normal(reference: &str) -> String {
    reference.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn line(amount_minor: i64, reference: &str) -> BankLine {
        BankLine {
            line: 1,
            date: String::new(),
            amount_minor,
            currency: Currency::USD,
            references: reference.split('|').filter(|text| !text.is_empty()).map(str::to_owned).collect(),
        }
    }

    fn booking(amount_minor: i64, reference: &str, is_of_period: bool) -> Booking {
        let transaction = TransactionId::new(Uuid::nil());
        let reference = reference.to_owned();
        Booking { transaction, amount_minor, currency: Currency::USD, reference, is_of_period }
    }

    #[test]
    fn each_is_matched_once_or_told() {
        let lines = [
            line(100, "Slip  1"),
            line(100, "slip 1"),
            line(-50, "b"),
            line(70, "c"),
            line(5, ""),
            line(30, "sender's|slip 3"),
        ];
        let bookings = [
            booking(100, "slip 1", true),
            booking(-51, "B", true),
            booking(-70, "c", true),
            booking(5, "", true),
            booking(30, "Slip 3", true),
            booking(9, "later", false),
        ];
        let found = reconcile(&lines, &bookings);
        assert_eq!(found.matched, [(0, 0), (5, 4)]);
        assert_eq!(found.differing, [(2, 1)]);
        assert_eq!(found.missing, [1, 3, 4]);
        assert_eq!(found.extra, [2, 3]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_counted_twice(
            lines in prop::collection::vec((1_i64..4, "[ab]?"), 0..20),
            bookings in prop::collection::vec((1_i64..4, "[ab]?", any::<bool>()), 0..20),
        ) {
            let lines: Vec<_> = lines.iter().map(|(minor, reference)| line(*minor, reference)).collect();
            let bookings: Vec<_> =
                bookings.iter().map(|(minor, reference, of)| booking(*minor, reference, *of)).collect();
            let found = reconcile(&lines, &bookings);
            let pairs: Vec<_> = found.matched.iter().chain(&found.differing).collect();
            let mut used: Vec<_> = pairs.iter().map(|pair| pair.0).chain(found.missing.iter().copied()).collect();
            used.sort_unstable();
            prop_assert_eq!(used, (0..lines.len()).collect::<Vec<_>>());
            let of_period = |place: &usize| bookings[*place].is_of_period;
            let mut used: Vec<_> =
                pairs.iter().map(|pair| pair.1).filter(of_period).chain(found.extra.iter().copied()).collect();
            used.sort_unstable();
            prop_assert_eq!(used, (0..bookings.len()).filter(of_period).collect::<Vec<_>>());
            for (line, booking) in &found.matched {
                prop_assert_eq!(lines[*line].amount_minor, bookings[*booking].amount_minor);
            }
        }
    }
}
