//! Times coming in: RFC 3339 with any offset, or a plain date. Going out a `Timestamp` displays as it is sent.
//!
//! Years 0001 to 9999 of the proleptic Gregorian calendar, which is what RFC 3339 can write.

use crate::ledger::{Timestamp, date_of};

const MS_PER_DAY: i64 = 86_400_000;

/// Reads an RFC 3339 time, or a date as its first moment in UTC.
pub fn parse_start(text: &str) -> Option<Timestamp> {
    parse_date(text).or_else(|| parse_time(text))
}

/// Reads an RFC 3339 time, or a date as the first moment after it in UTC.
pub fn parse_end(text: &str) -> Option<Timestamp> {
    parse_date(text).map(|start| start.plus_millis(MS_PER_DAY)).or_else(|| parse_time(text))
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let mut reader = Reader(text.as_bytes());
    let day = reader.date()?;
    reader.0.is_empty().then(|| Timestamp::from_millis(day * MS_PER_DAY))
}

fn parse_time(text: &str) -> Option<Timestamp> {
    let mut reader = Reader(text.as_bytes());
    let day = reader.date()?;
    reader.one_of(b"Tt ")?;
    let hour = reader.number(2, 0, 23)?;
    reader.one_of(b":")?;
    let minute = reader.number(2, 0, 59)?;
    reader.one_of(b":")?;
    // A leap second counts as the second before it, as in Unix time.
    let second = reader.number(2, 0, 60)?.min(59);
    let milli = reader.fraction()?;
    let offset_minutes = reader.offset()?;
    if !reader.0.is_empty() {
        return None;
    }
    let minutes = hour * 60 + minute - offset_minutes;
    Some(Timestamp::from_millis(day * MS_PER_DAY + minutes * 60_000 + second * 1000 + milli))
}

/// Takes a text apart from the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Exactly so many digits, between two bounds.
    fn number(&mut self, digits: usize, min: i64, max: i64) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        let mut number = 0;
        for digit in head {
            number = number * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        self.0 = rest;
        (min..=max).contains(&number).then_some(number)
    }

    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        allowed.contains(first).then_some(*first)
    }

    /// A date, as days since 1970.
    fn date(&mut self) -> Option<i64> {
        let year = self.number(4, 1, 9999)?;
        self.one_of(b"-")?;
        let month = self.number(2, 1, 12)?;
        self.one_of(b"-")?;
        let day = self.number(2, 1, 31)?;
        let days = days_of(year, month, day);
        // The 31st of a month of 30 days comes back as the 1st of the next.
        (date_of(days) == (year, month, day)).then_some(days)
    }

    /// Milliseconds after the point, if there is one; further digits are cut.
    fn fraction(&mut self) -> Option<i64> {
        let Some(rest) = self.0.strip_prefix(b".") else { return Some(0) };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (head, rest) = rest.split_at_checked(digits).filter(|(head, _)| !head.is_empty())?;
        self.0 = rest;
        let padded = head.iter().copied().chain([b'0', b'0']).take(3);
        Some(padded.fold(0, |milli, digit| milli * 10 + i64::from(digit - b'0')))
    }

    /// Minutes by which local time is ahead of UTC.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2, 0, 23)?;
        self.one_of(b":")?;
        Some(sign * (hours * 60 + self.number(2, 0, 59)?))
    }
}

/// The inverse of [`date_of`].
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "1970-01-01T00:00:00.000Z")]
    #[case(1, "1970-01-01T00:00:00.001Z")]
    #[case(-1, "1969-12-31T23:59:59.999Z")]
    #[case(951_826_154_321, "2000-02-29T12:09:14.321Z")]
    #[case(1_795_540_387_000, "2026-11-24T17:13:07.000Z")]
    #[case(4_107_542_400_000, "2100-03-01T00:00:00.000Z")]
    #[case(253_402_300_799_999, "9999-12-31T23:59:59.999Z")]
    fn times_are_written_and_read_back(#[case] millis: i64, #[case] text: &str) {
        assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        assert_eq!(parse_start(text), Some(Timestamp::from_millis(millis)));
    }

    #[rstest]
    #[case("1970-01-02", 86_400_000, 172_800_000)]
    #[case("1970-01-01T01:00:00+01:00", 0, 0)]
    #[case("1969-12-31t23:30:00.5-00:30", 500, 500)]
    #[case("1970-01-01T00:00:00.123456789Z", 123, 123)]
    fn ranges_take_whole_days(#[case] text: &str, #[case] start: i64, #[case] end: i64) {
        assert_eq!(parse_start(text), Some(Timestamp::from_millis(start)));
        assert_eq!(parse_end(text), Some(Timestamp::from_millis(end)));
    }

    #[rstest]
    #[case("")]
    #[case("2026")]
    #[case("2026-13-01")]
    #[case("2026-02-29")]
    #[case("2026-04-31")]
    #[case("0000-01-01")]
    #[case("2026-01-01T00:00:00")]
    #[case("2026-01-01T24:00:00Z")]
    #[case("2026-01-01T00:00:00.Z")]
    #[case("2026-01-01T00:00:00Zx")]
    #[case("2026-01-01T00:00:00+0100")]
    #[case("+026-01-01")]
    #[case("２026-01-01")]
    fn what_is_no_time_is_refused(#[case] text: &str) {
        assert_eq!(parse_start(text), None);
        assert_eq!(parse_end(text), None);
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for days in -150_000..150_000 {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
        }
    }
}
